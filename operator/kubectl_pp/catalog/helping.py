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
