"""PostprocessingStepFinished: exactly the fields and order that the services in Go send."""

from datetime import UTC, datetime

from uploadpp.core.model import Millis
from uploadpp.core.states import Outcome
from uploadpp.core.text import redact
from uploadpp.steps.start import Start
from uploadpp.steps.verdict import NoVerdict, Verdict, VirusscanResult
from uploadpp.wire.decode import MAX_MESSAGE
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.envelope import encode_envelope
from uploadpp.wire.rawjson import go_json, go_string, whole

VIRUSSCAN = "virusscan"
MIN_SECRET = 16
_NEVER = "0001-01-01T00:00:00Z"


def fit(verdict: object, step: str) -> Verdict:
    """The verdict, or a retry that says why it cannot be sent."""
    if not isinstance(verdict, Verdict):
        return NoVerdict(f"the step returned {type(verdict).__name__} instead of a verdict")
    message, outcome = getattr(verdict, "message", None), getattr(verdict, "outcome", None)
    if not isinstance(message, str) or not isinstance(outcome, Outcome):
        return NoVerdict(f"the step returned a {type(verdict).__name__} that was not made by its constructor")
    if step == VIRUSSCAN and not isinstance(verdict.result, VirusscanResult | None):
        # Every service in Go would drop the event (F30).
        return NoVerdict("the result of virusscan must be a VirusscanResult")
    return verdict


def failure(error: BaseException, start: Start) -> NoVerdict:
    """The verdict for an exception of the step: a retry."""
    try:
        text = str(error) or "no message"
    except Exception:  # noqa: BLE001 -- an author's own exception
        text = "its message cannot be read"
    return NoVerdict(_without_secrets(f"{type(error).__name__}: {text}", start))


def encode_answer(start: Start, verdict: Verdict, now: Millis) -> Outgoing:
    """The event for a verdict; `Error` stays null, as nothing else can be read by services in Go (F29)."""
    message = _without_secrets(verdict.message, start)
    payload = (
        f'{{"UploadID":{go_string(start.upload_id)},"ExecutingUser":{start.raw_user},'
        f'"Filename":{start.raw_filename},"FinishedStep":{go_string(start.step)},'
        f'"Result":{_result(verdict, message, start)},"Error":null,'
        f'"Outcome":{go_string(verdict.outcome)},"Timestamp":null}}'
    )
    event_type = "events.PostprocessingStepFinished"
    return Outgoing(
        start.answer_id, encode_envelope(event_type, start.answer_id, payload, start.metadata, now)
    )


def _result(verdict: Verdict, message: str, start: Start) -> str:
    result = verdict.result
    if result is None and message and start.step == VIRUSSCAN:
        result = VirusscanResult(error=message, scanned_at=None)
    if isinstance(result, VirusscanResult):
        # A storage ignores a result with an error, so only the message of a retry becomes one.
        error = result.error or (message if verdict.outcome is Outcome.RETRY else "")
        description = _without_secrets(result.description, start)
        return (
            f'{{"Infected":{go_json(result.infected)},"Description":{go_string(description)},'
            f'"Scandate":"{_time(result.scanned_at)}","ResourceID":{start.raw_resource},'
            f'"ErrorMsg":{go_string(_without_secrets(error, start))},"Timestamp":null}}'
        )
    if message:
        result = {"ErrorMsg": message, **(result or {})}
    return "null" if result is None else go_json(dict(result))


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else _NEVER


def _without_secrets(text: str, start: Start) -> str:
    """Without the URL and without the token at its end, wherever an error quotes them."""
    token = start.url.rpartition("/")[2]
    if len(token) >= MIN_SECRET:
        text = text.replace(token, "<url>")
    return redact(whole(text), MAX_MESSAGE)
