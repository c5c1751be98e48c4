"""What the page of `kubectl pp ui` knows: rows, groups, filters, deltas, numbers, commands."""

import json
import shlex
import time
from argparse import Namespace
from typing import Any

import pytest

from kubectl_pp.hints import hints
from kubectl_pp.ui import filters
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.demo import Demo
from kubectl_pp.ui.detail import describe
from kubectl_pp.ui.model import SILENT_SECONDS, Found, Model
from kubectl_pp.ui.numbers import counts, hour, steps
from kubectl_pp.ui.rows import ATTENTION, ENDED, LONG, OTHER, RETRYING, Row
from kubectl_pp.ui.stream import Stream
from kubectl_pp.upload import Upload
from tests.plugin.resources import SHOWN, at
from tests.plugin.test_goldens import STATES
from uploadpp.api.codec import to_resource, to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Upload as CoreUpload

COMMANDS = Commands(Namespace(context="prod", kubeconfig=None, cluster=None), "ocis")


def waiting() -> CoreUpload:
    """An upload that has come just now: a module is read long before its last test runs."""
    return at("calm", ago_minutes=1)


def seen(upload: CoreUpload, **file: str) -> Upload:
    """As the plugin reads it."""
    raw = to_resource(upload, namespace="ocis", shown=SHOWN, sealed="")
    raw["status"] = to_status(evolve(upload, observed_generation=1))
    raw["spec"]["upload"] |= file
    raw["metadata"] |= {"uid": "u", "resourceVersion": "5", "generation": 1}
    raw["metadata"]["creationTimestamp"] = raw["spec"]["upload"]["receivedTime"]
    return Upload(json.loads(json.dumps(raw)))  # plans are shared by all uploads


def events(stream: Stream, now: float) -> dict[str, Any]:
    """The frame as the page takes it apart."""
    found = {}
    for chunk in stream.frame(now):
        name, _, data = chunk.decode().partition("\n")
        found[name.removeprefix("event: ")] = json.loads(data.removeprefix("data: "))
    return found


@pytest.mark.parametrize(
    ("state", "status", "look", "rank"),
    [
        ("stalled", "Stalled", "held bad", ATTENTION),
        ("held", "Held", "held bad", ATTENTION),
        ("backing-off", "BackingOff", "retrying waiting", RETRYING),
        ("queued", "Queued", "waiting waiting", LONG),
        ("unwell", "Queued", "waiting waiting", LONG),
        ("suspended", "Suspended", "held waiting", OTHER),
        ("completed", "Completed", "done good", ENDED),
        ("aborted", "Aborted", "failed bad", ENDED),
    ],
)
def test_each_state_has_its_word_shape_and_rank(state: str, status: str, look: str, rank: int) -> None:
    row = Row(seen(STATES[state]("some-upload")), 1)
    assert len(row.fields) == 10
    assert row.fields[:6] == ["ocis", "some-upload", "report.pdf", row.step, status, look]
    assert row.rank(time.time(), frozenset()) == rank
    assert len(json.dumps(row.fields)) < 400


def test_what_is_queued_for_a_step_nobody_answers_for_needs_attention() -> None:
    model = Model()
    model.load([seen(STATES["queued"]("behind"))])
    now = time.time()
    assert counts(model, model.snapshot(), now, model.silent_steps())["groups"].get("attention") is None
    model.put(seen(STATES["stalled"]("in-front")))
    assert model.silent_steps() == {"virusscan"}
    found = model.find(filters.Filter(view="attention"), now)
    assert [row.key[1] for row in found.rows] == ["in-front", "behind"]
    assert (found.total, found.stuck) == (2, 1)
    assert steps(model, model.snapshot(), now, model.silent_steps())[0]["unwell"]


def test_what_is_queued_for_a_step_that_is_not_well_needs_attention() -> None:
    model = Model()
    model.load([seen(STATES["queued"]("behind")), seen(STATES["unwell"]("probe"))])
    now = time.time()
    assert model.silent_steps() == {"virusscan"}
    found = model.find(filters.Filter(view="attention"), now)
    assert {row.key[1] for row in found.rows} == {"behind", "probe"}
    shown = steps(model, model.snapshot(), now, model.silent_steps())[0]
    assert (now - 1300 < shown["open"] < now - 1200, shown["queued"]) == (True, 2)


def test_what_needs_a_person_comes_first_then_what_waits_longest() -> None:
    model = Model()
    model.load(seen(make(state)) for state, make in STATES.items())
    found = model.find(filters.Filter(view="all"), time.time())
    ranks = [row.rank(time.time(), model.silent_steps()) for row in found.rows]
    assert ranks == sorted(ranks)
    assert {row.key[1] for row in found.rows if row.stuck} == {"stalled", "held", "too-large"}
    since = [row.since for row, rank in zip(found.rows, ranks, strict=True) if rank == ATTENTION]
    assert since == sorted(since)


IN_FLIGHT = {"stalled", "held", "backing-off", "queued", "unwell", "suspended", "too-large"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, IN_FLIGHT),
        ({"view": "attention"}, {"stalled", "held", "too-large", "queued", "unwell"}),
        ({"view": "retrying"}, {"backing-off"}),
        ({"view": "failed"}, {"aborted", "cleaned"}),
        ({"view": "succeeded"}, {"completed"}),
        ({"status": "Completed"}, {"completed"}),
        ({"status": "Held", "step": "virusscan"}, {"held", "too-large"}),
        ({"step": "policies"}, {"suspended"}),
        ({"retries": "2"}, {"held"}),
        ({"text": " REPORT.pdf ", "view": "failed"}, {"aborted", "cleaned"}),
        ({"text": "no such file"}, set()),
        ({"user": "4c510ada-c86b-4815-8820-42cdf82c3d51", "view": "succeeded"}, {"completed"}),
        ({"user": "4c510ada"}, set()),
        ({"older": "7200", "status": "Stalled"}, {"stalled"}),
        ({"older": "86400"}, set()),
        ({"view": "no such view", "retries": "-1", "older": "x", "start": "1e9", "status": ""}, None),
    ],
)
def test_filters_go_together(query: dict[str, str], names: set[str] | None) -> None:
    model = Model()
    model.load(seen(make(state)) for state, make in STATES.items())
    found = model.find(filters.read(query), time.time())
    expected = IN_FLIGHT if names is None else names
    assert {row.key[1] for row in found.rows} == expected
    assert found.total == len(expected)


def test_pages_have_fifty_rows() -> None:
    demo = Demo(260, moving=False)
    demo.start()
    now = time.time()
    total = demo.model.find(filters.Filter(), now).total
    numbers = [
        row.number
        for start in range(0, 300, 50)
        for row in demo.model.find(filters.Filter(start=start), now).rows
    ]
    assert len(numbers) == len(set(numbers)) == total > 250
    assert filters.read({"start": "77"}).start == 50


def test_only_what_changed_is_sent() -> None:
    model = Model()
    model.load([seen(waiting()), seen(STATES["held"]("other"))])
    stream, now = Stream(model, filters.Filter(), ("ocis", "calm"), COMMANDS), time.time()
    first = events(stream, now)
    assert {"state", "counts", "steps", "operator", "hour", "rows", "page", "opened"} <= first.keys()
    assert [row[2] for row in first["rows"]] == ["other", "calm"]
    assert events(stream, now) == {}
    model.put(seen(STATES["backing-off"]("calm")))
    second = events(stream, now)
    assert [row[2] for row in second["rows"]] == ["calm"]
    assert second["rows"][0][0] == first["rows"][1][0], "a row keeps its number"
    assert {"counts", "rows"} <= second.keys()
    assert not {"page", "hour", "operator", "state"} & second.keys()
    model.drop(("ocis", "calm"))
    third = events(stream, now)
    assert third["page"]["total"] == 1
    assert third["opened"] == ""
    assert "rows" not in third


def test_counts_follow_uploads_from_flight_to_their_end() -> None:
    model, now = Model(), time.time()

    def groups() -> dict[str, int]:
        found: dict[str, int] = counts(model, model.snapshot(), now, frozenset())["groups"]
        return found

    model.load([seen(waiting()), seen(STATES["completed"]("done")), seen(STATES["aborted"]("bad"))])
    assert groups() == {"": 1, "succeeded": 1, "failed": 1, "all": 3}
    model.put(seen(STATES["completed"]("calm")))
    assert groups() == {"succeeded": 2, "failed": 1, "all": 3}
    model.put(seen(STATES["held"]("done")))
    assert groups() == {"": 1, "attention": 1, "succeeded": 1, "failed": 1, "all": 3}
    model.drop(("ocis", "bad"))
    model.drop(("ocis", "done"))
    model.drop(("ocis", "never there"))
    assert groups() == {"succeeded": 1, "all": 1}
    assert counts(model, model.snapshot(), now, frozenset())["states"] == [["Completed", 1]]
    model.load([seen(STATES["aborted"]("bad"))])
    assert groups() == {"failed": 1, "all": 1}
    assert len(model.snapshot(ended=True)) == 1


def test_a_new_list_keeps_numbers_and_forgets_what_is_gone() -> None:
    model = Model()
    model.load([seen(waiting()), seen(STATES["held"]("other"))])
    before = {row.key[1]: row.number for row in model.snapshot()}
    model.load([seen(STATES["held"]("other")), seen(STATES["held"]("third"))])
    after = {row.key[1]: row.number for row in model.snapshot()}
    assert after["other"] == before["other"]
    assert after.keys() == {"other", "third"}
    assert after["third"] not in before.values()


def test_the_page_says_when_what_it_shows_is_old() -> None:
    model = Model()
    model.load([seen(waiting())])
    stream, now = Stream(model, filters.Filter(), None, COMMANDS), time.time()
    assert events(stream, now)["state"] == {"lost": "", "asOf": 0, "loaded": True}
    model.lose("kubectl proxy does not answer")
    assert events(stream, now)["state"]["lost"] == "kubectl proxy does not answer"
    model.put(seen(waiting()))
    assert events(stream, now)["state"]["lost"] == ""
    silent = events(stream, now + SILENT_SECONDS + 1)["state"]
    assert silent["lost"] == "no response from the API server"
    assert silent["asOf"] == pytest.approx(now, abs=2)


def test_the_last_hour_follows_from_the_times_of_the_resources() -> None:
    now = 1_795_000_000.0 // 60 * 60 + 30

    class Made:
        failed = False

        def __init__(self, created: float, completed: float = 0.0) -> None:
            self.created, self.completed = now - created, now - completed if completed else 0.0

    old, brief, ended = Made(7200), Made(600), Made(1800, 600)
    ended.failed = True
    found = hour([old, brief, ended, Made(9000, 7000)], now)  # type: ignore[list-item]
    assert [len(found[each]) for each in ("good", "bad", "flight", "ages")] == [60] * 4
    assert sum(found["good"]) == 0
    assert found["bad"][49] == sum(found["bad"]) == 1
    assert found["flight"][0] == 1
    assert found["flight"][40] == 2
    assert found["flight"][-1] == 2
    assert found["ages"][-1] == 7200
    assert hour([], now)["ages"] == [0] * 60


def test_steps_say_how_fast_they_answer() -> None:
    model = Model()
    model.load([seen(STATES["aborted"]("long-ago")), seen(at("now", ago_minutes=0.1))])
    (virusscan, policies, storage) = steps(model, model.snapshot(), time.time(), frozenset())
    assert (virusscan["name"], policies["name"], storage["name"]) == ("virusscan", "policies", "finished")
    assert virusscan["running"] == 1
    assert virusscan["median"] is None, "an answer of hours ago says nothing of now"


EVIL_STEP = "zz$(touch${IFS}/tmp/owned)`id`;'x' --all"


def test_commands_are_safe_to_paste() -> None:
    upload = seen(STATES["stalled"]("stuck"))
    upload.status["currentStep"] = EVIL_STEP
    upload.status["steps"][0]["name"] = EVIL_STEP
    upload.spec["steps"][0]["name"] = EVIL_STEP
    found = describe(upload, [], COMMANDS, time.time())
    lines = [hint["command"] for hint in found["hints"] if hint["command"]]
    assert ["kubectl", "pp", "resume", "-s", EVIL_STEP, "-n", "ocis", "--context", "prod"] in map(
        shlex.split, lines
    )
    listed = COMMANDS.for_filter(filters.Filter(view="attention", step=EVIL_STEP), Found([], 3, 2))
    words = [shlex.split(each["command"]) for each in listed]
    assert words[1] == [
        *("kubectl", "pp", "resume", "--stalled", "--step", EVIL_STEP, "-n", "ocis", "--context", "prod")
    ]
    assert "all 2 that are stalled or held" in listed[1]["text"]
    assert all(EVIL_STEP in shlex.split(hint.command) for hint in hints(upload, 0) if " -s " in hint.command)


@pytest.mark.parametrize(
    "wanted", [filters.Filter(text="x"), filters.Filter(retries=2), filters.Filter(view="long")]
)
def test_no_command_is_offered_that_would_choose_others(wanted: filters.Filter) -> None:
    assert COMMANDS.for_filter(wanted, Found([], 3, 0)) == []


def test_in_all_namespaces_the_commands_are_for_all() -> None:
    everywhere = Commands(Namespace(), None)
    (listed,) = everywhere.for_filter(filters.Filter(view="failed"), Found([], 3, 0))
    assert listed["command"] == "kubectl pp list --failed -A"
    assert everywhere.verb("resume x", "other") == "kubectl pp resume x -n other"


def test_an_upload_is_described_with_what_is_next() -> None:
    found = describe(seen(STATES["backing-off"]("slow")), None, COMMANDS, time.time())
    assert found["status"] == "BackingOff"
    assert found["left"] == 1
    assert found["next"] > time.time()
    assert found["events"] is None
    assert [(step["name"], step["attempts"], step["current"]) for step in found["steps"]] == [
        ("virusscan", 1, True),
        ("policies", 0, False),
    ]
    assert found["steps"][0]["finished"] - found["steps"][0]["started"] == 1
    assert "kubectl pp resume slow -n ocis --context prod" in [hint["command"] for hint in found["hints"]]
    assert found["yaml"].startswith("apiVersion: uploadpp.io/v1alpha1\n")
    ended = describe(seen(STATES["completed"]("done")), [], COMMANDS, time.time())
    assert (ended["next"], ended["left"]) == (None, None)
    assert ended["ended"] < ended["removal"]
