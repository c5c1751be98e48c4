"""Whatever the cluster answers, or a proxy in its place: no verb ends in a traceback or shows what acts."""

import contextlib
import copy
import io
import json
import random
import signal
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_pp import cli, completing
from kubectl_pp.client import TABLE, Client
from kubectl_pp.context import Context
from kubectl_pp.proxy import Proxy
from tests.property.test_hostile_input import ANYTHING, DRIVEN, changed, paths
from uploadpp.core.text import clean

Json = Any
LISTED = {"resourceVersion": "7"}
TIME = "2026-01-01T00:00:00Z"
QUIET = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VERBS = (
    "list", "list -o wide", "list -o yaml", "list -o name", "list --failed --sort-by .spec.upload.filesize",
    "status good odd", "status good -o yaml", "stats", "stats --step a", "events", "events good", "doctor",
    "restart good --dry-run --yes", "resume -s a --yes --dry-run", "suspend --all --yes --dry-run",
    "cancel --all --yes --dry-run", "unsuspend --all --yes --dry-run", "prune --older 1d --yes --dry-run",
    "version",
)  # fmt: skip
SEEDS = st.integers(0, 2**32)
ODD = st.lists(ANYTHING, min_size=1, max_size=2)
KINDS = ("uploadpostprocessings", "events", "pods", "leases", "deployments", "customresource", "uploadpp.io")


def named(name: str, found: Json) -> Json:
    made = copy.deepcopy(found)
    meta = {"name": name, "namespace": "ocis", "uid": name, "creationTimestamp": TIME, "resourceVersion": "5"}
    return {**made, "apiVersion": "uploadpp.io/v1alpha1", "kind": "UploadPostprocessing", "metadata": meta}


GOOD = named("good", DRIVEN[0])


def answer(path: str, uploads: list[Json], *, table: bool) -> Json:
    """What an API server would say."""
    about = {"kind": "UploadPostprocessing", "name": "good", "uid": "good"}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}
    meta = {"name": "uploadpp-shard-0", "namespace": "ocis", "labels": {"uploadpp.io/step": "a"}}
    objects: dict[str, Json] = {
        "/events": {
            "involvedObject": about,
            "message": "m",
            "reason": "r",
            "type": "Warning",
            "lastTimestamp": TIME,
        },
        "/pods": {"spec": {"containers": [{}]}, "status": {"containerStatuses": [{"state": waiting}]}},
        "/leases": {"spec": {"holderIdentity": "p_x", "leaseDurationSeconds": 15, "renewTime": TIME}},
        "/deployments": {"spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}},
    }
    for part, value in objects.items():
        if path.endswith(part) and table:
            columns = [{"name": "Name"}, {"name": "Age"}]
            return {
                "metadata": LISTED,
                "columnDefinitions": columns,
                "rows": [{"cells": [meta["name"], "1d"]}],
            }
        if path.endswith(part):
            return {"metadata": LISTED, "items": [{"metadata": meta, **value}]}
    if path == "/version":
        return {"gitVersion": "v1.32.0"}
    if "customresourcedefinitions" in path:
        return {"metadata": {}, "spec": {"versions": []}, "status": {}}
    if path.endswith("/uploadpostprocessings") and table:
        columns = [{"name": each} for each in ("Name", "Step", "Status", "Age")]
        rows = [{"cells": [each["metadata"]["name"], "a", "b", "c"], "object": each} for each in uploads]
        return {"metadata": LISTED, "columnDefinitions": columns, "rows": rows}
    if path.endswith("/uploadpostprocessings"):
        return {"metadata": LISTED, "items": uploads}
    if "/uploadpostprocessings/" in path:
        name = path.rpartition("/")[2]
        return next((each for each in uploads if each["metadata"].get("name") == name), uploads[0])
    return {"metadata": LISTED, "items": [], "resources": [], "status": {"allowed": True}}


class Answered:
    """A response, as far as it is looked at."""

    status = 200
    headers: dict[str, str] = {}  # noqa: RUF012 -- nobody changes it


class Cluster(Client):
    """Answers from memory, and odd ones about one kind of object."""

    def __init__(
        self, uploads: list[Json], odd: str = "", values: list[Any] | None = None, seed: int = 0
    ) -> None:
        super().__init__(cast("Proxy", None), 5)
        self._uploads, self._odd, self._values = uploads, odd, values or []
        self._random = random.Random(seed)  # noqa: S311 -- verbs ask in threads of their own, where Hypothesis cannot draw

    def _once(self, method: str, target: str, data: Any, headers: dict[str, str], read: Any) -> Any:  # noqa: ANN401
        del method, data, read
        path = target.partition("?")[0]
        found = answer(path, copy.deepcopy(self._uploads), table=headers.get("Accept") == TABLE)
        if self._odd and self._odd in path:
            for value in self._values:
                places = paths(found) if isinstance(found, dict | list) else []
                if not places:
                    break
                place = self._random.choice(places)
                parent = found
                for name in place[:-1]:
                    parent = parent[name]
                parent[place[-1]] = copy.deepcopy(value)  # the next one may be put into it
        return Answered(), json.dumps(found).encode()


@contextlib.contextmanager
def cluster(found: Cluster) -> Iterator[io.TextIOWrapper]:
    """All that is printed meanwhile."""
    out, before = io.TextIOWrapper(io.BytesIO(), "utf-8"), signal.getsignal(signal.SIGTERM)
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        patch.setattr(Context, "client", found)
        yield out
    signal.signal(signal.SIGTERM, before)


def shown(out: io.TextIOWrapper) -> str:
    out.flush()
    return cast("io.BytesIO", out.buffer).getvalue().decode()


def is_harmless(text: str) -> bool:
    return all(line == clean(line, len(line) + 1) for line in text.split("\n"))


@QUIET
@given(
    found=changed(),
    verb=st.sampled_from(["stats --step a", "status odd good", "suspend --all --yes --dry-run"]),
)
def test_s9_one_resource_that_an_older_crd_took_hides_no_other(found: Json, verb: str) -> None:
    with cluster(Cluster([named("odd", found), GOOD])) as out:
        code = cli.main([*verb.split(), "-n", "ocis"])
    text = shown(out)
    assert "cannot read" not in text, text
    assert (code, "good" in text or verb.startswith("stats")) == (0, True), text
    assert is_harmless(text)


@QUIET
@given(verb=st.sampled_from(VERBS), kind=st.sampled_from(KINDS), values=ODD, seed=SEEDS)
def test_s8_whatever_is_answered_no_verb_ends_in_a_traceback(
    verb: str, kind: str, values: list[Any], seed: int
) -> None:
    with cluster(Cluster([GOOD, named("odd", DRIVEN[2])], kind, values, seed)) as out:
        code = cli.main([*verb.split(), "-n", "ocis"])
    assert code in {0, 1, 2, 4, 5}
    text = shown(out)
    assert "Traceback" not in text
    assert is_harmless(text), text


@QUIET
@given(words=st.sampled_from(["status ", "list --step ", "restart good "]), values=ODD, seed=SEEDS)
def test_s8_whatever_is_answered_completion_says_nothing_else(
    words: str, values: list[Any], seed: int
) -> None:
    found = Cluster([GOOD, named("odd", DRIVEN[2])], "uploadpostprocessings", values, seed)
    with cluster(found) as out:
        assert completing.complete([*words.split(" ")[:-1], "-n", "ocis", ""]) == 0
    *offered, directive = shown(out).splitlines()
    assert directive.startswith(":")
    assert is_harmless("\n".join(each.replace("\t", "") for each in offered))
