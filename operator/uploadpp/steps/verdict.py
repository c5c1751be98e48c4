"""What a step says about an upload: four classes, each both returned and raised."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from uploadpp.core.states import Outcome
from uploadpp.wire.rawjson import go_json

MAX_RESULT_BYTES = 64 * 1024
"""More could make the answer larger than NATS takes, and then nobody would ever get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirusscanResult:
    """What storages remember of a scan and show people; the only result of a step named `virusscan`.

    `description` names what was found. With an `error` the storage remembers nothing, because it is not
    known whether the file is clean. `scanned_at` is None if nothing was scanned.
    """

    infected: bool = False
    description: str = ""
    error: str = ""
    scanned_at: datetime | None = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.infected and not self.description:
            raise ValueError("an infected file needs a description: without one, storages take it for clean")
        if self.scanned_at is not None and self.scanned_at.tzinfo is None:
            raise ValueError("scanned_at needs a time zone: services in Go cannot read it without one")


Result = VirusscanResult | Mapping[str, Any] | None


class Verdict(Exception):  # noqa: N818 -- raising it is one way to say it, not an error
    """The end of a step; use one of its four subclasses.

    `message` is for people: it is shown in the status of the upload, without URLs and tokens.
    `result` goes to other services: a JSON object, or a VirusscanResult.
    """

    outcome: ClassVar[Outcome]

    def __init__(self, message: str = "", *, result: Result = None) -> None:
        """Check everything, so that what exists can be sent.

        Raises:
            TypeError: the base class was used instead of a subclass, or something has another type.
            ValueError: the result is not JSON, or too large.
        """
        if not isinstance(getattr(self, "outcome", None), Outcome):
            raise TypeError("use Continue, Retry, Abort or Delete")
        if not isinstance(message, str):
            raise TypeError(f"the message must be a string, not {type(message).__name__}")
        if not isinstance(result, VirusscanResult | Mapping | None):
            raise TypeError(f"the result must be a mapping or a VirusscanResult, not {type(result).__name__}")
        if isinstance(result, Mapping) and len(go_json(dict(result)).encode()) > MAX_RESULT_BYTES:
            raise ValueError(f"the result is larger than {MAX_RESULT_BYTES} bytes")
        super().__init__(message)
        self.message = message
        self.result = result


class Continue(Verdict):
    """All is well: the next step may start, and after the last one the file is released."""

    outcome = Outcome.CONTINUE


class Retry(Verdict):
    """No result this time: start the step again later, up to the configured number of retries."""

    outcome = Outcome.RETRY


class NoVerdict(Retry):
    """Replaces a verdict that was not given or cannot be sent. Only the kit creates it."""


class Abort(Verdict):
    """Do not release the file, but keep the uploaded bytes."""

    outcome = Outcome.ABORT


class Delete(Verdict):
    """Do not release the file, and remove the uploaded bytes."""

    outcome = Outcome.DELETE


BY_OUTCOME: dict[Outcome, type[Verdict]] = {each.outcome: each for each in (Continue, Retry, Abort, Delete)}
