"""The texts of the Kubernetes Events that pipeline, resources and ownership report.

Those about what was decided on an upload are in `core.event_texts`.
"""

from collections.abc import Mapping, Sequence

from uploadpp.core.commands import Notice, NoticeType

LEGACY_ADVICE = (
    "the postprocessing service of ocis/OpenCloud is still running; switch it off "
    "(OCIS_EXCLUDE_RUN_SERVICES=postprocessing or OC_EXCLUDE_RUN_SERVICES=postprocessing, or in its chart "
    "services.postprocessing.image set to the operator's image)"
)
MISSED_ADVICE = (
    "the limits of the stream or a purge removed them; uploads announced in them are unknown to the "
    "operator until the storage announces them again"
)
SET_ASIDE = (
    "a message that crashes the operator was set aside; it remains in the stream; please report this bug"
)


_EXEMPT = "exempt its resource from that rule, or delete it"
REMEDIES = {
    "Proxy": "let the proxy or web application firewall between the operator and the API server pass it: "
    "exempt the API server from that rule, or raise its limit of request bodies",
    "Policy": _EXEMPT,
    "Webhook": _EXEMPT,
    "Size": "it ends without a record of its end",
    "Changed": "see which client or webhook changes its resource",
}
"""What can be done about an upload that is refused alone, by the reason."""

ENDED_BEFORE = (
    "its upload has ended, which could not be written into this resource; the operator has noted that in its "
    "Lease and does not begin the upload again; delete this resource"
)


def _warning(reason: str, text: str) -> Notice:
    return Notice(NoticeType.WARNING, reason, text)


# -- on the Lease of a shard ------------------------------------------------------------------


def messages_missed(count: int, first: int, last: int) -> Notice:
    """Messages were removed from the stream before they were read; `first` and `last` are the newest ones."""
    what = f"{count} messages were removed before they were read, the last ones {first} to {last}"
    return _warning("MessagesMissed", f"{what}: {MISSED_ADVICE}")


def message_set_aside(details: Mapping[str, object]) -> Notice:
    """A message on which every process ended is left out; `details` say which."""
    words = ", ".join(f"{name} {value}" for name, value in details.items())
    return _warning("MessageSetAside", f"{SET_ASIDE}: {words}")


def uploads_not_recorded(reason: str, error: Exception) -> Notice:
    """The API server refuses the states of uploads."""
    return _warning("UploadsNotRecorded", f"uploads continue, but cannot be recorded ({reason}): {error}")


def alone(upload_id: str, reason: str, words: str) -> str:
    """That one upload is refused while others are recorded, and what can be done about it."""
    remedy = REMEDIES.get(reason, "correct or delete its resource")
    return f"upload {upload_id} cannot be recorded, while others can ({reason}): {words}; {remedy}"


def upload_not_recorded(text: str) -> Notice:
    """The API server refuses the state of one upload; `text` is what `alone` says of it."""
    return _warning("UploadsNotRecorded", f"{text}; the upload itself continues")


def breaker_opened(step: str, uploads: int) -> Notice:
    """So many uploads have failed at a step in a row."""
    failed = f"{uploads} upload{'' if uploads == 1 else 's'} failed at step {step} in a row"
    text = f"{failed}; uploads are queued and keep their retries until a probe gets a good answer"
    return _warning("BreakerOpened", text)


def breaker_closed(step: str) -> Notice:
    """A step is well again."""
    return Notice(NoticeType.NORMAL, "BreakerClosed", f"step {step} is well again; queued uploads continue")


def breaker_without_failures(step: str) -> Notice:
    """Nothing tells any more that a step is not well."""
    text = f"no upload that failed at step {step} is left; queued uploads continue"
    return Notice(NoticeType.NORMAL, "BreakerClosed", text)


def legacy_service_runs(what: str) -> Notice:
    """The legacy service drives the stream as well; `what` says what follows from it."""
    return _warning("LegacyServiceRuns", f"{what}; {LEGACY_ADVICE}")


# -- on the resource of an upload -------------------------------------------------------------


def operator_failed(error: Exception) -> Notice:
    """Our own code failed on an upload."""
    text = f"internal error on this upload ({type(error).__name__}); see the log of the operator"
    return _warning("OperatorFailed", text)


def left_alone(error: Exception) -> Notice:
    """Something is wrong with a resource."""
    return _warning("LeftAlone", str(error))


def sealed_overwritten() -> Notice:
    """Somebody has written the part of a resource that only we may write."""
    text = "spec.sealed was overwritten; the operator restores it, because only the operator may write it"
    return _warning("SealedOverwritten", text)


def cannot_be_handled(error: Exception) -> Notice:
    """Our own code failed on a resource."""
    text = f"internal error on this resource ({type(error).__name__}); see the log of the operator"
    return _warning("LeftAlone", text)


def overruled(upload_id: str, name: str) -> str:
    """Why a person's resource is left alone: the storage has announced its upload, under this name."""
    return f"the storage announced upload {upload_id} itself; it runs as configured, in resource {name}"


def end_not_recorded(stage: str, words: str) -> Notice:
    """An upload has ended, and its resource cannot be written."""
    text = f"the upload has ended ({stage}), but this resource cannot be written; correct or delete it"
    return _warning("LeftAlone", f"{text}: {words}")


def already_begun(steps: Sequence[str]) -> Notice:
    """A person's resource asks for other steps than those with which the upload runs."""
    text = f"the storage announced the upload itself; it runs with the steps {', '.join(steps)}"
    return _warning("AlreadyBegun", text)


def past_unreadable(error: str) -> Notice:
    """The log does not say at present whether the upload of a resource has ended before."""
    text = "the upload does not begin yet: the log, which tells whether it has ended before, cannot be read"
    return _warning("PastUnreadable", f"{text}: {error}")


def url_secret_unreadable(problem: str) -> Notice:
    """The Secret with the URL cannot be used."""
    instead = "the storage is asked for a URL when a step needs one, and the Secret is read again until then"
    return _warning("URLSecretUnreadable", f"urlSecretRef: {problem}; {instead}")
