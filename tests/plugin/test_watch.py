"""`watch` on a terminal: a frame that fits, redrawn in place, and left behind at the end."""

import re
import unicodedata

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import ROWS, Terminal
from uploadpp.core.evolve import evolve

LEAVE = "\x1b[?1049l"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_board(pp: Plugin, writer: Writer, columns: int) -> None:
    writer.put_all([at(f"upload-{i:03}", ago_minutes=5) for i in range(300)])
    board = Terminal(pp, "kubectl", "pp", "watch", columns=columns)
    board.until(r"300 in postprocessing: 300 Running")
    writer.set_status("upload-000", {**writer.get("upload-000")["status"], "currentStep": "policies"})
    board.until("policies")
    assert board.interrupt() == 0
    frames, _, last = board.seen.rpartition(LEAVE)
    assert frames.startswith("\x1b[?1049h")
    lines = re.sub(r"\x1b\[[\d;]*m", "", last).replace("\r", "").splitlines()
    assert len(lines) < ROWS
    assert max(map(len, lines)) <= columns
    assert lines[1] == "in step: 1 policies, 299 virusscan"
    assert lines[4].split() == [
        *("NAME", "STATE", "STEP"), *(("DONE", "TRY") if columns > 60 else ()), "SINCE", "FILE"
    ]  # fmt: skip
    assert sum("Running" in line for line in lines[5:]) > 10
    assert re.search(r"… and 2\d\d more", lines[-1])
    frame_count = frames.count("\x1b[?2026h")
    assert len(frames) < frame_count * columns * ROWS * 2  # unchanged lines are not sent again


def test_one_upload_until_it_ends(pp: Plugin, writer: Writer) -> None:
    writer.put(at("some", ago_minutes=5))
    watching = Terminal(pp, "kubectl", "pp", "watch", "some", columns=80)
    watching.until("What you can do")
    status = writer.get("some")["status"]
    over = [{**c, "reason": "Completed", "status": "True"} for c in status["conditions"]]
    writer.set_status("some", {**status, "conditions": over})
    watching.until(re.escape(LEAVE) + r"(?s:.*)Completed")
    assert watching.end() == 0


@pytest.mark.parametrize("term", ["dumb", ""])
@pytest.mark.parametrize("words", [["watch"], ["watch", "some"], ["list", "-w"]], ids=" ".join)
def test_a_terminal_that_cannot_be_steered_gets_lines(
    pp: Plugin, writer: Writer, words: list[str], term: str
) -> None:
    """An editor's shell or a serial line showed the escape sequences."""
    writer.put(at("some", ago_minutes=5))
    watching = Terminal(pp, "kubectl", "pp", *words, columns=80, term=term)
    watching.until("some  Running")
    status = writer.get("some")["status"]
    writer.set_status("some", {**status, "currentStep": "policies"})
    watching.until("step policies")
    assert watching.interrupt() == 0
    assert "\x1b" not in watching.seen


WIDE = (
    "\u6f22\u5b57\u306e\u5831\u544a\u66f8" * 30 + ".pdf",
    "\U0001f600 \u26a0\ufe0f " * 40,
    "e\u0301" * 200,
    "x" * 300,
)
"""Characters of two columns, emoji, letters with marks, and one long word."""


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("named", [False, True], ids=["board", "named"])
def test_no_line_is_wider_than_the_terminal(pp: Plugin, writer: Writer, columns: int, *, named: bool) -> None:
    """It would go on in the line below, which is not drawn again."""
    for number, name in enumerate(WIDE):
        upload = at(f"u{number}", ago_minutes=number + 1)
        writer.put(evolve(upload, file=upload.file._replace(filename=name)))
    names = [f"u{number}" for number in range(len(WIDE))]
    for chosen in [[name] for name in names] if named else [[]]:
        watching = Terminal(pp, "kubectl", "pp", "watch", *chosen, columns=columns)
        watching.until("File:" if named else "4 in postprocessing")
        watching.until(r"\x1b\[\?2026l")
        watching.interrupt()
        frames, _, _ = watching.seen.rpartition(LEAVE)
        drawn = re.findall(r"\x1b\[\d+;1H(.*?)\x1b\[[KJ]", frames)
        lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in drawn]
        assert max(map(width, lines)) <= columns


def width(line: str) -> int:
    """Columns of a terminal, computed by other rules than ours: of pairs of a character and a variant."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in line)
    marks = sum(unicodedata.combining(each) > 0 for each in line)
    return len(line) + wide - marks


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_progress_is_drawn_in_place_only_where_that_works(pp: Plugin, writer: Writer, term: str) -> None:
    """It is a line that is written again and again, also of commands that change many."""
    writer.put_all([at(f"upload-{i:03}", ago_minutes=5) for i in range(300)])
    changing = Terminal(pp, "kubectl", "pp", "suspend", "--all", "-y", "--dry-run", columns=80, term=term)
    assert changing.end() == 0
    assert ("\x1b[K" in changing.seen) is (term == "xterm")
