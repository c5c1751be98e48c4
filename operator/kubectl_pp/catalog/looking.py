"""Verbs that show uploads, and those that follow what becomes of them."""

from kubectl_pp.catalog.verb import UPLOAD_NAMES, Names, Verb
from kubectl_pp.flags import AGENT, FILTERS, METRICS, OUTPUT, SELECTORS, Completes, Flag, Group

LOOKING: tuple[Verb, ...] = (
    Verb(
        "list",
        "list uploads",
        "Prints the same table as `kubectl get uploadpostprocessings`, with filters. --json prints one "
        "array with the keys of `ocis storage-users uploads sessions --json`, for scripts that were "
        "written for that command.",
        groups=(
            FILTERS,
            Group(
                OUTPUT.title,
                (
                    *OUTPUT.flags,
                    Flag(
                        ("--sort-by",),
                        "column to sort by (default: uploads that need attention first, then the newest)",
                        "COLUMN",
                    ),
                    Flag(
                        ("--limit",),
                        "maximum number of rows; 0 means all (the default is 200 on a terminal)",
                        "NUMBER",
                    ),
                    Flag(
                        ("--json",),
                        "one array, in the format of `storage-users uploads sessions --json`",
                    ),
                    Flag(("-w", "--watch"), "after the list, print a line for every change"),
                ),
            ),
        ),
        examples=(
            ("all uploads of the namespace, with every column", "kubectl pp list -o wide"),
            ("what needs attention in any namespace", "kubectl pp list -A --stalled"),
            (
                "uploads created over an hour ago that are at the virus scan",
                "kubectl pp list --step virusscan --older 1h",
            ),
            ("uploads in which a virus was found, for a script", "kubectl pp list --has-virus --json"),
        ),
    ),
    Verb(
        "status",
        "explain the state of uploads, and what to do",
        "Shows one upload or several: the state in words, each step with its attempts, the next retry, "
        f"conditions, recent Events, and what you can do. {UPLOAD_NAMES}",
        Names.MANY,
        (
            Group(
                "Output",
                (
                    Flag(
                        ("-o", "--output"),
                        "json or yaml: the resource, or a List of several as with kubectl get",
                        "FORMAT",
                        ("json", "yaml"),
                        completes=Completes.CHOICES,
                    ),
                ),
            ),
        ),
        (
            ("the newest upload", "kubectl pp status @latest"),
            (
                "by the upload id, as in the log of the storage",
                "kubectl pp status 7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11",
            ),
        ),
    ),
    Verb(
        "watch",
        "follow uploads live",
        "Shows a live table of the uploads in postprocessing, those that need attention first. With a "
        "NAME it shows the live status of that upload until the upload ends. If the output is not a "
        "terminal, or TERM is empty or dumb, it prints one line for every change. Ctrl-C ends it.",
        Names.SOME,
        (FILTERS,),
        (
            ("all uploads in postprocessing", "kubectl pp watch"),
            ("one upload, until it ends", "kubectl pp watch @latest"),
            ("a log of what happens at a step", "kubectl pp watch --step virusscan | tee scan.log"),
        ),
    ),
    Verb(
        "ui",
        "show a read-only page in the browser",
        "Serves a page on loopback until Ctrl-C. The page lists the uploads in flight, those that need "
        "attention first, and says why each one waits and what to do. It shows the steps, Events and YAML "
        "of each upload, and the health of the operator. It updates live, through your connection and "
        "with your permissions. It changes nothing: it shows the commands that do. The address of the "
        "page contains a secret; nothing leaves this machine.",
        groups=(
            SELECTORS,
            Group(
                "The page",
                (
                    Flag(("--open",), "open the browser"),
                    Flag(("--port",), "port on 127.0.0.1; 0 means any free port", "NUMBER", default="0"),
                    Flag(
                        ("--demo",),
                        "show COUNT made-up uploads in flight, without a cluster",
                        "COUNT",
                        optional=True,
                    ),
                ),
            ),
            AGENT,
            METRICS,
        ),
        examples=(
            ("the namespace of the current context", "kubectl pp ui --open"),
            ("try it without a cluster", "kubectl pp ui --demo"),
            ("all namespaces, on a port of your choice", "kubectl pp ui -A --port 8080"),
        ),
    ),
)

FOLLOWING: tuple[Verb, ...] = (
    Verb(
        "wait",
        "wait until uploads have ended",
        f"Waits until all of the uploads have ended, and exits with 0 if all succeeded. {UPLOAD_NAMES} "
        "Without names it waits for the uploads that match when it starts.",
        Names.SOME,
        (
            SELECTORS,
            Group(
                "How",
                (
                    Flag(("--timeout",), "timeout; 0 means no limit", "TIME", default="0"),
                    Flag(("-q", "--quiet"), "print nothing"),
                ),
            ),
        ),
        (("in a script", "kubectl pp wait @latest --timeout 10m && echo released"),),
    ),
    Verb(
        "events",
        "list the Events of uploads",
        f"Lists the Kubernetes Events of uploads, the newest last. {UPLOAD_NAMES}",
        Names.SOME,
        (
            Group(
                "Which Events",
                (
                    Flag(("--warnings",), "warnings only"),
                    Flag(("--since",), "seen within this time, such as 90s, 2h, 3d", "TIME"),
                ),
            ),
            Group("Output", (Flag(("--no-headers",), "omit the header row"),)),
        ),
        (("warnings of the last hour", "kubectl pp events --warnings --since 1h"),),
    ),
    Verb(
        "logs",
        "print log lines about an upload",
        "Prints the log lines of all operator Pods that name the upload, through `kubectl logs`. With "
        "--steps it prints those of the Pods of the chart's stepServices. "
        f"{UPLOAD_NAMES} Without a NAME it prints all lines.",
        Names.SOME,
        (
            AGENT,
            Group(
                "Which lines",
                (
                    Flag(("--steps",), "from the step services instead of the operator"),
                    Flag(("-f", "--follow"), "print new lines as they are written"),
                    Flag(("--since",), "written within this time", "TIME"),
                    Flag(
                        ("--tail",),
                        "read only this many of each Pod's last lines, and search them for the upload",
                        "COUNT",
                        default="-1",
                    ),
                    Flag(("--raw",), "print lines unformatted"),
                ),
            ),
        ),
        (
            ("what the operator logged", "kubectl pp logs @latest --since 1h"),
            ("what the step services logged", "kubectl pp logs @latest --steps"),
        ),
    ),
    Verb(
        "stats",
        "count uploads by step and state",
        "Counts uploads by step and state, names the oldest uploads and the steps that are not well, and "
        "shows adaptive limits of steps, how many uploads wait for a retry, and how long steps took.",
        groups=(
            FILTERS,
            Group(
                "Output", (Flag(("-o", "--output"), "json", "json", ("json",), completes=Completes.CHOICES),)
            ),
        ),
        examples=(("the whole cluster", "kubectl pp stats -A"),),
    ),
)
