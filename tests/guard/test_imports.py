"""What a command loads: each module that is not needed costs time at every start, and memory all the time."""

import subprocess
import sys

import pytest

CODE = """\
import contextlib, io, sys
from uploadpp.__main__ import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(sys.argv[1:])
print(*sorted({".".join(name.split(".")[:2]) for name in sys.modules}))
"""
OF_THE_OPERATOR = {"kopf", "uploadpp.ownership", "uploadpp.pipeline", "uploadpp.resources"}
OF_STEPS = {"filetype", "uploadpp.steps"}


def loaded(*arguments: str) -> set[str]:
    """What is loaded once a command has parsed these arguments."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "command", ["step", "generate-key", "adopt", "release", "selftest", "postprocessing"]
)
def test_no_other_command_loads_the_operator(command: str) -> None:
    assert not loaded(command, "--help") & OF_THE_OPERATOR


def test_the_operator_loads_no_steps_and_no_tools() -> None:
    found = loaded("run", "--help")
    assert found >= OF_THE_OPERATOR
    assert not found & {*OF_STEPS, "uploadpp.migration", "uploadpp.selftest", "opentelemetry", "requests"}


def test_the_list_of_commands_loads_none_of_them() -> None:
    assert not loaded("--help") & {*OF_THE_OPERATOR, *OF_STEPS, "uploadpp.migration"}
