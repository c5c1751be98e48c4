"""Questions about policies over real HTTP, at the port of the probes."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
import pytest

from e2e.cluster.ports import free_port
from uploadpp.process import health
from uploadpp.process.health import MAX_QUESTION_BYTES, Details, HealthServer, Question
from uploadpp.telemetry.metrics import Metrics

PATH = "/policies/test"


class Policies:
    """What the operator is asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def __call__(self, question: Question) -> tuple[HTTPStatus, bytes]:
        self.asked.append(question)
        return HTTPStatus.OK, b'{"rules":[]}'


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Policies]]:
    monkeypatch.setattr(health, "TESTS_SHARE", 1000.0)
    policies, port = Policies(), free_port()
    details = Details(ask_policies=policies)
    server = HealthServer(f"127.0.0.1:{port}", "t0ken", Metrics(), str, str, details)
    await server.start()
    yield f"http://127.0.0.1:{port}{PATH}", policies
    await server.stop()


async def ask(method: str, url: str, data: bytes | None = None) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, data=data) as response:
        return response.status, response.content_type, await response.text()


async def test_a_question_has_parameters(served: tuple[str, Policies]) -> None:
    url, policies = served
    found = await ask("GET", f"{url}?filename=a%20b.txt&size=1&user=%C3%A4")
    assert found == (200, "application/json", '{"rules":[]}')
    assert policies.asked == [({"filename": "a b.txt", "size": "1", "user": "ä"}, b"")]


@pytest.mark.parametrize("size", [1, 20_000, MAX_QUESTION_BYTES])
async def test_policies_may_be_sent_along(served: tuple[str, Policies], size: int) -> None:
    url, policies = served
    assert (await ask("POST", f"{url}?filename=a", b"x" * size))[0] == 200
    assert policies.asked == [({"filename": "a"}, b"x" * size)]


@pytest.mark.parametrize("size", [0, MAX_QUESTION_BYTES + 1])
async def test_a_body_has_a_limit(served: tuple[str, Policies], size: int) -> None:
    url, policies = served
    status, _, said = await ask("POST", f"{url}?filename=a", b"x" * size)
    assert (status, said) == (413, f"a body of at most {MAX_QUESTION_BYTES} bytes is needed\n")
    assert policies.asked == []


async def test_too_many_parameters_are_refused(served: tuple[str, Policies]) -> None:
    url, policies = served
    query = "&".join(f"a{number}=1" for number in range(100))
    assert (await ask("GET", f"{url}?{query}"))[0] == 400
    assert policies.asked == []


async def test_other_pages_take_no_body(served: tuple[str, Policies]) -> None:
    url, _ = served
    assert (await ask("POST", url.replace(PATH, "/readyz"), b"x"))[0] == 405


async def test_s8_questions_take_a_small_part_of_the_time(
    served: tuple[str, Policies], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, policies = served
    monkeypatch.setattr(health, "TESTS_SHARE", 1e-9)
    assert (await ask("GET", f"{url}?filename=a"))[0] == 200
    status, _, said = await ask("GET", f"{url}?filename=a")
    assert (status, said) == (429, "too many questions; ask again\n")
    assert len(policies.asked) == 1


async def test_without_policies_it_is_said_how_they_are_enabled() -> None:
    port = free_port()
    server = HealthServer(f"127.0.0.1:{port}", "", Metrics(), str, str)
    await server.start()
    status, _, said = await ask("GET", f"http://127.0.0.1:{port}{PATH}?filename=a")
    assert (status, said) == (404, "policies are off: set UPLOADPP_POLICIES=enabled\n")
    await server.stop()


async def test_a_body_that_never_comes_is_not_waited_for(
    served: tuple[str, Policies], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploadpp.process.connections.SECONDS", dict.fromkeys(range(3), 0.1))
    url, policies = served
    host, port = url.removeprefix("http://").removesuffix(PATH).split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /policies/test HTTP/1.1\r\nContent-Length: 10\r\n\r\nx")
    assert await reader.read() == b""
    assert policies.asked == []
    writer.close()
