"""Lines of logs, which others may have written."""

import io
import tracemalloc
from pathlib import Path

import pytest

from kubectl_pp.catalog import BY_NAME
from kubectl_pp.cli import parse
from kubectl_pp.context import Context
from kubectl_pp.errors import UsageError
from kubectl_pp.screen import Screen
from kubectl_pp.verbs.logs import lines_of, run


def test_s6_a_line_without_an_end_is_not_held(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b") as file:
        file.truncate(64 << 20)
        file.seek(0, io.SEEK_END)
        file.write(b"\nnext\n")
        file.seek(0)
        tracemalloc.start()
        try:
            found = [(len(line), line[:4]) for line in lines_of(file)]
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert found == [(1 << 20, bytes(4)), (4, b"next")]
    assert most < 16 << 20


def test_lines_are_cut_and_the_next_one_is_whole() -> None:
    text = b"a\n\n" + b"b" * 10 + b"\nabc\n\x00\x1b[2J\nabcd"
    assert list(lines_of(io.BytesIO(text), 4)) == [b"a", b"", b"bbbb", b"abc", b"\x00\x1b[2", b"abcd"]


@pytest.mark.parametrize("tail", ["x", "1.5", "", "-"])
def test_a_number_of_lines_is_one(tail: str) -> None:
    context = Context(parse(BY_NAME["logs"], [f"--tail={tail}", "-n", "ocis"]), Screen())
    with pytest.raises(UsageError, match="--tail must be a whole number") as caught:
        run(context)
    assert caught.value.remedy == "--tail=-1 prints all lines"
