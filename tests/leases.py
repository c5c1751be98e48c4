"""Leases of an API server that is a dictionary, with a clock that is moved by hand."""

from collections.abc import Callable
from typing import Any

from uploadpp.kube.errors import ApiError, ConflictError, ForbiddenError, NotFoundError, UnavailableError
from uploadpp.kube.lease import Lease

DURATION = 10


class Clock:
    """Moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Leases with optimistic concurrency; `away` makes every request fail."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.away = False
        self.before_put: Callable[[], None] = lambda: None
        self._version = 0

        self.refuses = False
        self.refuses_writes: ApiError | None = None
        self.changes: dict[str, object] = {}
        self.drops: set[str] = set()
        """The annotations that a webhook drops."""

    async def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        timeout: float,  # noqa: ASYNC109 -- the signature of Api
    ) -> dict[str, Any]:
        del timeout
        if self.refuses:
            raise ForbiddenError("no rights")
        if self.away:
            raise UnavailableError("away")
        given = body or {}
        name = given["metadata"]["name"] if method == "POST" else path.rpartition("/")[2]
        if method == "GET":
            if name not in self.leases:
                raise NotFoundError(name)
            return self.leases[name]
        if self.refuses_writes is not None:
            raise self.refuses_writes
        if method == "PUT":
            self.before_put()
            if name not in self.leases:
                raise NotFoundError(name)
            if given["metadata"]["resourceVersion"] != self.leases[name]["metadata"]["resourceVersion"]:
                raise ConflictError(name)
        elif name in self.leases:
            raise ConflictError(name)
        self._version += 1
        stored = {**given, "metadata": {**given["metadata"], "resourceVersion": str(self._version)}}
        stored["spec"] = {**given["spec"], **self.changes}
        annotations = stored["metadata"].get("annotations", {}).items()
        stored["metadata"]["annotations"] = {k: v for k, v in annotations if k not in self.drops}
        self.leases[name] = stored
        return stored


async def attempt(lease: Lease) -> int | None:
    """One try to get it; None when somebody else has it."""
    return (await lease._try_to_acquire())[0]
