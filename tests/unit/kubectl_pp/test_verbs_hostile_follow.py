"""Verbs that follow uploads, and the page, among resources in which anything stands: they show the others."""

import copy
import io
import json
import signal
import tarfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_pp import cli
from kubectl_pp.reflector import Change, Reflector
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.detail import describe
from kubectl_pp.ui.filters import Filter
from kubectl_pp.ui.model import Model
from kubectl_pp.ui.stream import Stream
from kubectl_pp.upload import Upload
from tests.property.test_hostile_input import DRIVEN, paths
from tests.unit.kubectl_pp.test_verbs_hostile_answers import (
    GOOD,
    KINDS,
    ODD,
    SEEDS,
    Cluster,
    answer,
    cluster,
    is_harmless,
    named,
    shown,
)

QUIET = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def deep(levels: int) -> Any:  # noqa: ANN401 -- JSON
    found: Any = "x"
    for number in range(levels):
        found = {"log": found} if number % 2 else [found]
    return found


MANY = [{"type": "Other", "status": "True", "name": "a", "state": "Running"}] * 20_000
HUGE = st.sampled_from(
    (
        10**4000, -(10**4000), 10**400, 2**63, -1, float("inf"), float("-inf"), float("nan"), 1e308,
        deep(80), MANY[:300], "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\x1b[2J\u202e" * 50,
    )
)  # fmt: skip
"""What a proxy may answer, and some of it whoever may write a status."""


@st.composite
def hostile(draw: st.DrawFn) -> Any:  # noqa: ANN401 -- JSON
    """A resource with such values in places where something else stands."""
    found = named("odd", draw(st.sampled_from(DRIVEN)))
    for _ in range(draw(st.integers(1, 4))):
        places = paths({key: found[key] for key in ("spec", "status") if key in found})
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        parent = found
        for name in way:
            parent = parent[name]
        parent[last] = json.loads(json.dumps(draw(HUGE)))  # a copy that shares nothing with itself
    return json.loads(json.dumps(found))


class Followed(Cluster):
    """A cluster that tells of its uploads once more in a watch."""

    def watch(self, path: str, params: dict[str, str]) -> Iterator[Any]:
        del path, params
        for each in self._uploads:
            yield {"type": "MODIFIED", "object": copy.deepcopy(each)}
        yield {"type": "DELETED", "object": copy.deepcopy(self._uploads[0])}
        threading.Event().wait()


def until(changes: int, patch: pytest.MonkeyPatch) -> None:
    """Have a person press Ctrl-C after so many changes."""
    left, get = [changes], Reflector.get

    def counted(feed: Reflector, timeout: float | None) -> Change | None:
        del timeout
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return get(feed, 5)

    patch.setattr(Reflector, "get", counted)


@QUIET
@given(found=hostile())
def test_s9_watch_shows_the_others(found: Any) -> None:  # noqa: ANN401 -- JSON
    with pytest.MonkeyPatch.context() as patch, cluster(Followed([found, GOOD])) as out:
        until(4, patch)
        code = cli.main(["watch", "-n", "ocis", "--running"])
    text = shown(out)
    assert code == 0, text
    assert "connection lost" not in text, text
    assert "good" in text
    assert is_harmless(text)


@QUIET
@given(found=hostile())
def test_s9_wait_ends_in_time(found: Any) -> None:  # noqa: ANN401 -- JSON
    with cluster(Followed([found, GOOD])) as out:
        code = cli.main(["wait", "odd", "good", "-n", "ocis", "--timeout", "200ms"])
    text = shown(out)
    assert code in {1, 2, 3, 4, 5, 124}, text
    assert "good" in text
    assert "cannot read" not in text
    assert is_harmless(text)


@QUIET
@given(found=hostile())
def test_s9_the_page_shows_the_others(found: Any) -> None:  # noqa: ANN401 -- JSON
    model, now = Model(), time.time()
    model.load([Upload(found), Upload(copy.deepcopy(GOOD))])
    model.put(Upload(copy.deepcopy(found)))
    frame = b"".join(Stream(model, Filter(view="all"), ("ocis", "odd"), COMMANDS).frame(now)).decode()
    assert "good" in frame
    for line in frame.splitlines():
        if line.startswith("data: "):
            json.dumps(json.loads(line.removeprefix("data: ")), allow_nan=False)
    events = answer("/events", [], table=False)["items"]
    json.dumps(describe(Upload(found), events, COMMANDS, now), allow_nan=False)


COMMANDS = Commands(Namespace(), "ocis")


@QUIET
@given(
    found=hostile(),
    verb=st.sampled_from(
        ["stats", "stats -o json", "status odd good", "status odd -o yaml", "list", "list -o yaml"]
    ),
)
def test_s9_who_looks_once_sees_the_others(found: Any, verb: str) -> None:  # noqa: ANN401 -- JSON
    with cluster(Followed([found, GOOD])) as out:
        code = cli.main([*verb.split(), "-n", "ocis"])
    text = shown(out)
    assert code == 0, text[-2000:]
    assert "good" in text or "odd" in verb or "stats" in verb
    assert is_harmless(text)


def report(found: Cluster) -> tuple[int, set[str], str]:
    """The exit code, the files in the archive, and the end of what was written."""
    with cluster(found) as out:
        code = cli.main(["report", "-n", "ocis", "-o", "-"])
        out.flush()
    raw = cast("io.BytesIO", out.buffer).getvalue()
    names: set[str] = set()
    if raw.startswith(b"\x1f\x8b"):
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
            names = set(archive.getnames())
    return code, names, raw[-1000:].decode(errors="replace")


@QUIET
@given(kind=st.sampled_from(KINDS), values=st.one_of(ODD, st.lists(HUGE, min_size=1, max_size=2)), seed=SEEDS)
def test_s9_a_report_is_written_whatever_is_answered(kind: str, values: list[Any], seed: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    values = json.loads(json.dumps(values))  # they are put into each other, and HUGE stays as it is
    code, names, said = report(Cluster([GOOD, named("odd", DRIVEN[2])], kind, values, seed))
    signal.signal(signal.SIGTERM, before)
    assert code == 0, said
    assert names, said


@pytest.mark.parametrize("verb", ["status odd", "list", "stats", "status odd -o yaml", "watch --running"])
@pytest.mark.parametrize("field", ["conditions", "steps", "both"])
def test_s9_tens_of_thousands_of_conditions_hold_nobody_up(verb: str, field: str) -> None:
    fields = ("conditions", "steps") if field == "both" else (field,)
    status = {**GOOD["status"], "currentStep": "a", **dict.fromkeys(fields, MANY)}
    odd = named("odd", {**GOOD, "status": status})
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, cluster(Followed([odd, GOOD])) as out:
        if verb.startswith("watch"):
            until(4, patch)
        code = cli.main([*verb.split(), "-n", "ocis"])
    assert code == 0, shown(out)[-1000:]
    assert time.monotonic() - began < 15
    assert shown(out)
