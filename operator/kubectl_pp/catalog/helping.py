"""Verbs about the operator and the plugin itself."""

from kubectl_pp.catalog.verb import Names, Verb
from kubectl_pp.flags import AGENT, METRICS, Completes, Flag, Group

HELPING: tuple[Verb, ...] = (
    Verb(
        "doctor",
        "find out what is wrong",
        "Checks the cluster, the CRD, your permissions, the operator's Lease, Deployment and Pods, their "
        "/readyz, the Jobs that adopt uploads or hand them back, the sealing key, the metrics, the step "
        "services of the chart, and stuck uploads. Each finding names its remedy. If uploads do not "
        "progress, it prints the operator's reason and exits with 1.",
        groups=(
            AGENT,
            METRICS,
        ),
        examples=(("check everything", "kubectl pp doctor"),),
    ),
    Verb(
        "report",
        "write an archive for a bug report",
        "Collects uploads (those that need attention first), Events, Leases, log lines of the operator and "
        "of step services, the operator's /readyz and metrics, the values of the chart, versions, and the "
        "findings of doctor. It removes everything that looks like a secret, an address or encrypted data. "
        "It replaces the names of files, users and spaces, and mail addresses; the same name always "
        "becomes the same word. Upload ids and the names of steps, Pods and namespaces stay. It lists what "
        "you are not allowed to read, and leaves that out. The archive has at most 20 MB before "
        "compression. Review it before you pass it on.",
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
        examples=(("for an issue", "kubectl pp report -o report.tar.gz"),),
    ),
    Verb(
        "policy",
        "say what the policies would do with an upload",
        "`kubectl pp policy test` asks the operator what its PostprocessingPolicies would do with an upload. "
        "It prints each rule that was looked at and whether it matches, the rule that decides, and the "
        "steps. Nothing is changed or counted. With -f it judges the policies of a file as if they were "
        "applied; a policy takes the place of the one with its name.\n"
        "`kubectl get postprocessingpolicies` lists the policies.",
        Names.TEST,
        (
            Group(
                "The upload",
                (
                    Flag(("--filename",), "name of the file; required", "NAME"),
                    Flag(("--size",), "its size in bytes, or with a unit as in 500k, 10Mi, 2G", "SIZE"),
                    Flag(("--user-id",), "id of the user", "ID"),
                    Flag(("--space",), "id of the space", "ID"),
                    Flag(("--storage",), "id of the storage", "ID"),
                    Flag(("--initiator",), "id of the client that began the upload", "ID"),
                ),
            ),
            Group(
                "How",
                (
                    Flag(
                        ("-f",),
                        "file with policies that are not applied yet; - is standard input",
                        "FILE",
                        completes=Completes.FILES,
                    ),
                    Flag(
                        ("-o", "--output"),
                        "json or yaml",
                        "FORMAT",
                        ("json", "yaml"),
                        completes=Completes.CHOICES,
                    ),
                ),
            ),
            AGENT,
            METRICS,
        ),
        (
            ("a large video", "kubectl pp policy test --filename film.mp4 --size 4Gi"),
            (
                "with policies that are not applied yet",
                "kubectl pp policy test --filename report.pdf --space 7f3a -f policies.yaml",
            ),
        ),
    ),
    Verb(
        "completion",
        "set up completion in your shell",
        "Prints a completion script for your shell. kubectl completes plugins through a program "
        "kubectl_complete-pp on PATH; --install writes that program.",
        Names.SHELL,
        (
            Group(
                "How",
                (
                    Flag(
                        ("--install",),
                        "also write kubectl_complete-pp into this folder (default: beside the plugin)",
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
                "Output",
                (
                    Flag(("-o", "--output"), "json", "json", ("json",), completes=Completes.CHOICES),
                    Flag(("--client",), "no difference: it always asks no cluster"),
                ),
            ),
        ),
    ),
    Verb("help", "show the manual of a verb", "Prints the manual of a verb.", Names.VERB, offline=True),
)
