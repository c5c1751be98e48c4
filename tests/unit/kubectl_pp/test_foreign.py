"""Objects that strangers make by the thousand, of a megabyte each: no more is read than is looked at (S6)."""

import base64
import gzip
import json
from argparse import Namespace
from typing import Any, cast
from urllib.parse import parse_qs

import pytest

from kubectl_pp import foreign
from kubectl_pp.client import JSON, TABLE, Client
from kubectl_pp.context import Context
from kubectl_pp.proxy import Proxy
from kubectl_pp.verbs.doctor import shards
from kubectl_pp.verbs.events import MOST_SAID, events_of
from kubectl_pp.verbs.report import CHART, release_of_chart

HUGE = "x" * 1_000_000
TIME = "2026-01-01T00:00:00Z"
Json = Any


class Answered:
    """A response, as far as it is looked at."""

    status = 200
    headers: dict[str, str] = {}  # noqa: RUF012 -- nobody changes it


class Cluster(Client):
    """An API server with many objects of one kind, which it makes when they are asked for."""

    def __init__(self, make: Any, count: int) -> None:  # noqa: ANN401 -- a function
        super().__init__(cast("Proxy", None), 5)
        self._make, self._count = make, count
        self.most = 0
        """The bytes of the largest answer."""

    def _once(self, method: str, target: str, data: Any, headers: dict[str, str], read: Any) -> Any:  # noqa: ANN401
        del method, data, read
        query = {name: values[0] for name, values in parse_qs(target.partition("?")[2]).items()}
        begin, limit = int(query.get("continue", 0)), int(query.get("limit", self._count))
        chosen = query.get("fieldSelector", "").partition("metadata.name=")[2]
        numbers = range(begin, min(begin + limit, self._count)) if not chosen else range(self._count)
        metadata = {"continue": str(begin + limit)} if not chosen and begin + limit < self._count else {}
        if headers["Accept"] == TABLE:
            assert query["includeObject"] == "None"
            rows = [{"cells": [self.name(number), "1d"]} for number in numbers]
            columns = [{"name": "Name"}, {"name": "Age"}]
            answer = {"metadata": metadata, "columnDefinitions": columns, "rows": rows}
        else:
            assert headers["Accept"] == JSON
            found = [self._make(self.name(number)) for number in numbers if chosen in {"", self.name(number)}]
            answer = {"metadata": metadata, "items": found}
        content = json.dumps(answer).encode()
        self.most = max(self.most, len(content))
        return Answered(), content

    @staticmethod
    def name(number: int) -> str:
        return f"uploadpp-shard-{number}" if number < 2 else f"uploadpp-shard-x{number}"


def lease(name: str) -> Json:
    spec = {"holderIdentity": "p_x", "leaseDurationSeconds": 15, "renewTime": TIME}
    return {"metadata": {"name": name, "annotations": {"x": HUGE}}, "spec": spec}


def test_s6_leases_of_strangers_are_not_read() -> None:
    client = Cluster(lease, 3000)
    context = cast("Context", Namespace(client=client, options=Namespace(operator_selector="a=b")))
    found = shards(context, "ocis")
    assert [each["metadata"]["name"] for each in found.leases] == ["uploadpp-shard-0", "uploadpp-shard-1"]
    assert client.most < 3 * len(HUGE)


def event(name: str) -> Json:
    about = {"kind": "UploadPostprocessing", "name": name, "uid": HUGE}
    meta = {"name": name, "annotations": {"x": HUGE}, "managedFields": [{}] * 100}
    return {
        "metadata": meta,
        "involvedObject": about,
        "message": HUGE,
        "type": "Normal",
        "lastTimestamp": TIME,
    }


def test_s6_events_of_a_megabyte_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "PAGE", 3)
    monkeypatch.setattr(foreign, "MOST_KEPT", 10)
    client = Cluster(event, 12)
    found = events_of(client, "ocis")
    assert len(found) == 10
    assert len(found[0]["message"]) == MOST_SAID
    assert len(json.dumps(found)) < 10 * 4 * MOST_SAID
    assert client.most < 10 * len(HUGE)


def packed(release: object) -> str:
    text = release if isinstance(release, bytes) else json.dumps(release).encode()
    return base64.b64encode(base64.b64encode(gzip.compress(text))).decode()


OURS = {
    "name": "pp",
    "chart": {"metadata": {"name": CHART, "version": "1"}},
    "config": {"steps": []},
}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"release": "!"},
        {"release": "aGVsbG8="},
        {"release": packed(b"[" * 100_000)},
        {"release": packed([])},
        {"release": packed({"chart": {"metadata": {"name": "x", "dependencies": [1]}}})},
        {"release": packed({"chart": None})},
        {"release": packed(OURS)[:-40]},
        None,
    ],
)
def test_s6_a_secret_that_looks_like_a_release_hides_no_other(data: object) -> None:
    def make(name: str) -> Json:
        return {
            "metadata": {"name": name},
            "data": data if name.endswith("-0") else {"release": packed(OURS)},
        }

    client = Cluster(make, 2)
    found = foreign.read(client, "/api/v1/namespaces/ocis/secrets", {}, release_of_chart)
    assert [each["name"] for each in found] == ["pp"]
