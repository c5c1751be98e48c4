"""Policies as they are read: all of them, whatever strangers have written into their metadata."""

from typing import Any, cast

import orjson
import pytest

from uploadpp.kube import policy_store
from uploadpp.kube.bodies import MOST_BYTES
from uploadpp.kube.errors import ExpiredError, NotFoundError, TooLargeAnswerError
from uploadpp.kube.policy_store import FIRST_PAGE, MOST, PAGE, PolicyStore, TooManyPoliciesError

SPEC = {"rules": [{"name": "all"}]}


def policy(name: str, labels: int = 0, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields
    meta = {"name": name, "uid": f"uid of {name}", "generation": 2, "resourceVersion": "7"}
    strange = {
        "labels": {"a": "x" * labels},
        "annotations": {"b": "c"},
        "managedFields": [{"manager": "kubectl"}],
        "finalizers": ["x.example/keep"],
    }
    return {"kind": "PostprocessingPolicy", "metadata": meta | strange, "spec": SPEC, **more}


class Server:
    """Answers as the API server does, with an answer that is too long when a page is."""

    def __init__(self, *policies: dict[str, Any], expires_at: int = 0) -> None:
        self.policies = list(policies)
        self.expires_at = expires_at
        self.limits: list[int] = []
        self.sent: list[dict[str, Any]] = []

    async def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        content_type: str = "",
        params: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        del content_type
        if method == "PATCH":
            assert body is not None
            self.sent.append(body)
            return self.policies[0] | {"status": body["status"]}
        if not path.endswith("policies"):
            name = path.rpartition("/")[2]
            if (found := [each for each in self.policies if each["metadata"]["name"] == name]) == []:
                raise NotFoundError(f"GET {name}: 404")
            return found[0]
        assert params is not None
        start, limit = int(params.get("continue", 0)), int(params["limit"])
        self.limits.append(limit)
        if start and start == self.expires_at:
            self.expires_at = 0
            del self.policies[0]  # meanwhile
            raise ExpiredError("GET: 410 The provided continue parameter is too old")
        items, end = self.policies[start : start + limit], start + limit
        if sum(len(orjson.dumps(each)) for each in items) > MOST_BYTES:
            raise TooLargeAnswerError(f"GET {path}: the answer (200) has more than {MOST_BYTES} bytes")
        return {"items": list(items), "metadata": {"continue": str(end) if end < len(self.policies) else ""}}


def store(server: Server) -> PolicyStore:
    return PolicyStore(cast("Any", server), "ocis")


async def names(server: Server) -> list[str]:
    return [each["metadata"]["name"] for each in await store(server).list_all()]


@pytest.mark.parametrize("labels", [0, 840_000, 2_500_000, 16_000_000])
async def test_policies_with_large_labels_are_read_in_smaller_pages(labels: int) -> None:
    server = Server(*(policy(f"p{number:02}", labels) for number in range(20)))
    assert await names(server) == [f"p{number:02}" for number in range(20)]
    assert server.limits[0] == FIRST_PAGE
    assert all(1 <= limit <= PAGE for limit in server.limits)


async def test_there_may_be_none() -> None:
    assert await names(Server()) == []


async def test_what_the_operator_does_not_read_is_not_kept() -> None:
    server = Server(policy("p", 10, status={"matched": 3}))
    bare = {"name": "p", "uid": "uid of p", "generation": 2, "resourceVersion": "7"}
    kept = {"metadata": bare, "spec": SPEC, "status": {"matched": 3}}
    assert await store(server).list_all() == [kept]
    assert await store(server).get("p") == kept
    assert await store(server).get("q") is None
    assert await store(server).write_status("p", "7", {"matched": 4}) == kept | {"status": {"matched": 4}}
    assert server.sent == [{"metadata": {"resourceVersion": "7"}, "status": {"matched": 4}}]


@pytest.mark.parametrize(("large", "words"), [(0, "the first one"), (3, "the one after p2")])
async def test_a_policy_that_is_too_large_alone_is_named(large: int, words: str) -> None:
    policies = [policy(f"p{number}") for number in range(5)]
    policies[large] = policy(f"p{large}", MOST_BYTES)
    with pytest.raises(TooLargeAnswerError, match=f"^{words}, in the order of their names, is too large"):
        await names(Server(*policies))


async def test_a_list_that_expires_begins_anew() -> None:
    """What was deleted meanwhile is not in it."""
    policies = [policy(f"p{number:02}") for number in range(20)]
    found = await names(Server(*policies, expires_at=FIRST_PAGE))
    assert found == [f"p{number:02}" for number in range(1, 20)]


async def test_there_is_a_limit_to_their_number_and_to_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [policy(f"p{number}") for number in range(MOST + 1)]
    with pytest.raises(TooManyPoliciesError, match=f"more than {MOST}"):
        await names(Server(*many))
    assert len(await names(Server(*many[1:]))) == MOST
    monkeypatch.setattr(policy_store, "MOST_BYTES", 1_000)
    with pytest.raises(TooManyPoliciesError, match="MB; delete some of them"):
        await names(Server(*many[1:]))
