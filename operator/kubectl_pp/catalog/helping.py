"""Verbs about the operator and the plugin itself."""

from kubectl_pp.catalog.verb import Names, Verb
from kubectl_pp.flags import AGENT, METRICS, Completes, Flag, Group

HELPING: tuple[Verb, ...] = (
    Verb(
        "doctor",
        "look for what is wrong",
        "Checks the cluster, the CRD, your rights, the operator's Lease, Deployment and Pods, what these "
        "say at /readyz, its sealing key and metrics, step services of the chart, and stuck uploads. Each "
        "finding names its remedy. When uploads do not move it ends with 1 and the operator's own words.",
        groups=(
            AGENT,
            METRICS,
        ),
        examples=(("the usual", "kubectl pp doctor"),),
    ),
    Verb(
        "report",
        "write an archive for those who help you",
        "Collects uploads (those that need a person first), Events, Leases, log lines of the operator and "
        "of step services, the operator's /readyz and metrics, the values of the chart, versions, and "
        "what doctor finds. What looks like a secret, an address or a sealed part is removed. Names of "
        "files, users and spaces, and mail addresses, are replaced, the same name by the same word. Ids "
        "of uploads, and names of steps, Pods and namespaces stay. What you have no right to read is left "
        "out and listed. It has at most 20 MB before it is compressed. Look through it before you hand it "
        "on.",
        groups=(
            Group(
                "The archive",
                (
                    Flag(
                        ("-o", "--output"),
                        "where to write it; - is standard output (default: a new file in this folder)",
                        "FILE",
                        completes=Completes.FILES,
                    ),
                    Flag(("--with-names",), "keep names of files, users and spaces, and mail addresses"),
                ),
            ),
            AGENT,
            METRICS,
        ),
        examples=(("for a question or an issue", "kubectl pp report -o report.tar.gz"),),
    ),
    Verb(
        "completion",
        "set up completion in your shell",
        "Prints code for your shell. kubectl completes plugins through a program kubectl_complete-pp on "
        "PATH; --install puts it there.",
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
