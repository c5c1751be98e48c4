"""`watch` on a terminal: a frame that fits, redrawn in place, and left behind at the end."""

import re

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import ROWS, Terminal

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
    watching.interrupt()
