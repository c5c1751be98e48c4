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
        "start uploads again",
        "Begins a new run of the named or selected uploads, from the first step or --from-step. After an "
        "abort or a release that is refused unless forced, because the storage may have lost the bytes.\n"
        "It also speaks the language of the command it replaces: -u ID, -s STEP, or nothing at all (-s "
        "finished). Then it does what that command did: the current step starts again, or the storage is "
        "told the outcome again; an upload that has ended begins a new run. With --restart every one of "
        "them does. A whole step (-s alone) is resumed by one request, however many uploads are in it.\n"
        f"{UPLOAD_NAMES} A command for many uploads may be interrupted and repeated with the token it "
        "prints.",
        Names.SOME,
        (
            CHOICE,
            OLD_LANGUAGE,
            Group(CHANGE.title, (FRESH_RUN, FROM_STEP, FORCE, CREATE, REPEAT, *CHANGE.flags)),
        ),
        (
            ("one upload, from its first step", "kubectl pp restart 7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"),
            (
                "scan once more, and wait for the end",
                "kubectl pp restart @latest --from-step virusscan --wait",
            ),
            (
                "all that wait for the virus scanner, after it was unavailable",
                "kubectl pp restart -s virusscan",
            ),
            ("all that wait for the storage (as the old command)", "kubectl pp restart"),
            ("what has failed, first only shown", "kubectl pp restart --failed --dry-run"),
        ),
    ),
    Verb(
        "resume",
        "let uploads go on now",
        "Starts the current step again as a new attempt, without waiting for a back-off; an upload that "
        "waits for the storage tells it the outcome again (continue and delete); a held step gets new "
        "retries. -u, -s and nothing at all (-s finished) mean what they meant to the old command. "
        f"{UPLOAD_NAMES}",
        Names.SOME,
        (CHOICE, OLD_LANGUAGE, Group(CHANGE.title, (CREATE, REPEAT, *CHANGE.flags))),
        (
            ("do not wait for the back-off", "kubectl pp resume @latest"),
            ("all that are stuck, after the cause is gone", "kubectl pp resume --stalled"),
        ),
    ),
    Verb(
        "suspend",
        "let uploads rest",
        f"Lets a running step end and starts no other one (spec.desiredState: Suspended). {UPLOAD_NAMES}",
        Names.SOME,
        (CHOICE, CHANGE),
        (("everything in the step policies", "kubectl pp suspend --step policies"),),
    ),
    Verb(
        "unsuspend",
        "let suspended uploads go on",
        f"Takes a suspension back (spec.desiredState: Active). {UPLOAD_NAMES}",
        Names.SOME,
        (CHOICE, CHANGE),
        (("all of the namespace", "kubectl pp unsuspend --all --yes"),),
    ),
    Verb(
        "cancel",
        "end uploads",
        "Ends uploads whose outcome the storage was not told yet: with abort, which keeps the bytes, or "
        f"with --delete, which removes them (spec.desiredState: Cancelled). {UPLOAD_NAMES}",
        Names.SOME,
        (
            CHOICE,
            Group(
                CHANGE.title,
                (Flag(("--delete",), "remove the bytes from the storage as well"), *CHANGE.flags),
            ),
        ),
        (("one upload, with its bytes", "kubectl pp cancel @latest --delete"),),
    ),
    Verb(
        "prune",
        "remove the resources of uploads that are over",
        "Deletes the resources of uploads that ended longer ago than --older, and asks first. It touches "
        "neither files nor the storage. Uploads in postprocessing stay. An upload that has ended and waits "
        "for a person, because its release failed, stays too, unless --failed is given. The operator itself "
        "removes resources after the times of UPLOADPP_TTL_COMPLETED and UPLOADPP_TTL_FAILED.",
        groups=(
            PRUNED,
            Group(
                CHANGE.title,
                tuple(flag for flag in CHANGE.flags if flag.key in {"dry_run", "output"}),
            ),
        ),
        examples=(
            ("what would go", "kubectl pp prune --older 7d --dry-run"),
            ("without asking, in a job", "kubectl pp prune --older 30d --outcome continue --yes"),
        ),
    ),
)
