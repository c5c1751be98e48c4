"""What a file of old Office programs is: by the streams of the document itself.

Such a file is a small file system. Objects that are embedded in a document have a folder each, with the
streams of their own programs. Everything read here is bounded, whatever the file says about itself.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from uploadpp.steps.markup import Guess

OLE = "application/x-ole-storage"
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

MAX_SECTORS = 1024
"""Of the directory; messages with hundreds of attachments have some hundred."""
MAX_TABLES = 64
"""Sectors that list where the tables of sectors are. With 64, a file may have 500 MB."""
HEADER_BYTES, ENTRY_BYTES = 512, 128
_LARGEST = 0xFFFFFFFA
_NOTHING = 0xFFFFFFFF
_STREAM, _ROOT = 2, 5
_STREAMS = {
    "worddocument": "application/msword",
    "workbook": "application/vnd.ms-excel",
    "book": "application/vnd.ms-excel",
    "powerpoint document": "application/vnd.ms-powerpoint",
    "__properties_version1.0": "application/vnd.ms-outlook",
    "visiodocument": "application/vnd.visio",
}


class BrokenError(ValueError):
    """The directory cannot be read."""


class Entry(NamedTuple):
    """A stream or a folder; the numbers are those of other entries."""

    name: str
    kind: int
    left: int
    right: int
    child: int


def ole_type(file: BinaryIO) -> Guess:
    """The type of a file of old Office programs; not sure when nothing tells, or two things differ."""
    try:
        names = [entry.name for entry in _in_root(_entries(file)) if entry.kind == _STREAM]
    except BrokenError:
        return Guess(OLE, sure=False)
    # Programs ask for a stream without regard to small and capital letters.
    found = {_STREAMS[name.lower()] for name in names if name.lower() in _STREAMS}
    return Guess(found.pop(), sure=True) if len(found) == 1 else Guess(OLE, sure=False)


def _in_root(entries: list[Entry]) -> Iterator[Entry]:
    """The entries directly below the root: they are a tree, by which they are sorted.

    Raises:
        BrokenError: it is none.
    """
    if not entries or entries[0].kind != _ROOT:
        raise BrokenError
    seen, left = set(), [entries[0].child]
    while left:
        number = left.pop()
        if number == _NOTHING:
            continue
        if number in seen or number >= len(entries):
            raise BrokenError
        seen.add(number)
        yield entries[number]
        left += entries[number].left, entries[number].right


def _entries(file: BinaryIO) -> list[Entry]:
    """The directory.

    Raises:
        BrokenError: it cannot be read.
    """
    file.seek(0)
    header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise BrokenError
    sector_bytes = 1 << min(struct.unpack_from("<H", header, 30)[0], 12)
    if sector_bytes < ENTRY_BYTES:
        raise BrokenError
    found: list[Entry] = []
    for data in _chain(file, struct.unpack_from("<I", header, 48)[0], _tables(file, header, sector_bytes)):
        for at in range(0, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES):
            length, kind, left, right, child = struct.unpack_from("<HBxIII", data, at + 64)
            name = data[at : at + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            found.append(Entry(name, kind, left, right, child))
    return found


class _Tables(NamedTuple):
    """Where the tables are that say which sector comes after which."""

    sectors: list[int]
    sector_bytes: int


def _tables(file: BinaryIO, header: bytes, sector_bytes: int) -> _Tables:
    """The header has room for 109 of them; large files list more elsewhere."""
    sectors = list(struct.unpack_from("<109I", header, 76))
    more = struct.unpack_from("<I", header, 68)[0]
    for _ in range(MAX_TABLES):
        data = _sector(file, more, sector_bytes)
        if len(data) < sector_bytes:
            break
        *listed, more = struct.unpack(f"<{sector_bytes // 4}I", data)
        sectors += listed
    return _Tables(sectors, sector_bytes)


def _chain(file: BinaryIO, sector: int, tables: _Tables) -> Iterator[bytes]:
    """The sectors that come after this one, with it."""
    per_table = tables.sector_bytes // 4
    for _ in range(MAX_SECTORS):
        data = _sector(file, sector, tables.sector_bytes)
        yield data
        table, place = divmod(sector, per_table)
        if not data or table >= len(tables.sectors):
            return
        following = _sector(file, tables.sectors[table], tables.sector_bytes)[place * 4 : place * 4 + 4]
        if len(following) < 4:  # noqa: PLR2004 -- bytes of a number
            return
        sector = struct.unpack("<I", following)[0]


def _sector(file: BinaryIO, number: int, sector_bytes: int) -> bytes:
    """A sector; nothing when there is none of this number."""
    if number >= _LARGEST:
        return b""
    file.seek((number + 1) * sector_bytes)
    return file.read(sector_bytes)
