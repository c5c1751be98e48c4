"""The flags as data: parser, help, man page and completion are all made from these tables."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Completes(Enum):
    """What the shell offers as a flag's value."""

    NOTHING = "nothing"
    CHOICES = "choices"
    STEPS = "steps"
    KUBECTL = "kubectl"
    FILES = "files"


class Flag(NamedTuple):
    """One flag; without a `metavar` it takes no value."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    default: str | None = None
    many: bool = False
    optional: bool = False
    completes: Completes = Completes.NOTHING

    @property
    def long(self) -> str:
        """The name that says most."""
        return self.names[-1]

    @property
    def key(self) -> str:
        """The name of its value among the parsed options."""
        return self.long.lstrip("-").replace("-", "_")


class Group(NamedTuple):
    """Flags that belong together."""

    title: str
    flags: tuple[Flag, ...]


OUTPUTS = ("wide", "json", "yaml", "name")
BOOLEANS = ("true", "false")

SCOPE = Group(
    "Where",
    (
        Flag(
            ("-n", "--namespace"), "namespace; the context's by default", "NAME", completes=Completes.KUBECTL
        ),
        Flag(("-A", "--all-namespaces"), "all namespaces"),
    ),
)
CONNECTION = Group(
    "Cluster (handed to kubectl)",
    (
        Flag(("--context",), "kubeconfig context", "NAME", completes=Completes.KUBECTL),
        Flag(("--kubeconfig",), "kubeconfig file", "FILE", completes=Completes.FILES),
        Flag(("--cluster",), "kubeconfig cluster", "NAME", completes=Completes.KUBECTL),
        Flag(("--user",), "kubeconfig user", "NAME", completes=Completes.KUBECTL),
        Flag(("--as",), "act as this user", "NAME"),
        Flag(("--as-group",), "act as a member of this group", "NAME", many=True),
        Flag(("--as-uid",), "act as the user of this uid", "UID"),
        Flag(("--as-user-extra",), "act with this attribute of the user", "KEY=VALUE", many=True),
        Flag(("--server",), "address of the API server", "URL"),
        Flag(("--proxy-url",), "proxy to the API server", "URL"),
        Flag(("--disable-compression",), "ask the API server for answers that are not compressed"),
        Flag(("--cache-dir",), "where kubectl keeps what it knows of the API", "FOLDER"),
        Flag(("--token",), "bearer token for the API server", "TOKEN"),
        Flag(("--username",), "user for the API server, with a password", "NAME"),
        Flag(("--password",), "password of that user", "WORD"),
        Flag(("--certificate-authority",), "PEM file of the authority", "FILE", completes=Completes.FILES),
        Flag(
            ("--client-certificate",), "PEM file of a client certificate", "FILE", completes=Completes.FILES
        ),
        Flag(("--client-key",), "PEM file of its key", "FILE", completes=Completes.FILES),
        Flag(("--tls-server-name",), "name the server's certificate is checked for", "NAME"),
        Flag(("--insecure-skip-tls-verify",), "do not check the server's certificate"),
        Flag(("--request-timeout",), "limit of one request, such as 10s; 0 is none", "TIME", default="60s"),
    ),
)
SELECTORS = Group(
    "Which uploads",
    (
        Flag(("-l", "--selector"), "label selector", "SELECTOR"),
        Flag(
            ("--field-selector",),
            "field selector, for example status.outcome=abort or spec.upload.userID=ID",
            "SELECTOR",
        ),
    ),
)
STEP = Flag(
    ("--step",), "in this step (finished: waiting for the storage)", "STEP", completes=Completes.STEPS
)
FAILED = Flag(("--failed",), "ended without success")
STALLED = Flag(("--stalled",), "somebody does not answer, or it is held for a person")
FILTERS = Group(
    "Which uploads",
    (
        *SELECTORS.flags,
        STEP,
        Flag(
            ("--outcome",),
            "with this outcome",
            "WORD",
            ("continue", "abort", "delete"),
            completes=Completes.CHOICES,
        ),
        Flag(("--running",), "not ended"),
        FAILED,
        STALLED,
        Flag(("--space",), "of this space", "ID"),
        Flag(("--user-id",), "of this user, where user ids are shown", "ID"),
        Flag(("--since",), "created within this time, such as 90s, 2h, 3d", "TIME"),
        Flag(("--older",), "created longer ago than this", "TIME"),
        Flag(("--processing",), "in postprocessing (false: ended)", "BOOL", BOOLEANS, optional=True),
        Flag(
            ("--expired",),
            "due to be removed (status.expirationTime is over)",
            "BOOL",
            BOOLEANS,
            optional=True,
        ),
        Flag(("--has-virus",), "rejected by the step virusscan", "BOOL", BOOLEANS, optional=True),
    ),
)
PRUNED = Group(
    "Which uploads",
    (
        *SELECTORS.flags,
        Flag(("--older",), "ended longer ago than this, such as 12h or 7d; must be given", "TIME"),
        Flag(("--failed",), "ended without success, also those that wait for a person"),
        *(flag for flag in FILTERS.flags if flag.key in {"outcome", "space", "user_id"}),
        Flag(("-y", "--yes"), "do not ask"),
    ),
)
CHOICE = Group(
    "Which uploads",
    (
        *SELECTORS.flags,
        STEP,
        FAILED,
        STALLED,
        Flag(("--all",), "all uploads that have not ended; asks first"),
        Flag(("-y", "--yes"), "do not ask"),
    ),
)
OLD_LANGUAGE = Group(
    "As the command it replaces (ocis/opencloud postprocessing restart)",
    (
        Flag(("-u", "--upload-id"), "the upload with this id", "ID"),
        Flag(("-s",), "all uploads in this step", "STEP", completes=Completes.STEPS),
    ),
)
CHANGE = Group(
    "How",
    (
        Flag(("--dry-run",), "let the API server check the change, change nothing"),
        Flag(("--wait",), "wait until the uploads have ended"),
        Flag(("--timeout",), "limit of --wait; 0 is none", "TIME", default="0"),
        Flag(("-o", "--output"), "print names only", "name", ("name",), completes=Completes.CHOICES),
    ),
)
OUTPUT = Group(
    "Output",
    (
        Flag(("-o", "--output"), "wide, json, yaml or name", "FORMAT", OUTPUTS, completes=Completes.CHOICES),
        Flag(("--no-headers",), "leave the line of column names out"),
    ),
)
DISPLAY = Group(
    "Display",
    (
        Flag(
            ("--color",),
            "auto, always or never; NO_COLOR is honoured",
            "WHEN",
            ("auto", "always", "never"),
            default="auto",
            completes=Completes.CHOICES,
        ),
        Flag(("--ascii",), "no characters beyond ASCII; the default where the locale is not UTF-8"),
        Flag(("-h", "--help"), "this help"),
    ),
)
FRESH_RUN = Flag(("-r", "--restart"), "with -u, -s or alone: begin a new run all the same")
FROM_STEP = Flag(
    ("--from-step",),
    "begin the new run with this step; earlier ones are skipped",
    "STEP",
    completes=Completes.STEPS,
)
FORCE = Flag(("--force",), "also after an abort or a release, when the storage may have lost the bytes")
CREATE = Flag(
    ("--create",), "with -u: make the resource if there is none; the storage is asked for the upload"
)
REPEAT = Flag(
    ("--repeat",), "go on with an interrupted command: uploads that have this token are left alone", "TOKEN"
)
AGENT = Group(
    "The operator",
    (
        Flag(("--operator-namespace",), "namespace of the operator; that of the uploads by default", "NAME"),
        Flag(
            ("--operator-selector",),
            "labels of its Pods",
            "SELECTOR",
            default="app.kubernetes.io/name=upload-postprocessing",
        ),
    ),
)
METRICS = Group(
    "Metrics",
    (Flag(("--metrics-url",), "where its metrics and /readyz are, if not at its Pod", "URL"),),
)
ALWAYS = (SCOPE, CONNECTION, DISPLAY)


def kubectl_arguments(options: dict[str, object]) -> list[str]:
    """The flags that are kubectl's own, as kubectl wants them."""
    found: list[str] = []
    for flag in CONNECTION.flags:
        value = options.get(flag.key)
        if value is True:
            found.append(flag.long)
        elif isinstance(value, list):
            found += [f"{flag.long}={each}" for each in value]
        elif value and flag.default != value:
            found.append(f"{flag.long}={value}")
    return found
