"""Verbs that change uploads."""

from kubectl_pp.catalog.verb import UPLOAD_NAMES, Names, Verb
from kubectl_pp.flags import (
    CHANGE,
    CHOICE,
    CREATE,
    FORCE,
    FRESH_RUN,
    FROM_STEP,
    OLD_LANGUAGE,
    PRUNED,
    REPEAT,
    Flag,
    Group,
)

CHANGING: tuple[Verb, ...] = (
    Verb(
        "restart",
        "begin a new run of uploads",
        "Begins a new run of the named or selected uploads, at the first step or at --from-step. If an "
        "upload was aborted, deleted or released, this is refused without --force: the storage may have lost "
        "its bytes.\n"
        "It also takes the flags of `postprocessing restart` of ocis and OpenCloud: -u ID, -s STEP, or none "
        "at all (the same as -s finished). It then does what that command does: the current step starts "
        "again, or the storage gets the outcome again. An upload that has ended begins a new run; one that "
        "is UploadFailed or Unanswered is resumed. With --restart every selected upload begins a new run. "
        "With -s alone, one request resumes all uploads at the step if they are many.\n"
        f"{UPLOAD_NAMES} If a command for many uploads is interrupted, repeat it with --repeat and the "
        "token that it prints.",
        Names.SOME,
        (
            CHOICE,
            OLD_LANGUAGE,
            Group(CHANGE.title, (FRESH_RUN, FROM_STEP, FORCE, CREATE, REPEAT, *CHANGE.flags)),
        ),
        (
            ("one upload, from the first step", "kubectl pp restart 7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"),
            (
                "scan the newest upload again, and wait until it has ended",
                "kubectl pp restart @latest --from-step virusscan --wait",
            ),
            (
                "all uploads that wait for the virus scanner, after an outage",
                "kubectl pp restart -s virusscan",
            ),
            (
                "all uploads that wait for the storage",
                "kubectl pp restart",
            ),
            ("show which failed uploads would be restarted", "kubectl pp restart --failed --dry-run"),
        ),
    ),
    Verb(
        "resume",
        "start the current step again",
        "Starts the current step again as a new attempt, without waiting for the back-off. If the upload "
        "waits for the storage, the storage gets the outcome again (continue and delete only). A held step "
        "gets new retries. -u, -s and no flag at all (the same as -s finished) select uploads as in "
        f"`postprocessing restart` of ocis and OpenCloud. {UPLOAD_NAMES}",
        Names.SOME,
        (CHOICE, OLD_LANGUAGE, Group(CHANGE.title, (CREATE, REPEAT, *CHANGE.flags))),
        (
            ("do not wait for the back-off", "kubectl pp resume @latest"),
            ("all uploads that are stuck, after the cause is fixed", "kubectl pp resume --stalled"),
        ),
    ),
    Verb(
        "suspend",
        "pause uploads before their next step",
        f"Lets the current step end and starts no further one (spec.desiredState: Suspended). {UPLOAD_NAMES}",
        Names.SOME,
        (CHOICE, CHANGE),
        (("all uploads at the step policies", "kubectl pp suspend --step policies"),),
    ),
    Verb(
        "unsuspend",
        "continue suspended uploads",
        f"Ends a suspension (spec.desiredState: Active). {UPLOAD_NAMES}",
        Names.SOME,
        (CHOICE, CHANGE),
        (("all uploads of the namespace", "kubectl pp unsuspend --all --yes"),),
    ),
    Verb(
        "cancel",
        "end uploads before they are released",
        "Ends uploads in postprocessing (spec.desiredState: Cancelled). The storage is told to abort, which "
        "keeps the bytes; with --delete it is told to delete them. While the storage has yet to confirm an "
        "outcome, this is refused. If the upload is stalled, it ends, and the storage is told nothing. "
        f"{UPLOAD_NAMES}",
        Names.SOME,
        (
            CHOICE,
            Group(
                CHANGE.title,
                (Flag(("--delete",), "also delete the bytes from the storage"), *CHANGE.flags),
            ),
        ),
        (("one upload, with its bytes", "kubectl pp cancel @latest --delete"),),
    ),
    Verb(
        "prune",
        "delete the resources of ended uploads",
        "Deletes the resources of uploads that ended longer ago than --older, after a confirmation. It "
        "changes nothing in the storage. Uploads in postprocessing stay. UploadFailed and Unanswered need "
        "a person, so they stay too unless --failed is given. The operator deletes resources "
        "automatically after UPLOADPP_TTL_COMPLETED and UPLOADPP_TTL_FAILED.",
        groups=(
            PRUNED,
            Group(
                CHANGE.title,
                tuple(flag for flag in CHANGE.flags if flag.key in {"dry_run", "output"}),
            ),
        ),
        examples=(
            ("show what would be deleted", "kubectl pp prune --older 7d --dry-run"),
            ("without confirmation, for a Job", "kubectl pp prune --older 30d --outcome continue --yes"),
        ),
    ),
)
