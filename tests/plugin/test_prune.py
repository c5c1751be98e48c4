"""`prune`: what is over goes, everything else stays."""

import signal
import time
from dataclasses import replace

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import Terminal
from tests.plugin.test_list import INFECTED, PASSED, evolve_config
from uploadpp.core.inputs import StepFinished, UploadReady
from uploadpp.core.states import OnExhausted
from uploadpp.testing.builders import CONFIG

DAY = 24 * 60
COUNT = 800
"""So many that a signal sent after the first deletion comes long before the last."""


def names(writer: Writer) -> set[str]:
    return {item["metadata"]["name"] for item in writer.list()}


def how_many(writer: Writer) -> int:
    """Told without all of them: that takes long while they are being deleted."""
    page = writer.request("GET", f"{writer.path}?limit=1")
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def put_all(writer: Writer) -> None:
    """Ended long ago and lately, well and badly; one that waits for a person each way, and one that moves."""
    held = StepFinished("virusscan", "retry")
    unreleased = (*PASSED[:2], UploadReady(failed=True))
    for upload in (
        at("old-good", *PASSED, ago_minutes=9 * DAY),
        at("old-bad", *INFECTED, ago_minutes=9 * DAY),
        at("new-good", *PASSED, ago_minutes=60),
        at("old-moving", ago_minutes=9 * DAY),
        at(
            "old-held",
            held,
            ago_minutes=9 * DAY,
            config=evolve_config(on_exhausted=OnExhausted.HOLD, max_retries=0),
        ),
        at("old-unreleased", *unreleased, ago_minutes=9 * DAY, config=replace(CONFIG, max_releases=0)),
    ):
        writer.put(upload)


def test_only_what_is_over_for_long_enough(pp: Plugin, writer: Writer) -> None:
    put_all(writer)
    before = names(writer)

    shown = pp("prune", "--older", "7d", "--dry-run", "-o", "name")
    assert (shown.code, shown.err) == (0, "2 would be deleted\n")
    assert {line.rpartition("/")[2] for line in shown.out.splitlines()} == {"old-good", "old-bad"}
    asked = pp("prune", "--older", "7d")
    assert asked.code == 2
    assert "prune asks for confirmation, and the input is not a terminal" in asked.err
    assert pp("prune").code == 2
    assert names(writer) == before

    assert pp("prune", "--older", "7d", "--outcome", "delete", "--yes").out == (
        "uploadpostprocessing.uploadpp.io/old-bad deleted\n"
    )
    assert pp("prune", "--older", "7d", "--yes").code == 0
    assert names(writer) == before - {"old-good", "old-bad"}
    again = pp("prune", "--older", "7d", "--yes")
    assert (again.code, again.out) == (0, "")
    assert "nothing matched" in again.err
    assert pp("prune", "--older", "7d", "--failed", "--yes").code == 0
    assert names(writer) == {"new-good", "old-moving", "old-held"}


def test_a_person_is_asked(pp: Plugin, writer: Writer) -> None:
    put_all(writer)
    for answer, left in (("n", 6), ("y", 4)):
        terminal = Terminal(pp, "kubectl", "pp", "prune", "--older=7d", columns=80)
        terminal.until(r"delete the resources of 2 uploads in namespace \S+\? \[y/N\]")
        terminal.type(f"{answer}\n")
        terminal.end()
        assert len(names(writer)) == left


def test_what_has_begun_again_meanwhile_stays(pp: Plugin, writer: Writer) -> None:
    """The deletion is for the version that was looked at."""
    writer.put(at("old-good", *PASSED, ago_minutes=9 * DAY))
    terminal = Terminal(pp, "kubectl", "pp", "prune", "--older=7d", columns=80)
    terminal.until("y/N")
    moving = at("other", ago_minutes=1)
    writer.put(moving)
    status = next(i for i in writer.list() if i["metadata"]["name"] == "other")["status"]
    writer.set_status("old-good", {**status, "completionTime": None, "outcome": None})
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "unchanged: it no longer matches" in terminal.seen
    assert names(writer) == {"old-good", "other"}


def test_many_are_interrupted_and_go_on(pp: Plugin, writer: Writer) -> None:
    writer.put_all([at(f"over-{i:04}", *PASSED, ago_minutes=9 * DAY) for i in range(COUNT)])
    process = pp.start("prune", "--older=7d", "--yes")
    while how_many(writer) == COUNT:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    left = len(names(writer))
    assert out.count(" deleted\n") == COUNT - left
    assert left > 0
    assert process.returncode == 130
    assert "to continue with the rest: kubectl pp prune --older=7d --yes" in err
    assert pp("prune", "--older=7d", "--yes").code == 0
    assert names(writer) == set()
