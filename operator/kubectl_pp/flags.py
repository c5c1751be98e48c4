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
        Flag(("--as",), "impersonate this user", "NAME"),
        Flag(("--as-group",), "impersonate a member of this group", "NAME", many=True),
        Flag(("--as-uid",), "impersonate the user with this UID", "UID"),
        Flag(("--as-user-extra",), "impersonate a user with this extra attribute", "KEY=VALUE", many=True),
        Flag(("--server",), "address of the API server", "URL"),
        Flag(("--proxy-url",), "proxy to the API server", "URL"),
        Flag(("--disable-compression",), "ask the API server for uncompressed responses"),
        Flag(("--cache-dir",), "folder of kubectl's discovery cache", "FOLDER"),
        Flag(("-v", "--v"), "how much kubectl logs about requests, 0 to 10", "LEVEL"),
        Flag(("--token",), "bearer token for the API server", "TOKEN"),
        Flag(("--username",), "user name for basic authentication", "NAME"),
        Flag(("--password",), "password for basic authentication", "WORD"),
        Flag(
            ("--certificate-authority",), "PEM file of the API server's CA", "FILE", completes=Completes.FILES
        ),
        Flag(
            ("--client-certificate",), "PEM file of a client certificate", "FILE", completes=Completes.FILES
        ),
        Flag(("--client-key",), "PEM file of its key", "FILE", completes=Completes.FILES),
        Flag(("--tls-server-name",), "host name to expect in the server's certificate", "NAME"),
        Flag(("--insecure-skip-tls-verify",), "do not check the server's certificate"),
        Flag(
            ("--request-timeout",),
            "timeout of one request, such as 10s; 0 means no limit",
            "TIME",
            default="60s",
        ),
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
    ("--step",), "at this step (finished: waiting for the storage)", "STEP", completes=Completes.STEPS
)
FAILED = Flag(("--failed",), "ended without success")
STALLED = Flag(("--stalled",), "stalled (something does not answer) or held for a person")
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
        Flag(("--space",), "in this space", "ID"),
        Flag(("--user-id",), "of this user, where user ids are shown", "ID"),
        Flag(("--since",), "created within this time, such as 90s, 2h, 3d", "TIME"),
        Flag(("--older",), "created longer ago than this", "TIME"),
        Flag(("--processing",), "in postprocessing (false: ended)", "BOOL", BOOLEANS, optional=True),
        Flag(
            ("--expired",),
            "due for deletion (status.expirationTime has passed)",
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
        Flag(("--older",), "ended longer ago than this, such as 12h or 7d; required", "TIME"),
        Flag(("--failed",), "ended without success, UploadFailed and Unanswered too"),
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
        Flag(("--all",), "all uploads that have not ended; asks for confirmation"),
        Flag(("-y", "--yes"), "do not ask"),
    ),
)
OLD_LANGUAGE = Group(
    "Flags of the command that this one replaces (ocis/opencloud postprocessing restart)",
    (
        Flag(("-u", "--upload-id"), "the upload with this id", "ID"),
        Flag(("-s",), "all uploads at this step", "STEP", completes=Completes.STEPS),
    ),
)
CHANGE = Group(
    "How",
    (
        Flag(("--dry-run",), "have the API server validate the change without making it"),
        Flag(("--wait",), "wait until the uploads have ended"),
        Flag(("--timeout",), "timeout of --wait; 0 means no limit", "TIME", default="0"),
        Flag(("-o", "--output"), "print names only", "name", ("name",), completes=Completes.CHOICES),
    ),
)
OUTPUT = Group(
    "Output",
    (
        Flag(("-o", "--output"), "wide, json, yaml or name", "FORMAT", OUTPUTS, completes=Completes.CHOICES),
        Flag(("--no-headers",), "omit the header row"),
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
        Flag(("--ascii",), "use ASCII characters only; the default where the locale is not UTF-8"),
        Flag(("-h", "--help"), "this help"),
    ),
)
FRESH_RUN = Flag(("-r", "--restart"), "with -u, -s or alone: begin a new run instead")
FROM_STEP = Flag(
    ("--from-step",),
    "begin the new run at this step and skip earlier ones",
    "STEP",
    completes=Completes.STEPS,
)
FORCE = Flag(
    ("--force",),
    "also if the upload was aborted, deleted or released; the storage may have lost its bytes",
)
CREATE = Flag(
    ("--create",), "with -u: create the resource if it is missing, and ask the storage for the upload"
)
REPEAT = Flag(
    ("--repeat",), "continue an interrupted command: skip the uploads that have this token", "TOKEN"
)
AGENT = Group(
    "The operator",
    (
        Flag(
            ("--operator-namespace",), "namespace of the operator; the uploads' namespace by default", "NAME"
        ),
        Flag(
            ("--operator-selector",),
            "label selector of its Pods",
            "SELECTOR",
            default="app.kubernetes.io/name=upload-postprocessing",
        ),
    ),
)
METRICS = Group(
    "Metrics",
    (Flag(("--metrics-url",), "where it serves /metrics and /readyz, if not at its Pod", "URL"),),
)
ALWAYS = (SCOPE, CONNECTION, DISPLAY)


UNSAID = frozenset(
    {"--token", "--username", "--password", "--proxy-url"}
    | {"--request-timeout", "--cache-dir", "--disable-compression", "--v"}
)
"""Flags that a suggested command omits: they may be secret, or make no difference to it."""


def same_cluster(options: dict[str, object]) -> str:
    """The flags that lead a suggested command to the same cluster as the same person, quoted for a shell."""
    from shlex import quote  # noqa: PLC0415 -- for suggestions only

    found: list[str] = []
    for flag in CONNECTION.flags:
        value = options.get(flag.key)
        if flag.long in UNSAID or not value or "@" in str(value if flag.key == "server" else ""):
            continue
        if value is True:
            found.append(flag.long)
            continue
        found += [
            f"{flag.long} {quote(str(each))}" for each in (value if isinstance(value, list) else [value])
        ]
    return "".join(f" {each}" for each in found)


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
            found.append(f"{flag.long}={_with_scheme(value) if flag.key == 'server' else value}")
    return found


def _with_scheme(server: object) -> str:
    """An address without a scheme is plain HTTP to kubectl; only `kubectl proxy` refuses it."""
    return str(server) if "://" in str(server) else f"http://{server}"
