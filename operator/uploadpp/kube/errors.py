"""Errors of requests to the API server, one type for each way in which callers react."""

import os
from enum import StrEnum

MOST_WORDS = 200
"""Characters of what the system says of a connection."""
MEANINGS = {
    "TimeoutError": "no complete response in time",
    "ClientPayloadError": "the response ends too early, or does not come from an API server",
    "ClientResponseError": "the response is not HTTP",
}
"""What the library's errors mean that bring no words of the system."""


class Refusal(StrEnum):
    """Why the API server refuses an object; a label of `uploadpp_records_refused_total`."""

    POLICY = "Policy"
    """A ValidatingAdmissionPolicy denies it."""
    WEBHOOK = "Webhook"
    """An admission webhook denies it, or does not answer."""
    CHANGED = "Changed"
    """It was accepted, but a webhook or another client changed what we wrote."""
    QUOTA = "Quota"
    """A ResourceQuota is used up."""
    PERMISSION = "Permission"
    """We lack the permission, or our credentials are not accepted."""
    SCHEMA = "Schema"
    """It does not fit the CRD in the cluster."""
    SIZE = "Size"
    """It is too large for the API server or etcd."""
    NAME = "Name"
    """Another upload has the name."""
    LIMIT = "Limit"
    """More uploads are recorded than UPLOADPP_MAX_RECORDED allows."""
    UNENCODABLE = "Unencodable"
    """Our own code could not make a resource of it."""
    PROXY = "Proxy"
    """It alone is not answered, or not by the API server: a proxy, a web application firewall or a limit of
    request bodies stops it, while other uploads are written. `pipeline.refusals` finds that out."""
    OTHER = "Other"
    """Anything else that the API server says."""
    UNREACHABLE = "Unreachable"
    """There is no answer of the API server."""


class ApiError(Exception):
    """A request failed. The text holds method, path and the server's words, never a body."""

    def __init__(self, text: str, reason: Refusal = Refusal.OTHER) -> None:
        super().__init__(text)
        self.reason = reason


class NotFoundError(ApiError):
    """The object does not exist (any more), says the API server."""


class ConflictError(ApiError):
    """The object exists already, or is not in the state the request was made for."""


class OlderStoreError(Exception):
    """A list is older than a write that the API server has confirmed: etcd was restored from a backup."""


class RefusedError(ApiError):
    """The API server has refused this object. That may last, and it may end."""


class UnavailableError(ApiError):
    """The server is unavailable, overloaded, or we lack a permission: ask again later.

    A missing permission belongs here: it is the installation's fault, not the upload's,
    and nothing may be dropped because of it.
    """

    def __init__(
        self,
        text: str,
        retry_after: float = 0.0,
        reason: Refusal = Refusal.UNREACHABLE,
        *,
        answered: bool = False,
    ) -> None:
        """`answered` says that the request is over: what it may have stored is there by now."""
        super().__init__(text, reason)
        self.retry_after = retry_after
        self.answered = answered


class ContendedError(UnavailableError):
    """Another client keeps changing the object, so that no write of ours finds it as we know it."""


class ExpiredError(UnavailableError):
    """The rest of a list is not available any more (410): it has to be read from the start."""


class TooLargeAnswerError(UnavailableError):
    """The answer is longer than we read: a list has to be asked for in smaller pages."""


class MissingKindError(UnavailableError):
    """The CRD or the namespace is not there, or is being removed."""


class ForbiddenError(UnavailableError):
    """We lack a permission, or our credentials are no longer accepted."""

    def __init__(self, text: str) -> None:
        super().__init__(text, reason=Refusal.PERMISSION)


def words_of(error: BaseException) -> str:
    """What kept a request from being answered: its kind, and for a connection that cannot be made why.

    Only what the system or TLS says: the text of the library's errors may quote the address of a proxy.
    """
    kind = type(error).__name__
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    said = str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or "")
    if said.startswith("Connect call failed"):  # asyncio's own words
        said = os.strerror(getattr(cause, "errno", 0) or 0)
    said = " ".join(said.split())[:MOST_WORDS] or MEANINGS.get(kind, "")
    return f"{kind}: {said}" if said else kind
