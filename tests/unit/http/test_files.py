"""Files that people name: a link is followed, and nothing is read without end or waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from uploadpp.http.certificates import read_bundle
from uploadpp.http.files import MOST_BYTES, read_regular


def test_a_mounted_secret_is_a_link_to_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "key").write_bytes(b"secret\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "key").symlink_to("..data/key")
    assert read_regular(tmp_path / "key") == b"secret\n"
    assert read_regular(str(tmp_path / "key")) == b"secret\n"


@pytest.mark.parametrize("read", [read_regular, read_bundle])
def test_what_never_ends_or_never_comes_is_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(OSError, match="it is not a regular file") as caught:
            read(path)
        assert caught.value.strerror == "it is not a regular file"


def test_a_large_file_is_refused_and_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"x" * MOST_BYTES)
    assert len(read_regular(path)) == MOST_BYTES
    with path.open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="it is larger than 4 MiB"):
        read_regular(path)


def test_a_pipe_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"rules")
    with pytest.raises(OSError, match=r"its writer did not finish within 0\.05 s"):
        read_regular(f"/dev/fd/{reading}", pipe_seconds=0.05)
    os.write(writing, b"rules")
    os.close(writing)
    assert read_regular(f"/dev/fd/{reading}", pipe_seconds=5) == b"rules"
    os.close(reading)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
