"""Finds the list of tracks in the container of MP4, QuickTime and 3GP (ISO 14496-12).

Cameras write it after all pictures, because they know it only then.
"""

import re
import struct
from typing import NamedTuple

from uploadpp.steps.upload import CHUNK_BYTES, Content

MAX_INDEX_BYTES = 4 << 20
"""Of a film of two hours."""
MAX_BYTES_BEFORE = 1 << 30
"""What is passed over at most."""
MAX_PARTS = 256
"""How often something is passed over."""
_PART_BYTES = 8192
_HANDLER = re.compile(rb"hdlr.{8}(vide|soun)", re.DOTALL)


class Tracks(NamedTuple):
    """Which tracks there are, as far as they are known."""

    film: bool
    sound: bool
    all_known: bool


NONE_KNOWN = Tracks(film=False, sound=False, all_known=False)


class _Index(NamedTuple):
    """Where the list begins, and how long it is; None is to the end of the file."""

    begin: int
    length: int | None


def tracks_in(head: bytes) -> Tracks:
    """The tracks that the beginning of a file lists."""
    index = _walk(head)
    return _tracks(head[index.begin :], index.length) if isinstance(index, _Index) else NONE_KNOWN


async def tracks_of(content: Content, head: bytes) -> Tracks:
    """The tracks of a file, of which this beginning has been read.

    Raises:
        DownloadError: the connection ended before the file did.
    """
    part, before = head, 0
    for _ in range(MAX_PARTS):
        found = _walk(part)
        if isinstance(found, _Index):
            most = MAX_INDEX_BYTES if found.length is None else min(found.length, MAX_INDEX_BYTES)
            data = part[found.begin :]
            return _tracks(data + await content.read(max(0, most - len(data))), found.length)
        if found is None or before + found > MAX_BYTES_BEFORE:
            break
        before += found
        left = found - len(part)
        while left > 0 and (passed := await content.read(min(left, CHUNK_BYTES))):
            left -= len(passed)
        rest = part[found:]
        part = rest + await content.read(_PART_BYTES - len(rest))
        if len(part) <= len(rest):
            break
    return NONE_KNOWN


def _walk(part: bytes) -> "_Index | int | None":
    """The list of tracks, or the next place to look for it; None when there is none."""
    at = 0
    while at + 16 <= len(part):
        size, kind = struct.unpack_from(">I4s", part, at)
        begin = at + 8
        if size == 1:
            size = struct.unpack_from(">Q", part, at + 8)[0]
            begin += 8
        if kind == b"moov":
            return _Index(begin, at + size - begin if size else None)
        if size < begin - at:  # also the last one, which ends with the file
            return None
        at += size
    return at


def _tracks(data: bytes, length: int | None) -> Tracks:
    known = data if length is None else data[: max(0, length)]
    kinds = set(_HANDLER.findall(known))
    return Tracks(b"vide" in kinds, b"soun" in kinds, all_known=length is not None and len(known) == length)
