"""What a ZIP archive really is: by its own table of contents, not by its first entry.

Word, Excel, LibreOffice, EPUB, JAR and APK are all ZIP archives, and programs write the entries in any
order. A name that one of them has is in other archives as well, such as those of sources, so a type is sure
only with a proof. Everything read here is bounded, whatever the file says about itself.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from uploadpp.steps.markup import Guess

ZIP = "application/zip"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

MAX_DIRECTORY_BYTES = 4 << 20
MAX_ENTRIES = 20_000
MAX_ENTRY_BYTES = 1 << 20
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
    (
        "word/",
        "document",
        f"{_OOXML}wordprocessingml.document",
        "application/vnd.ms-word.document.macroEnabled.12",
    ),
    ("xl/", "workbook", f"{_OOXML}spreadsheetml.sheet", "application/vnd.ms-excel.sheet.macroEnabled.12"),
    (
        "ppt/",
        "presentation",
        f"{_OOXML}presentationml.presentation",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    ),
    (
        "visio/",
        "document",
        "application/vnd.ms-visio.drawing",
        "application/vnd.ms-visio.drawing.macroEnabled.12",
    ),
)
"""A folder, its main part, and the types without and with macros."""
_WHOLE = re.compile(rb"""full-path\s{0,8}=\s{0,8}["']/["']""")
"""What the manifest of a document says about all of it, and not about an object in it."""
_BINARY_XML = b"\x03\x00\x08\x00"
_XPS = b"schemas.microsoft.com/xps/"


class Entry(NamedTuple):
    """A file in an archive, as far as its table of contents tells."""

    name: str
    method: int
    compressed: int
    offset: int


class Archive:
    """A complete archive."""

    def __init__(self, file: BinaryIO) -> None:
        """Read its table of contents.

        Raises:
            ValueError: it cannot be read.
        """
        self._file = file
        self.entries = {entry.name: entry for entry in _directory(file)}

    def read(self, name: str) -> bytes:
        """The beginning of an entry; nothing when it is not there, or cannot be read."""
        entry = self.entries.get(name)
        return b"" if entry is None else _read(self._file, entry)


def _is_apk(archive: Archive) -> bool:
    """Libraries and sources have a manifest as well, but as a text, and no program."""
    return (
        "classes.dex" in archive.entries
        or "resources.arsc" in archive.entries
        or archive.read(_ANDROID).startswith(_BINARY_XML)
    )


def _is_jar(archive: Archive) -> bool:
    """Sources, add-ons of browsers and signed archives have a manifest as well, but no program."""
    return any(name.endswith(".class") for name in archive.entries)


def _is_xps(archive: Archive) -> bool:
    return _XPS in archive.read("_rels/.rels")


def _is_kmz(archive: Archive) -> bool:
    """What belongs to a map is in folders."""
    return all("/" in name for name in archive.entries if name != _MAP)


_ANDROID, _MAP = "AndroidManifest.xml", "doc.kml"
_MARKS: tuple[tuple[str, str, Callable[[Archive], bool]], ...] = (
    # a name that a kind of archive has, its type, and what only this kind has; an APK is also a JAR
    (_ANDROID, "application/vnd.android.package-archive", _is_apk),
    ("META-INF/container.xml", "application/epub+zip", lambda _: False),  # it says so in `mimetype`
    ("META-INF/MANIFEST.MF", "application/java-archive", _is_jar),
    ("FixedDocSeq.fdseq", "application/vnd.ms-xpsdocument", _is_xps),
    (_MAP, "application/vnd.google-earth.kmz", _is_kmz),
)


def zip_type(file: BinaryIO) -> Guess:
    """The type of a complete ZIP archive; not sure when archives of other kinds look so as well.

    Raises:
        ValueError: its table of contents cannot be read, so it is not known.
    """
    archive = Archive(file)
    said = _office(archive) or _declared(archive)
    marked = [(mime, proves) for name, mime, proves in _MARKS if name in archive.entries]
    for mime, proves in marked:
        if proves(archive):
            # Anybody can add an entry that makes it look like a document as well.
            return Guess(mime, sure=said is None)
    if said is not None:
        return said
    return Guess(marked[0][0], sure=False) if marked else Guess(ZIP, sure=True)


def _declared(archive: Archive) -> Guess | None:
    """The type that an archive says it has; None if it says nothing."""
    if _MIME.fullmatch(text := archive.read("mimetype").strip()):
        return Guess(text.decode(), sure=True)
    return _open_document(archive.read("META-INF/manifest.xml"))


def _open_document(manifest: bytes) -> Guess | None:
    """The type of a document of LibreOffice by its manifest; None if it is that of something else."""
    whole = _WHOLE.search(manifest)
    if whole is not None:
        begin, end = manifest.rfind(b"<", 0, whole.start()), manifest.find(b">", whole.end())
        if match := _ODF.search(manifest, max(begin, 0), end if end >= 0 else len(manifest)):
            return Guess(match[0].decode(), sure=True)
    match = _ODF.search(manifest)
    return Guess(match[0].decode(), sure=False) if match else None


def zip_type_by_names(head: bytes) -> str:
    """The likely type of an archive of which only the beginning is known; ZIP when nothing tells."""
    names = []
    at = head.find(b"PK\x03\x04")
    while at >= 0 and at + _LOCAL.size <= len(head):
        length = _LOCAL.unpack_from(head, at)[9]
        names.append(head[at + _LOCAL.size : at + _LOCAL.size + length].decode("utf-8", "replace"))
        at = head.find(b"PK\x03\x04", at + 4)
    if "[Content_Types].xml" in names or "_rels/.rels" in names:
        found = _by_folder(names)
        return found.mime if found else ZIP
    return next((mime for name, mime, _ in _MARKS if name in names), ZIP)


def _office(archive: Archive) -> Guess | None:
    """The type of a document of Office; None when it is none. Large and small letters are alike there."""
    types = next((name for name in archive.entries if name.casefold() == _CONTENT_TYPES), None)
    if types is None:
        return None
    match = _MAIN.search(archive.read(types))
    if match is None:
        return _by_folder(archive.entries)
    mime = match[1].decode().replace("macroEnabledTemplate", "macroEnabled")
    return Guess(f"{mime}.12" if mime.endswith("macroEnabled") else mime, sure=True)


def _by_folder(names: Iterable[str]) -> Guess | None:
    """By the folder of a program; sure if its main part is there. None without such a folder."""
    known, found = set(names), []
    for folder, part, plain, with_macros in _FOLDERS:
        inside = [name for name in known if name.startswith(folder)]
        if inside:
            mime = with_macros if f"{folder}vbaProject.bin" in known else plain
            found.append(Guess(mime, sure=any(name.startswith(f"{folder}{part}") for name in inside)))
    return max(found, key=lambda each: each.sure, default=None)


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
