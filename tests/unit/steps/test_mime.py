"""What a file is, whatever the order in which a program has written it."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.steps import Upload
from uploadpp.steps import mime as module
from uploadpp.steps.archives import MAX_ENTRIES, OLE_MAGIC, zip_type
from uploadpp.steps.markup import Guess
from uploadpp.steps.mime import guess, mime_of

TYPES = "[Content_Types].xml"
OOXML = "application/vnd.openxmlformats-officedocument."


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def types(main: str, padding: int = 0) -> tuple[str, bytes]:
    override = f'<Override PartName="/main.xml" ContentType="{main}"/>'
    many = "".join(f'<Default Extension="e{n}" ContentType="image/x-{n}"/>' for n in range(padding))
    return TYPES, f'<?xml version="1.0"?><Types>{many}{override}</Types>'.encode()


async def found(content: bytes) -> Guess:
    async with Upload.of(content).open() as opened:
        return await guess(opened)


NOISE = bytes(range(256)) * 200
DOCX = f"{OOXML}wordprocessingml.document"


@pytest.mark.parametrize(
    "entries",
    [
        [types(f"{DOCX}.main+xml"), ("word/document.xml", b"x")],
        [("customXml/item1.xml", NOISE), types(f"{DOCX}.main+xml"), ("word/document.xml", b"x")],
        [("[trash]/0000.dat", NOISE), ("word/document.xml", b"x"), types(f"{DOCX}.main+xml")],
        [types(f"{DOCX}.main+xml", padding=5000), ("word/document.xml", b"x")],
        [("docProps/thumbnail.jpeg", NOISE * 10), ("word/document.xml", b"x"), types(f"{DOCX}.main+xml")],
        [("word\\document.xml", b"x"), (TYPES, b"<Types/>")],
        [(TYPES, b""), ("word/document.xml", b"x")],
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
async def test_a_document_is_one_whatever_comes_first(entries: list[tuple[str, bytes]], method: int) -> None:
    assert await found(zipped(*entries, method=method)) == Guess(DOCX, sure=True)


@pytest.mark.parametrize(
    ("main", "mime"),
    [
        (f"{OOXML}wordprocessingml.template.main+xml", f"{OOXML}wordprocessingml.template"),
        (f"{OOXML}spreadsheetml.sheet.main+xml", f"{OOXML}spreadsheetml.sheet"),
        (f"{OOXML}spreadsheetml.template.main+xml", f"{OOXML}spreadsheetml.template"),
        (f"{OOXML}presentationml.presentation.main+xml", f"{OOXML}presentationml.presentation"),
        (f"{OOXML}presentationml.slideshow.main+xml", f"{OOXML}presentationml.slideshow"),
        (
            "application/vnd.ms-word.document.macroEnabled.main+xml",
            "application/vnd.ms-word.document.macroEnabled.12",
        ),
        (
            "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
            "application/vnd.ms-word.template.macroEnabled.12",
        ),
        (
            "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
            "application/vnd.ms-excel.sheet.macroEnabled.12",
        ),
        (
            "application/vnd.ms-excel.sheet.binary.macroEnabled.main",
            "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
        ),
        (
            "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
            "application/vnd.ms-powerpoint.slideshow.macroEnabled.12",
        ),
    ],
)
async def test_every_kind_of_office_file(main: str, mime: str) -> None:
    assert await found(zipped(("customXml/a", b"x"), types(main))) == Guess(mime, sure=True)


ODT = b"application/vnd.oasis.opendocument.text"
MANIFEST = b'<manifest:file-entry manifest:full-path="/" manifest:media-type="' + ODT + b'"/>'


@pytest.mark.parametrize(
    ("entries", "mime"),
    [
        ([("mimetype", ODT), ("content.xml", b"x")], ODT.decode()),
        ([("content.xml", NOISE), ("mimetype", ODT)], ODT.decode()),
        ([("content.xml", b"x"), ("META-INF/manifest.xml", MANIFEST)], ODT.decode()),
        ([("mimetype", b"application/epub+zip"), ("META-INF/container.xml", b"x")], "application/epub+zip"),
        ([("META-INF/container.xml", b"x")], "application/epub+zip"),
        ([("META-INF/MANIFEST.MF", b"x"), ("A.class", b"x")], "application/java-archive"),
        (
            [("META-INF/MANIFEST.MF", b"x"), ("AndroidManifest.xml", b"x"), ("classes.dex", b"x")],
            "application/vnd.android.package-archive",
        ),
        ([("a.txt", b"x"), ("word/document.xml", b"x")], "application/zip"),
        ([("mimetype", b"not a type")], "application/zip"),
        ([], "application/zip"),
    ],
)
async def test_other_archives(entries: list[tuple[str, bytes]], mime: str) -> None:
    assert await found(zipped(*entries)) == Guess(mime, sure=True)


async def test_an_archive_that_is_cut_off_is_not_known_for_sure() -> None:
    whole = zipped(types(f"{DOCX}.main+xml"), ("word/document.xml", NOISE))
    assert await found(whole[:-30]) == Guess(DOCX, sure=False)
    assert (await found(zipped(("a", NOISE))[:-30])).sure is False


async def test_an_archive_with_something_before_or_after_it() -> None:
    whole = zipped(("x", b"y"), types(f"{DOCX}.main+xml"))
    shifted = whole[:4] + whole  # begins like an archive, and everything is four bytes later
    assert (await found(shifted)).mime == DOCX
    assert (await found(whole + b"\0" * 1000)).mime == DOCX


async def test_a_large_archive_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ARCHIVE_BYTES", 20_000)
    whole = zipped(("a", NOISE), ("b", b"x"), method=zipfile.ZIP_STORED)
    assert await found(whole) == Guess("application/zip", sure=False)


async def test_a_bomb_does_not_expand() -> None:
    bomb = zipped((TYPES, bytes(200_000_000)), ("word/document.xml", b"x"))
    assert (await found(bomb)).mime == DOCX


ENTRY = struct.Struct("<4s6H3I5H2I")


def table_of(entries: int, name: bytes) -> bytes:
    """An archive with nothing but a table of contents, which says that it has one entry."""
    entry = ENTRY.pack(b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
    table, start = entry * entries, b"PK\x03\x04".ljust(64, b"\0")
    return start + table + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(table), len(start), 0)


class Counted(bytes):
    """Bytes that know how many of them were copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 -- as of bytes
        part = super().__getitem__(key)
        Counted.copied += len(part) if isinstance(part, bytes) else 0
        return part


class CountedFile(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return Counted(super().read(size))


def test_s1_each_part_of_a_table_of_contents_is_copied_once() -> None:
    """All that follows was copied for each entry: four megabytes of table stopped the step for seconds."""
    archive = table_of(19_000, b"x" * 100)
    Counted.copied = 0
    assert zip_type(CountedFile(archive)) == "application/zip"
    assert Counted.copied < 2 * len(archive)


async def test_s1_a_table_has_no_more_entries_than_can_be_read() -> None:
    assert await found(table_of(MAX_ENTRIES, b"")) == Guess("application/zip", sure=True)
    assert await found(table_of(MAX_ENTRIES + 1, b"")) == Guess("application/zip", sure=False)


def ole(stream: str, sector: int = 0) -> bytes:
    """A file of old Office programs with one stream, whose directory begins in this sector."""
    header = bytearray(512)
    header[:8] = OLE_MAGIC
    struct.pack_into("<H", header, 30, 9)
    struct.pack_into("<I", header, 48, sector)
    struct.pack_into("<109I", header, 76, 100, *[0xFFFFFFFF] * 108)
    directory = b""
    for name in ("Root Entry", stream):
        text = name.encode("utf-16-le") + b"\0\0"
        directory += text.ljust(64, b"\0") + struct.pack("<H", len(text)) + bytes(62)
    return bytes(header) + bytes(sector * 512) + directory.ljust(512, b"\0")


@pytest.mark.parametrize(
    ("stream", "mime"),
    [
        ("WordDocument", "application/msword"),
        ("Workbook", "application/vnd.ms-excel"),
        ("Book", "application/vnd.ms-excel"),
        ("PowerPoint Document", "application/vnd.ms-powerpoint"),
        ("__properties_version1.0", "application/vnd.ms-outlook"),
        ("Contents", "application/x-ole-storage"),
    ],
)
@pytest.mark.parametrize("sector", [0, 50])
async def test_files_of_old_office_programs(stream: str, mime: str, sector: int) -> None:
    assert await found(ole(stream, sector)) == Guess(mime, sure=mime != "application/x-ole-storage")


GERMAN = "Grüße aus Köln: 5 € „schön“\r\n" * 500


@pytest.mark.parametrize(
    "content",
    [
        GERMAN.encode("utf-16"),
        b"\xfe\xff" + GERMAN.encode("utf-16-be"),
        GERMAN.encode("utf-16-le"),
        GERMAN.encode("utf-32"),
        b"\xef\xbb\xbf" + GERMAN.encode(),
        GERMAN.encode("cp1252"),
        "Grüße".encode("latin-1"),
        "Привет, мир\n".encode("cp1251") * 900,
        "日本語".encode() * 5000,
        b"BMW is a car, and not a bitmap",
        b"MZ is how some words begin",
        b"ID3 tags are in music files",
        b"GIF89a is a format",
        b'{"a": [1, 2]}',
        b"a;b;c\r\n1;2;3\r\n",
        b"\x1b[31mred\x1b[0m\n",
    ],
)
async def test_text_is_text(content: bytes) -> None:
    assert await found(content) == Guess("text/plain", sure=True)


@pytest.mark.parametrize(
    ("text", "mime"),
    [
        ("<?xml version='1.0'?><a/>", "text/xml"),
        ("<?xml version='1.0'?><!-- x --><svg/>", "image/svg+xml"),
        ("<!DOCTYPE html><p>", "text/html"),
        ("#!/bin/sh\n", "text/x-script"),
        ("\n <!doctype   html >", "text/html"),
        ("<!-- <svg> --><!-- --><HTML\n>", "text/html"),
        ("<body onload=x>", "text/html"),
        (
            "<?xml version='1.0'?><!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><html>",
            "application/xhtml+xml",
        ),
        ("<!-- x --><svg width='1'>", "image/svg+xml"),
        ("<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'svg11.dtd'><svg>", "image/svg+xml"),
        ("<!DOCTYPE x [<!ENTITY a '<svg>'>]><s:svg xmlns:s='http://www.w3.org/2000/svg'>", "image/svg+xml"),
        ("<!-- x -->\n# A title\n<html>", "text/plain"),
        ("<svgs>", "text/plain"),
        ("<!--" * 20, "text/plain"),
        ("<!-- -->" * 65 + "<html>", "text/plain"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_its_kind_is_told_in_every_encoding(text: str, mime: str, encoding: str) -> None:
    assert mime_of(text.encode(encoding)) == mime


async def test_what_browsers_run_and_programs_are_written_in_is_html_for_all_rules_but_delete() -> None:
    assert await found(b"<script>alert(1)</script>") == Guess("text/html", sure=False)
    assert await found(b"<iframe src=x>") == Guess("text/html", sure=False)


@pytest.mark.parametrize(
    "said", [b"image/png", b"text/plain", b"application/pdf", b"application/epub+zipper"]
)
async def test_an_archive_that_says_to_be_something_else_is_an_archive(said: bytes) -> None:
    """A rule that lets pictures through would let it through as well."""
    assert await found(zipped(("mimetype", said), ("evil.exe", b"MZ"))) == Guess("application/zip", sure=True)


@pytest.mark.parametrize(
    "said", ["application/epub+zip", "image/openraster", "application/x-krita", "application/vnd.adobe.x"]
)
async def test_what_archives_may_say_of_themselves(said: str) -> None:
    assert await found(zipped(("mimetype", said.encode()), ("a", b"b"))) == Guess(said, sure=True)


@pytest.mark.parametrize(
    "content", [b"\0", b"\x01\x02\x03", b"a\0b", struct.pack("<4H", 1, 2, 3, 4), NOISE[:3000]]
)
async def test_what_is_none_of_these(content: bytes) -> None:
    assert await found(content) == Guess("application/octet-stream", sure=False)


@given(st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", OLE_MAGIC, b""]), st.binary(max_size=2000))
def test_no_content_ends_in_an_error(magic: bytes, rest: bytes) -> None:
    assert "/" in mime_of(magic + rest)


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_broken_archive_ends_in_an_error(at: int, value: int) -> None:
    data = bytearray(zipped(("a", b"x"), types(f"{DOCX}.main+xml"), ("mimetype", ODT)))
    data[at % len(data)] = value
    assert "/" in mime_of(bytes(data))


def zip64(entries: list[tuple[str, bytes]]) -> bytes:
    """As Apache's library writes it for Excel sheets: 64-bit numbers everywhere, for small files too."""
    body = table = b""
    for name, data in entries:
        place, raw, crc = len(body), name.encode(), zlib.crc32(data)
        head = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(raw), 20)
        body += head + raw + struct.pack("<2H2Q", 1, 16, len(data), len(data)) + data
        entry = (45, 45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(raw), 28, 0, 0, 0, 0, 0xFFFFFFFF)
        table += struct.pack("<4s6H3I5H2I", b"PK\1\2", *entry) + raw
        table += struct.pack("<2H3Q", 1, 24, len(data), len(data), place)
    count, start, end = len(entries), len(body), len(body) + len(table)
    long_end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(table), start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    short_end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + table + long_end + locator + short_end


async def test_an_archive_with_long_numbers_is_read_as_well() -> None:
    word = [("customXml/a", b"x"), types(f"{DOCX}.main+xml")]
    assert await found(zip64(word)) == Guess(DOCX, sure=True)
    text = "application/vnd.oasis.opendocument.text"
    assert await found(zip64([("content.xml", b"x"), ("mimetype", text.encode())])) == Guess(text, sure=True)
    assert await found(zip64([("a", b"b")])) == Guess("application/zip", sure=True)
    assert await found(b"PK\3\4" + zip64(word)[-98:-20]) == Guess("application/zip", sure=False)


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_broken_archive_with_long_numbers_ends_in_an_error(at: int, value: int) -> None:
    content = bytearray(zip64([("mimetype", b"application/epub+zip")]))
    content[at % len(content)] = value
    mime_of(bytes(content))


@pytest.mark.parametrize("name", ["[Content_Types].xml", "[content_types].xml", "[CONTENT_TYPES].XML"])
@pytest.mark.parametrize("form", ["ContentType='{}'", 'ContentType = "{}"', "ContentType\n=\n'{}'"])
async def test_a_list_of_types_is_read_however_it_is_written(name: str, form: str) -> None:
    content = zipped(("a.xml", b""), (name, f"<Override {form.format(DOCX + '.main+xml')}/>".encode()))
    assert await found(content) == Guess(DOCX, sure=True)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    ["Привет, мир! 12\r\n", "Καλημέρα κόσμε\n", "שלום לכולם היום\n", "Zażółć gęślą jaźń, Ā\n" * 2],
)
async def test_text_of_other_alphabets_needs_no_mark(text: str, encoding: str) -> None:
    assert await found((text * 2).encode(encoding)) == Guess("text/plain", sure=True)


@pytest.mark.parametrize(
    "content", [struct.pack("<40H", *range(1, 41)), b"\0\1" * 40, b"\0" * 64, struct.pack("<20I", *range(20))]
)
async def test_small_numbers_are_not_text(content: bytes) -> None:
    assert await found(content) == Guess("application/octet-stream", sure=False)


async def test_a_pdf_may_begin_with_something_else() -> None:
    assert await found(b"\r\n\0junk\n%PDF-1.4\n%\xe2\xe3\0") == Guess("application/pdf", sure=True)
