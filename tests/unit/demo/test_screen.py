"""The demo's output: a table that is redrawn in a terminal and only added to elsewhere."""

import io

from e2e.demo.screen import Screen

HEADER = "NAME    STEP       STATUS      AGE"
RUNNING = "clean   policies   Running     1s"
LATER = "clean   policies   Running     2s"
DONE = "clean              Completed   2s"


def test_elsewhere_only_changes_are_added() -> None:
    out = io.StringIO()
    screen = Screen(out, live=False)
    for row in (RUNNING, LATER, DONE, DONE):
        screen.table(f"{HEADER}\n{row}\n")
    assert out.getvalue().splitlines() == [HEADER, RUNNING, DONE]


def test_header_comes_again_when_the_columns_moved() -> None:
    out = io.StringIO()
    screen = Screen(out, live=False)
    screen.table(f"{HEADER}\n{RUNNING}\n")
    screen.table(f"NAME   AGE\n{DONE}\n")
    assert out.getvalue().splitlines() == [HEADER, RUNNING, "NAME   AGE", DONE]


def test_terminal_is_redrawn_in_place() -> None:
    out = io.StringIO()
    screen = Screen(out, live=True)
    screen.table(f"{HEADER}\n{RUNNING}\n")
    screen.table(f"{HEADER}\n{DONE}\n")
    assert out.getvalue() == f"{HEADER}\n{RUNNING}\n\x1b[2F\x1b[J{HEADER}\n{DONE}\n"


def test_the_story_goes_above_the_table() -> None:
    out = io.StringIO()
    screen = Screen(out, live=True)
    screen.table(f"{HEADER}\n")
    screen.write("hello")
    assert out.getvalue() == f"{HEADER}\n\x1b[1F\x1b[Jhello\n{HEADER}\n"
    screen.settle()
    screen.write("below")
    assert out.getvalue().endswith(f"{HEADER}\nbelow\n")


def test_a_settled_table_is_left_alone() -> None:
    out = io.StringIO()
    screen = Screen(out, live=True)
    screen.say("word " * 40)
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_the_widest_line_is_known() -> None:
    screen = Screen(io.StringIO(), live=False)
    assert screen.widest == 0
    screen.table("")
    screen.table(f"{HEADER}\n{RUNNING}\n")
    assert screen.widest == len(HEADER)
