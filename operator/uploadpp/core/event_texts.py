"""The texts of the Kubernetes Events that a decision causes.

If such a text also stays on the resource as its message, callers take it from the notice. What
other parts report is in `pipeline.fault_event_texts`.
"""

from collections.abc import Sequence

from uploadpp.core.commands import Notice, NoticeType
from uploadpp.core.model import MAX_MESSAGE, Millis, PolicyRef, StepPlan
from uploadpp.core.states import OnExhausted, Outcome, RestartMode, Stage

MAX_WHY = 512
"""The most of a reason that is shown where the way out follows."""
HOW_TO_GO_ON = (
    "if it has already ended, running it can lose the file; resume, restart or cancel the upload "
    "(resume and restart run it from the first step, cancel ends it without telling the storage)"
)


def _normal(reason: str, text: str) -> Notice:
    return Notice(NoticeType.NORMAL, reason, text)


def _warning(reason: str, text: str) -> Notice:
    return Notice(NoticeType.WARNING, reason, text)


# -- steps ------------------------------------------------------------------------------------


def invalid_outcome(step: str, word: str) -> Notice:
    """A step has answered with a word that is not an outcome."""
    return _warning("InvalidOutcome", f"{step} answered {word!r}, which is not an outcome; treated as retry")


def no_scan_result(step: str) -> Notice:
    """A step that has to give a scan result has answered without one."""
    return _warning("NoScanResult", f"{step} answered continue without a scan result; treated as retry")


def rejected(step: str, outcome: str, message: str) -> Notice:
    """A step has answered `abort` or `delete`."""
    return _warning("Rejected", f"{step} answered {outcome}{f': {message}' if message else ''}")


def retry_scheduled(step: str, attempt: int, message: str, wait: Millis) -> Notice:
    """An attempt has failed, and another one follows."""
    text = f"{step}: attempt {attempt} failed{_because(message)}; next attempt in {wait / 1000:g} s"
    return _warning("RetryScheduled", text)


def awaits_recovery(step: str, attempt: int, message: str) -> Notice:
    """An attempt has failed while the breaker of its step is open."""
    text = f"{step}: attempt {attempt} failed{_because(message)}; its breaker is open, so it takes no retry"
    return _warning("AwaitingRecovery", text)


def held_exhausted(step: str, attempts: int, message: str) -> Notice:
    """A step has no retries left, and its upload waits for a person."""
    return _warning("Held", f"{_exhausted(step, attempts, message)}; held until it is resumed")


def retries_exhausted(plan: StepPlan, attempts: int, message: str) -> Notice:
    """A step has no retries left, and its `onExhausted` says how the upload ends or goes on."""
    follows = f"outcome {plan.on_exhausted.lower()}"
    if plan.on_exhausted is OnExhausted.CONTINUE:
        follows = "the upload continues without this step"
    return _warning("RetriesExhausted", f"{_exhausted(plan.name, attempts, message)}; {follows}")


def too_large(step: str, message: str, *, held: bool) -> Notice:
    """The file is larger than the maxFilesize of a step."""
    follows = "held until it is resumed" if held else "step skipped"
    return _warning("TooLarge", f"{step}: {message}; {follows}")


def _exhausted(step: str, attempts: int, message: str) -> str:
    return f"{step}: no retries left after {attempts} attempts{_because(message)}"


def _because(message: str) -> str:
    return f" ({message})" if message else ""


# -- the storage ------------------------------------------------------------------------------


def upload_failed(failures: int) -> Notice:
    """The storage has failed to release the file once too often."""
    text = f"the storage failed to release the file {failures} times; resume or restart the upload"
    return _warning("UploadFailed", text)


def released_elsewhere(outcome: Outcome | None) -> Notice:
    """The storage has released a file that we did not release."""
    order = f"although it was told {outcome}" if outcome else "before postprocessing ended"
    text = f"the storage released the file {order}; did it follow an earlier order, or does another service"
    return _warning("ReleasedElsewhere", f"{text} process this upload?")


def released_unanswered(steps: Sequence[str]) -> Notice:
    """The storage was told to release a file, although some steps have no known answer."""
    text = f"the storage was told to release the file without a known answer of {', '.join(steps)}"
    return _warning("ReleasedUnanswered", text)


def released_out_of_order(earlier: str, waited: Millis) -> Notice:
    """A release has waited for an earlier upload of the same file as long as it may."""
    text = f"upload {earlier} of the same file arrived earlier and has not ended within {waited / 1000:g} s"
    return _warning("ReleasedOutOfOrder", f"{text}; this one is released first")


def upload_missing(observed: str) -> Notice:
    """The storage says for the first time that it does not have the upload."""
    return _warning("UploadMissing", f"{observed} The operator asks again before it ends the upload")


def gone(observed: str) -> Notice:
    """The storage still does not have the upload, which ends."""
    return _warning(Stage.GONE, observed)


def release_failed(failures: int, wait: Millis) -> Notice:
    """The storage has failed to release the file, and is asked again."""
    text = f"the storage failed to release the file (attempt {failures}); next attempt in {wait / 1000:g} s"
    return _warning("ReleaseFailed", text)


# -- nobody answers ---------------------------------------------------------------------------


def step_stalled(step: str, silent: Millis) -> Notice:
    """A step has not answered for long."""
    text = f"step {step} has not answered for {silent / 1000:.0f} s"
    return _stalled(f"{text}; is a service for it running? resume starts the step again")


def release_stalled(outcome: Outcome | None, *, may_send_again: bool) -> Notice:
    """The storage has not said what became of the outcome."""
    text = f"the storage has not answered PostprocessingFinished({outcome}) with UploadReady"
    why = "was the file deleted, was the answer lost, or are asynchronous uploads off?"
    again = "resume sends it again, " if may_send_again else ""
    return _stalled(f"{text}; {why} {again}cancel ends the upload without asking the storage")


def url_stalled() -> Notice:
    """The storage has sent no fresh URL."""
    return _stalled(
        "the storage does not answer RestartPostprocessing; does it still have the upload? resume asks again"
    )


def release_unanswered(outcome: Outcome | None, silent: Millis, *, may_send_again: bool) -> Notice:
    """The upload ends, because the storage has not said for too long what became of the outcome."""
    again = "it is not sent again, because a second abort can remove the bytes"
    text = f"the storage has not confirmed PostprocessingFinished({outcome}) {_for(silent)}"
    return _warning(Stage.UNANSWERED, f"{text}; {'resume sends it again' if may_send_again else again}")


def url_unanswered(silent: Millis) -> Notice:
    """The upload ends, because the storage has sent no fresh URL for too long."""
    text = f"the storage has not answered RestartPostprocessing {_for(silent)}"
    return _warning(Stage.UNANSWERED, f"{text}; resume starts over and asks again")


def _stalled(text: str) -> Notice:
    return _warning("Stalled", text)


def _for(silent: Millis) -> str:
    return f"for {silent / 1000:.0f} s"


# -- what people ask for ----------------------------------------------------------------------


def held_unbegun(why: str) -> Notice:
    """A person has to say whether the upload has already ended."""
    return _warning("Held", f"{why}; {HOW_TO_GO_ON}")


def held_after_end(outcome: Outcome, asked: str) -> Notice:
    """A person has made the resource of an upload anew that the storage was told to keep from its user."""
    lost = "a second abort would lose its bytes" if outcome is Outcome.ABORT else "the storage has deleted it"
    ended = f"this upload has ended before: PostprocessingFinished({outcome}) is in the log, and {lost}"
    way = "kubectl pp restart --force (mode ForceRestart) runs it anyway, cancel ends it"
    return _warning("Held", f"{ended}{asked}; {way} without telling the storage")


def held_by_policy(text: str) -> Notice:
    """A rule of a policy holds the upload until a person decides."""
    return _warning("Held", text)


def why_held(why: str, policy: PolicyRef, plan: Sequence[StepPlan]) -> str:
    """Why a policy holds an upload, and what a person can do."""
    cause = why or f"rule {policy.rule} of policy {policy.name} holds the upload until a person decides"
    steps = ", ".join(step.name for step in plan) or "no steps: the file is released at once"
    ways = "resume, restart or cancel the upload; cancel tells the storage to abort or delete it"
    return f"{cause[:MAX_WHY]}; {ways}; resume and restart run {steps}"[:MAX_MESSAGE]


def cancelled(outcome: Outcome) -> Notice:
    """A cancel was carried out."""
    return _normal("Cancelled", f"cancelled as requested; outcome {outcome}")


def cancel_too_late(outcome: Outcome | None) -> Notice:
    """A cancel comes after the storage was told an outcome."""
    text = f"PostprocessingFinished({outcome}) was already sent; the upload is cancelled only if that fails"
    return _warning("CancelTooLate", text)


def step_resumed(step: str, token: str) -> Notice:
    """A resume of all uploads in a step was sent."""
    return _normal(
        "StepResumed", f"resumed all uploads in step {step}, as requested by restart token {token}"
    )


def restarted(mode: RestartMode, token: str) -> Notice:
    """A resume or restart was carried out."""
    word = "Resumed" if mode is RestartMode.RESUME else "Restarted"
    return _normal(word, f"as requested by restart token {token}")


def restart_refused(why: str) -> Notice:
    """A restart was not carried out."""
    return _warning("RestartRefused", why)


# -- the legacy service -----------------------------------------------------------------------


def finished_elsewhere(outcome: Outcome) -> Notice:
    """Another service has told the storage an outcome."""
    orders = {Outcome.CONTINUE: "release the file", Outcome.DELETE: "delete the upload"}
    order = orders.get(outcome, "abort the upload")
    text = f"another service told the storage to {order} before postprocessing ended"
    return _warning("FinishedElsewhere", text)
