"""Lines of logs, which others may have written."""

import io
import tracemalloc
from pathlib import Path

from kubectl_pp.verbs.logs import lines_of


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
