"""What docs/steps.md says about trying and testing a step is so, literally."""

import argparse
import asyncio
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from uploadpp.steps import Step, testing
from uploadpp.steps.testing.delivery import Delivery
from uploadpp.steps.testing.loopback import Download
from uploadpp.steps.trial import Exit, add_try_flags

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "steps.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def cells(text: str) -> list[list[str]]:
    """The rows of all tables, without their heads."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if "---" not in row[0]]


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> Step:
    """The ten lines, in a module that can be imported."""
    (code,) = blocks("python")
    module = ModuleType("no_programs")
    assert code.endswith("\nno_programs.run()\n")
    exec(code.replace("\nno_programs.run()\n", "\n"), vars(module))  # noqa: S102 -- our own page
    monkeypatch.setitem(sys.modules, "no_programs", module)
    step = module.no_programs
    assert isinstance(step, Step)
    return step


def examples() -> list[str]:
    return re.findall(r"def (test_\w+)", "".join(blocks("py")))


@pytest.mark.parametrize("name", examples())
def test_the_tests_of_the_page_pass(no_programs: Step, name: str) -> None:
    space: dict[str, Any] = {}
    for code in blocks("py"):
        exec(code, space)  # noqa: S102
    assert space["no_programs"] is no_programs
    test: Callable[[], Any] = space[name]
    if inspect.iscoroutinefunction(test):
        asyncio.run(test())
    else:
        test()


def test_there_are_such_tests() -> None:
    assert len(examples()) == 4


def test_the_printed_example_is_what_is_printed(
    no_programs: Step, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^```\n(/bin/ls: .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    size = int(re.findall(r"of (\d+) bytes", example)[0])
    files = [tmp_path / "plan.pdf", tmp_path / "ls"]
    files[0].write_bytes(b"%PDF")
    files[1].write_bytes(b"\x7fELF".ljust(size, b"\0"))
    with pytest.raises(SystemExit):
        no_programs.run(["--try", *map(str, files)])
    said = capsys.readouterr().out.replace(str(files[1]), "/bin/ls")
    shown = [re.sub(r"took \S+", "took", line) for line in example.splitlines() if "…" not in line]
    printed = [re.sub(r"took \S+", "took", line) for line in said.splitlines()]
    begin = printed.index(shown[0])
    assert printed[begin : begin + len(shown)] == shown


def test_the_exit_statuses_are_those_of_the_page() -> None:
    rows = [row for row in cells(section("Trying a step")) if row[0].isdecimal()]
    assert {int(row[0]) for row in rows} == {*map(int, Exit), 2}
    order = re.findall(r"the worst counts: ([\d, ]+)\.", section("Trying a step"))[0]
    assert [int(each) for each in order.split(",")] == [int(each) for each in reversed(Exit)]


def test_the_flags_are_those_of_the_page() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_try_flags(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    rows = [row[0] for row in cells(section("Trying a step")) if row[0].startswith("`-")]
    assert {each.split()[0].strip("`") for each in rows} == flags


def test_what_deliver_takes_and_gives_is_on_the_page() -> None:
    named = set(re.findall(r"`(\w+)(?:=[^`]*)?`", section("Testing a step")))
    assert set(inspect.signature(testing.deliver).parameters) <= named | {"step"}
    given = {*Delivery.__dataclass_fields__, "verdict", "outcome", "message", "event"}
    assert given - {"given"} <= named
    assert {each.name for each in Download} <= named | {"WHOLE", "CUT"}
    assert "Download.CUT" in section("Testing a step")


def test_both_forms_take_the_same() -> None:
    one, other = (inspect.signature(each).parameters for each in (testing.deliver, testing.deliver_async))
    assert one == other
