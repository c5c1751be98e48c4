"""What can go wrong with a request to the API server, as far as callers act differently."""


class ApiError(Exception):
    """A request failed. The text holds method, path and the server's words, never a body."""


class NotFoundError(ApiError):
    """The object does not exist (any more)."""


class ConflictError(ApiError):
    """The object exists already, or is not in the state the request was made for."""


class RefusedError(ApiError):
    """The server will never take this object (a 4xx that asking again does not mend)."""


class UnavailableError(ApiError):
    """The server is away, overloaded, or we lack a permission: ask again later.

    A missing permission belongs here: it is the installation's fault, not the upload's,
    and nothing may be dropped because of it.
    """

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class ForbiddenError(UnavailableError):
    """We lack a permission, or are not known any more."""
