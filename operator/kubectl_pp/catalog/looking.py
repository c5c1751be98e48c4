"""Verbs that show uploads, and those that follow what becomes of them."""

from kubectl_pp.catalog.verb import UPLOAD_NAMES, Names, Verb
from kubectl_pp.flags import AGENT, FILTERS, METRICS, OUTPUT, SELECTORS, Completes, Flag, Group

LOOKING: tuple[Verb, ...] = (
    Verb(
        "list",
        "list uploads",
        "Prints the table `kubectl get uploadpostprocessings` prints, with filters. --json prints one "
        "array with the keys of `ocis storage-users uploads sessions --json`, for scripts written for "
        "that.",
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
        f"conditions, recent Events, and what you can do. {UPLOAD_NAMES}",
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
        "status of that upload until it ends. Without a terminal: one line for every change. Ends with "
        "Ctrl-C.",
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
        "Serves a page on loopback until Ctrl-C: uploads in flight with those first that need attention, "
        "why they wait and what to do, each upload with its steps, Events and YAML, and what the "
        "operator says of itself. It follows changes, with your connection and your rights, and makes "
        "none: it shows the commands that do. The address holds a secret; nothing leaves this machine.",
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
)

FOLLOWING: tuple[Verb, ...] = (
    Verb(
        "wait",
        "wait until uploads have ended",
        f"Waits until all of the uploads have ended, and exits with 0 if all succeeded. {UPLOAD_NAMES} "
        "Without names it waits for those selected at its start.",
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
        "print log lines about an upload",
        "Prints the lines of all operator Pods that name the upload, through `kubectl logs`. With --steps it "
        "prints those of the Pods of the chart's stepServices. "
        f"{UPLOAD_NAMES} Without a NAME: all lines.",
        Names.SOME,
        (
            AGENT,
            Group(
                "Which lines",
                (
                    Flag(("--steps",), "of the step services instead of the operator"),
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
        (
            ("what the operator thought", "kubectl pp logs @latest --since 1h"),
            ("what the scanner said about it", "kubectl pp logs @latest --steps"),
        ),
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
)
