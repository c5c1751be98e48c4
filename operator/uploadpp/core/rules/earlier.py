"""BytesReceived of an upload of which the log has already said how it ended.

The storage publishes from several threads: UploadReady may stand before BytesReceived.
"""

from collections.abc import Callable

from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload, FinishedElsewhere, Input, UploadReady
from uploadpp.core.model import Millis, Upload
from uploadpp.core.transitions import hold_unbegun

FACTS = (UploadReady, FinishedElsewhere, CleanUpload)
"""What is worth remembering of an upload that is not known."""

REPORTED_FAILED = "the storage reported this upload as failed before it announced it"

Decide = Callable[[Upload, str, Input, Millis, Config], Decision]


def told_before(
    begun: Upload, earlier: tuple[Input, ...], now: Millis, config: Config, decide: Decide
) -> Decision:
    """The state of an upload that begins here, or is held, given what came before its announcement.

    The first fact meets an upload that has begun, of which nothing is out. The others count as `decide`
    says, as they would had the upload been known. People are told of all of them.
    """
    decision = _first(_unpublished(begun), earlier[0], now, config, decide)
    known, notices = decision.upload, decision.notices
    for event in earlier[1:]:
        decision = decide(known, known.id, event, now, config)
        known, notices = decision.upload, (*notices, *decision.notices)
    return Decision(known, notices=notices)


def _unpublished(begun: Upload) -> Upload:
    """The upload as it begins. What that would publish is never published, and so does not count."""
    never = tuple(evolve(step, attempts=0, started_at=None) for step in begun.steps)
    return evolve(begun, steps=never, url_requests=0)


def _first(begun: Upload, event: Input, now: Millis, config: Config, decide: Decide) -> Decision:
    if isinstance(event, UploadReady) and event.failed:
        return hold_unbegun(begun, now, REPORTED_FAILED)
    if not isinstance(event, FinishedElsewhere):  # nobody has told the storage an outcome
        begun = evolve(begun, outcome=None, finishes=0)
    return decide(begun, begun.id, event, now, config)
