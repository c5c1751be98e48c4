"""What a command can end with: exit codes, and errors that name the remedy."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every verb; documented in the help."""

    OK = 0
    FAILED = 1
    USAGE = 2
    TIMEOUT = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    INTERRUPTED = 130


EXIT_MEANINGS = (
    (ExitCode.OK, "success; for wait: every upload succeeded"),
    (ExitCode.FAILED, "an upload failed or could not be changed; for doctor: a check failed"),
    (ExitCode.USAGE, "the command line is invalid"),
    (ExitCode.TIMEOUT, "timed out (wait, --wait)"),
    (ExitCode.NOT_FOUND, "a named upload does not exist; other ones that were named are processed"),
    (ExitCode.UNAVAILABLE, "no access to the cluster: unreachable, forbidden, or the CRD is missing"),
    (ExitCode.INTERRUPTED, "interrupted; changes that were already sent remain"),
)


class PluginError(Exception):
    """The command ends here. `remedy` is what the person can do about it."""

    def __init__(self, text: str, remedy: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(text)
        self.remedy = remedy
        self.code = code


class UsageError(PluginError):
    """The command line is wrong."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text, remedy, ExitCode.USAGE)


class MissingError(PluginError):
    """What was named does not exist."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text, remedy, ExitCode.NOT_FOUND)


class UnavailableError(PluginError):
    """The cluster cannot be reached."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text, remedy, ExitCode.UNAVAILABLE)


class ConflictError(PluginError):
    """The object is no longer what the request was made for."""


class ExpiredError(PluginError):
    """A list or watch is too old to continue; it starts over."""
