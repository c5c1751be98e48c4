"""What a ZIP archive or an OLE2 file really is: by its own table of contents, not by its first entry.

Word, Excel, LibreOffice, EPUB, JAR and APK are all ZIP archives, and programs write the entries in any
order. Everything read here is bounded, whatever the file says about itself.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

ZIP = "application/zip"
OLE = "application/x-ole-storage"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

MAX_DIRECTORY_BYTES = 4 << 20
MAX_ENTRIES = 20_000
MAX_ENTRY_BYTES = 1 << 20
MAX_SECTORS = 256
_FARTHEST = 1 << 62
_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_ELSEWHERE_16, _ELSEWHERE_32 = 0xFFFF, 0xFFFFFFFF
"""A number of this value is in a field of 64 bits, which some programs write for small files too."""
_DEFLATED = 8
_MAIN = re.compile(
    rb"""ContentType\s{0,8}=\s{0,8}["'](application/vnd\.[\w.-]{1,100}?)\.main(?:\+xml)?["']"""
)
_CONTENT_TYPES = "[content_types].xml"
_MIME = re.compile(
    rb"application/(?:epub\+zip|(?:vnd\.|x-)[A-Za-z0-9][A-Za-z0-9.+-]{0,100})|image/openraster"
)
"""Types that archives may declare. One that claims to be a picture or a text counts as an archive."""
_ODF = re.compile(rb"application/vnd\.oasis\.opendocument\.[a-z-]{1,40}")
_OOXML = "application/vnd.openxmlformats-officedocument."
_FOLDERS = (
    ("word/", f"{_OOXML}wordprocessingml.document", "application/vnd.ms-word.document.macroEnabled.12"),
    ("xl/", f"{_OOXML}spreadsheetml.sheet", "application/vnd.ms-excel.sheet.macroEnabled.12"),
    (
        "ppt/",
        f"{_OOXML}presentationml.presentation",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    ),
    ("visio/", "application/vnd.ms-visio.drawing", "application/vnd.ms-visio.drawing.macroEnabled.12"),
)
_MARKS = (  # a name that only one kind of archive has; APK before JAR, which it also is
    ("AndroidManifest.xml", "application/vnd.android.package-archive"),
    ("META-INF/container.xml", "application/epub+zip"),
    ("META-INF/MANIFEST.MF", "application/java-archive"),
    ("FixedDocSeq.fdseq", "application/vnd.ms-xpsdocument"),
    ("doc.kml", "application/vnd.google-earth.kmz"),
)
_STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
    ("VisioDocument", "application/vnd.visio"),
)


class Entry(NamedTuple):
    """A file in an archive, as far as its table of contents tells."""

    name: str
    method: int
    compressed: int
    offset: int


def zip_type(file: BinaryIO) -> str:
    """The type of a complete ZIP archive.

    Raises:
        ValueError: its table of contents cannot be read, so it is not known.
    """
    entries = _directory(file)
    by_name = {entry.name: entry for entry in entries}
    if found := _office(file, by_name):
        return found
    if (mimetype := by_name.get("mimetype")) is not None:
        text = _read(file, mimetype).strip()
        if _MIME.fullmatch(text):
            return text.decode()
    if (manifest := by_name.get("META-INF/manifest.xml")) is not None:
        match = _ODF.search(_read(file, manifest))
        if match:
            return match[0].decode()
    return next((mime for name, mime in _MARKS if name in by_name), ZIP)


def zip_type_by_names(head: bytes) -> str:
    """The likely type of an archive of which only the beginning is known; ZIP when nothing tells."""
    names = []
    at = head.find(b"PK\x03\x04")
    while at >= 0 and at + _LOCAL.size <= len(head):
        length = _LOCAL.unpack_from(head, at)[9]
        names.append(head[at + _LOCAL.size : at + _LOCAL.size + length].decode("utf-8", "replace"))
        at = head.find(b"PK\x03\x04", at + 4)
    if "[Content_Types].xml" in names or "_rels/.rels" in names:
        return _by_folder(names) or ZIP
    return next((mime for name, mime in _MARKS if name in names), ZIP)


def _office(file: BinaryIO, by_name: dict[str, Entry]) -> str:
    """The type of a document of Office; nothing when it is none. Large and small letters are alike there."""
    types = next((entry for name, entry in by_name.items() if name.casefold() == _CONTENT_TYPES), None)
    if types is None:
        return ""
    match = _MAIN.search(_read(file, types))
    if match is None:
        return _by_folder(by_name)
    mime = match[1].decode().replace("macroEnabledTemplate", "macroEnabled")
    return f"{mime}.12" if mime.endswith("macroEnabled") else mime


def _by_folder(names: "dict[str, Entry] | list[str]") -> str:
    for folder, plain, with_macros in _FOLDERS:
        if any(name.startswith(folder) for name in names):
            return with_macros if f"{folder}vbaProject.bin" in names else plain
    return ""


def _directory(file: BinaryIO) -> list[Entry]:
    size = file.seek(0, 2)
    tail_start = max(0, size - _END.size - 0xFFFF)
    file.seek(tail_start)
    tail = file.read(_END.size + 0xFFFF)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise ValueError("the archive has no end")
    _, _, _, _, count, length, start, _ = _END.unpack_from(tail, at)
    if count == _ELSEWHERE_16 or _ELSEWHERE_32 in {length, start}:
        count, length, start, at = _long_end(file, tail, tail_start, at)
    # What stands before the archive, as in one that unpacks itself, shifts everything.
    begin = tail_start + at - length
    if not 0 <= begin <= size or length > MAX_DIRECTORY_BYTES or count > MAX_ENTRIES:
        raise ValueError("the table of contents is too large")
    file.seek(begin)
    return list(_entries(file.read(length), begin - start))


def _long_end(file: BinaryIO, tail: bytes, tail_start: int, end: int) -> tuple[int, int, int, int]:
    """Of an archive in ZIP64: number of entries, length and start of its table, and its end in `tail`."""
    if end < _LOCATOR.size or tail[end - _LOCATOR.size :][:4] != b"PK\x06\x07":
        raise ValueError("the archive has no long end")
    # The locator comes right after the record, which has no extensions as far as anybody knows.
    at = end - _LOCATOR.size - _END64.size
    file.seek(max(0, tail_start + at))
    record = file.read(_END64.size)
    if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
        raise ValueError("the archive has no long end")
    *_, count, length, start = _END64.unpack(record)
    return count, length, start, at


def _entries(table: bytes, shift: int) -> Iterator[Entry]:
    at = number = 0
    while at < len(table):
        number += 1
        if number > MAX_ENTRIES:  # however many it says there are
            raise ValueError("the table of contents is too large")
        if at + _ENTRY.size > len(table) or table[at : at + 4] != b"PK\x01\x02":
            raise ValueError("the table of contents is broken")
        fields = _ENTRY.unpack_from(table, at)
        flags, method, compressed = fields[3], fields[4], fields[8]
        name_length, extra_length, comment_length, offset = fields[10], fields[11], fields[12], fields[16]
        name = table[at + _ENTRY.size : at + _ENTRY.size + name_length]
        text = name.decode("utf-8" if flags & 0x800 else "cp437", "replace").replace("\\", "/")
        extra_start = at + _ENTRY.size + name_length
        extra = table[extra_start : extra_start + extra_length]  # no more: there are thousands of entries
        compressed, offset = _long_numbers(extra, (fields[9], compressed, offset))
        yield Entry(text, method, compressed, offset + shift)
        at += _ENTRY.size + name_length + extra_length + comment_length


def _long_numbers(extra: bytes, short: tuple[int, int, int]) -> tuple[int, int]:
    """Compressed size and offset of an entry, with 64 bits if the 32-bit fields say so."""
    size, compressed, offset = short
    at = 0
    while at + 4 <= len(extra) and _ELSEWHERE_32 in short:
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            if size == _ELSEWHERE_32:
                next(numbers, None)
            if compressed == _ELSEWHERE_32:
                compressed = next(numbers, compressed)
            if offset == _ELSEWHERE_32:
                offset = next(numbers, offset)
            break
        at += 4 + length
    return compressed, offset


def _read(file: BinaryIO, entry: Entry) -> bytes:
    """The beginning of an entry; nothing when it cannot be read."""
    if not 0 <= entry.offset < _FARTHEST:
        return b""
    file.seek(entry.offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
        return b""
    *_, name_length, extra_length = _LOCAL.unpack(header)
    file.seek(name_length + extra_length, 1)
    data = file.read(min(entry.compressed, MAX_ENTRY_BYTES))
    if entry.method != _DEFLATED:
        return data if entry.method == 0 else b""
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_ENTRY_BYTES)
    return b""


def ole_type(file: BinaryIO) -> str:
    """The type of a file of old Office programs, by the names of its streams."""
    names = set(_streams(file))
    return next((mime for name, mime in _STREAMS if name in names), OLE)


def _streams(file: BinaryIO) -> Iterator[str]:
    file.seek(0)
    header = file.read(512)
    if len(header) < 512:  # noqa: PLR2004 -- the size of the header
        return
    sector_bytes = 1 << min(struct.unpack_from("<H", header, 30)[0], 12)
    sector = struct.unpack_from("<I", header, 48)[0]
    tables = struct.unpack_from("<109I", header, 76)
    per_table = sector_bytes // 4
    for _ in range(MAX_SECTORS):
        data = _sector(file, sector, sector_bytes)
        for at in range(0, len(data) - 127, 128):
            length = min(struct.unpack_from("<H", data, at + 64)[0], 64)
            yield data[at : at + max(0, length - 2)].decode("utf-16-le", "replace")
        if not data or per_table == 0 or sector // per_table >= len(tables):
            return
        table = _sector(file, tables[sector // per_table], sector_bytes)
        place = sector % per_table * 4
        if len(table) < place + 4:
            return
        sector = struct.unpack_from("<I", table, place)[0]


def _sector(file: BinaryIO, number: int, sector_bytes: int) -> bytes:
    if number >= 0xFFFFFFFA:  # noqa: PLR2004 -- the largest number of a sector
        return b""
    file.seek((number + 1) * sector_bytes)
    return file.read(sector_bytes)
