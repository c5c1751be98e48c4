"""Rights that are missing are named before an upload needs them."""

import asyncio
from typing import Any

import pytest

from uploadpp.kube.errors import ApiError, ForbiddenError, UnavailableError
from uploadpp.kube.responses import read_answer
from uploadpp.kube.rights import Rights

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Server:
    """Answers reviews."""

    def __init__(self) -> None:
        self.lacking: set[str] = set()
        self.error: ApiError | None = None

    async def request(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (method, path) == ("POST", PATH)
        if self.error is not None:
            raise self.error
        asked = body["spec"]["resourceAttributes"]
        assert asked["namespace"] == "ns"
        return {"status": {"allowed": f"{asked['verb']} {asked.get('subresource', '')}" not in self.lacking}}


async def told(server: Server) -> str:
    rights = Rights(server, "ns")  # type: ignore[arg-type]
    running = asyncio.create_task(rights.run())
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    return rights.problem


async def test_missing_rights_are_named() -> None:
    server = Server()
    assert await told(server) == ""
    server.lacking = {"create ", "patch status"}
    problem = await told(server)
    assert "no permission to create uploadpostprocessings, patch uploadpostprocessings/status (" in problem


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ForbiddenError(f"POST {PATH}: 401 Unauthorized (the credentials are unknown)"), True),
        (ForbiddenError(f"POST {PATH}: 403 no reviews here"), False),
        (UnavailableError("no route"), False),
    ],
)
async def test_not_knowing_is_no_missing_right(error: ApiError, said: bool) -> None:  # noqa: FBT001
    server = Server()
    server.error = error
    assert bool(await told(server)) is said


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        (b'{"kind": "SelfSubjectAccessReview", "metadata": {}, "status": {"allowed": false}}', True),
        (b'{"kind": "SelfSubjectAccessReview", "metadata": {}, "status": {}}', False),
        (b'{"kind": "SelfSubjectAccessReview", "metadata": {}}', False),
        (b'{"kind": "Lease", "metadata": {}, "status": {"allowed": true}}', False),
    ],
)
def test_an_answer_that_is_none(data: bytes, taken: bool) -> None:  # noqa: FBT001
    if taken:
        assert read_answer("POST", PATH, {}, 201, data)["status"] == {"allowed": False}
    else:
        with pytest.raises(UnavailableError):
            read_answer("POST", PATH, {}, 201, data)
