"""All verbs as data: what the parser, the help, the man page and the completion are made from."""

from enum import Enum
from typing import NamedTuple

from kubectl_pp.flags import (
    AGENT,
    ALWAYS,
    BOOLEANS,
    CHANGE,
    CHOICE,
    CREATE,
    FILTERS,
    FORCE,
    FRESH_RUN,
    FROM_STEP,
    METRICS,
    OLD_LANGUAGE,
    OUTPUT,
    REPEAT,
    SELECTORS,
    Completes,
    Flag,
    Group,
)


class Names(Enum):
    """Which words a verb takes besides flags."""

    NONE = ""
    ONE = "NAME"
    SOME = "[NAME...]"
    MANY = "NAME..."
    SHELL = "bash|zsh|fish"
    VERB = "[VERB]"


class Verb(NamedTuple):
    """One verb."""

    name: str
    summary: str
    description: str
    names: Names = Names.NONE
    groups: tuple[Group, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    offline: bool = False

    @property
    def all_groups(self) -> tuple[Group, ...]:
        """Its own flags and those of every verb."""
        return (*self.groups, *(ALWAYS[-1:] if self.offline else ALWAYS))

    @property
    def flags(self) -> tuple[Flag, ...]:
        """All flags it takes."""
        return tuple(flag for group in self.all_groups for flag in group.flags)


UPLOAD_NAMES = "NAME is the name of a resource, an upload id, or @latest for the newest upload."

VERBS: tuple[Verb, ...] = (
    Verb(
        "list",
        "list uploads",
        "Prints the table `kubectl get uploadpostprocessings` prints, with filters. --json prints one "
        "array with "
        "the keys of `ocis storage-users uploads sessions --json`, for scripts written for that.",
        groups=(
            FILTERS,
            Group(
                OUTPUT.title,
                (
                    *OUTPUT.flags,
                    Flag(
                        ("--sort-by",),
                        "column to sort by; by default what needs a person comes first, then the newest",
                        "COLUMN",
                    ),
                    Flag(("--limit",), "most rows; 0 is all (the default is 200 on a terminal)", "NUMBER"),
                    Flag(("--json",), "one array of upload sessions, as the old command printed"),
                    Flag(("-w", "--watch"), "keep on printing a line for every change"),
                ),
            ),
        ),
        examples=(
            ("all uploads of the namespace, with every column", "kubectl pp list -o wide"),
            ("what needs a person, anywhere", "kubectl pp list -A --stalled"),
            (
                "what waits for the virus scanner for an hour or more",
                "kubectl pp list --step virusscan --older 1h",
            ),
            ("what a virus was found in, for a script", "kubectl pp list --has-virus --json"),
        ),
    ),
    Verb(
        "status",
        "show where uploads stand, why, and what to do",
        "Shows one upload or several: the state in words, each step with its attempts, the next try, "
        "conditions, "
        f"recent Events, and what you can do. {UPLOAD_NAMES}",
        Names.MANY,
        (
            Group(
                "Output",
                (
                    Flag(
                        ("-o", "--output"),
                        "json or yaml: the resource",
                        "FORMAT",
                        ("json", "yaml"),
                        completes=Completes.CHOICES,
                    ),
                ),
            ),
        ),
        (
            ("the newest upload", "kubectl pp status @latest"),
            ("by the id in the log of the storage", "kubectl pp status 7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"),
        ),
    ),
    Verb(
        "watch",
        "watch uploads move",
        "A live table of the uploads in postprocessing, those in trouble first; with a NAME the live "
        "status of that "
        "upload until it ends. Without a terminal: one line for every change. Ends with Ctrl-C.",
        Names.SOME,
        (FILTERS,),
        (
            ("everything that moves", "kubectl pp watch"),
            ("one upload, until it ends", "kubectl pp watch @latest"),
            ("a log of what happens in a step", "kubectl pp watch --step virusscan | tee scan.log"),
        ),
    ),
    Verb(
        "ui",
        "show a read-only page in the browser",
        "Serves a page on loopback until Ctrl-C: uploads in flight with those first that need attention, why "
        "they wait and what to do, each upload with its steps, Events and YAML, and what the operator says "
        "of itself. It follows changes, with your connection and your rights, and makes none: "
        "it shows the commands that do. The address holds a secret; nothing leaves this machine.",
        groups=(
            SELECTORS,
            Group(
                "The page",
                (
                    Flag(("--open",), "open the browser"),
                    Flag(("--port",), "port on 127.0.0.1; 0 is any free one", "NUMBER", default="0"),
                    Flag(
                        ("--demo",),
                        "made-up uploads, so many in flight; asks no cluster",
                        "COUNT",
                        optional=True,
                    ),
                ),
            ),
            AGENT,
            METRICS,
        ),
        examples=(
            ("look at the namespace of the context", "kubectl pp ui --open"),
            ("try it without a cluster", "kubectl pp ui --demo"),
            ("all namespaces, on a port of your choice", "kubectl pp ui -A --port 8080"),
        ),
    ),
    Verb(
        "restart",
        "start uploads again",
        "Begins a new run of the named or selected uploads, from the first step or --from-step. After an "
        "abort or a "
        "release that is refused unless forced, because the storage may have lost the bytes.\n"
        "It also speaks the language of the command it replaces: -u ID, -s STEP, or nothing at all (-s "
        "finished). "
        "Then it does what that command did: the current step starts again, or the storage is told the "
        "outcome again; "
        "an upload that has ended begins a new run. With --restart every one of them does. "
        "A whole step (-s alone) is resumed by one request, however many uploads are in it.\n"
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
        "waits for "
        "the storage tells it the outcome again (continue and delete); a held step gets new retries. -u, "
        "-s and "
        f"nothing at all (-s finished) mean what they meant to the old command. {UPLOAD_NAMES}",
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
        "with --delete, "
        f"which removes them (spec.desiredState: Cancelled). {UPLOAD_NAMES}",
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
        "wait",
        "wait until uploads have ended",
        f"Waits until all of the uploads have ended, and exits with 0 if all succeeded. {UPLOAD_NAMES} "
        "Without names "
        "it waits for those selected at its start.",
        Names.SOME,
        (
            SELECTORS,
            Group(
                "How",
                (
                    Flag(("--timeout",), "limit; 0 is none", "TIME", default="0"),
                    Flag(("-q", "--quiet"), "say nothing"),
                ),
            ),
        ),
        (("in a script", "kubectl pp wait @latest --timeout 10m && echo released"),),
    ),
    Verb(
        "events",
        "list the Events of uploads",
        f"Lists Kubernetes Events about uploads, the newest last. {UPLOAD_NAMES}",
        Names.SOME,
        (
            Group(
                "Which Events",
                (
                    Flag(("--warnings",), "warnings only"),
                    Flag(("--since",), "seen within this time, such as 90s, 2h, 3d", "TIME"),
                ),
            ),
            Group("Output", (Flag(("--no-headers",), "leave the line of column names out"),)),
        ),
        (("what went wrong lately", "kubectl pp events --warnings --since 1h"),),
    ),
    Verb(
        "logs",
        "print the operator's log lines about an upload",
        "Prints the lines of all operator Pods that name the upload, through `kubectl logs`. "
        f"{UPLOAD_NAMES} Without "
        "a NAME: all lines.",
        Names.SOME,
        (
            AGENT,
            Group(
                "Which lines",
                (
                    Flag(("-f", "--follow"), "keep on printing"),
                    Flag(("--since",), "written within this time", "TIME"),
                    Flag(
                        ("--tail",),
                        "at most so many of each Pod's last lines, before the upload is looked for",
                        "COUNT",
                        default="-1",
                    ),
                    Flag(("--raw",), "print lines as they are"),
                ),
            ),
        ),
        (("what the operator thought", "kubectl pp logs @latest --since 1h"),),
    ),
    Verb(
        "stats",
        "count uploads by step and state",
        "Counts uploads by step and state, names the oldest, shows how many wait for a retry, and how "
        "long steps took.",
        groups=(
            FILTERS,
            Group(
                "Output", (Flag(("-o", "--output"), "json", "json", ("json",), completes=Completes.CHOICES),)
            ),
        ),
        examples=(("the whole cluster", "kubectl pp stats -A"),),
    ),
    Verb(
        "doctor",
        "look for what is wrong",
        "Checks the cluster, the CRD, your rights, the operator's Lease and Pods, what these say at /readyz, "
        "its sealing key and metrics, and stuck uploads. Each finding names its remedy. When no upload moves "
        "it ends with 1 and the operator's own words.",
        groups=(
            AGENT,
            METRICS,
        ),
        examples=(("the usual", "kubectl pp doctor"),),
    ),
    Verb(
        "completion",
        "set up completion in your shell",
        "Prints code for your shell. kubectl completes plugins through a program kubectl_complete-pp on "
        "PATH; "
        "--install puts it there.",
        Names.SHELL,
        (
            Group(
                "How",
                (
                    Flag(
                        ("--install",),
                        "also write kubectl_complete-pp into this folder, or beside the plugin",
                        "FOLDER",
                        optional=True,
                        completes=Completes.FILES,
                    ),
                ),
            ),
        ),
        (
            ("for this shell", 'eval "$(kubectl pp completion bash)"'),
            (
                "once, if kubectl_complete-pp is not on PATH yet",
                "kubectl pp completion bash --install=$HOME/bin",
            ),
        ),
        offline=True,
    ),
    Verb(
        "version",
        "print the version",
        "Prints the version of the plugin.",
        offline=True,
        groups=(
            Group(
                "Output", (Flag(("-o", "--output"), "json", "json", ("json",), completes=Completes.CHOICES),)
            ),
        ),
    ),
    Verb("help", "explain a verb", "Prints the manual of a verb.", Names.VERB, offline=True),
)
BY_NAME = {verb.name: verb for verb in VERBS}
ALIASES = {"get": "status", "ls": "list", "describe": "status", "top": "watch"}

__all__ = ["ALIASES", "BOOLEANS", "BY_NAME", "VERBS", "Names", "Verb"]
