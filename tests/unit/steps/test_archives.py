"""What an archive is, whatever the order in which a program has written it."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.steps import Abort, Continue, Upload
from uploadpp.steps import mime as module
from uploadpp.steps.archives import MAX_ENTRIES, zip_type
from uploadpp.steps.markup import Guess
from uploadpp.steps.mime import guess, mime_of
from uploadpp.steps.policies import Policies
from uploadpp.steps.rules import Rules, parse_rule

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


CHART = b'<manifest:file-entry manifest:full-path="Object 1/" manifest:media-type="' + ODT[:-4] + b'chart"/>'
XPS = b'<Relationship Type="http://schemas.microsoft.com/xps/2005/06/fixedrepresentation"/>'
OXPS = b'<Relationship Type="http://schemas.openxps.org/oxps/v1.0/fixedrepresentation"/>'
ANDROID = "AndroidManifest.xml"


@pytest.mark.parametrize(
    ("entries", "mime"),
    [
        ([("mimetype", ODT), ("content.xml", b"x")], ODT.decode()),
        ([("content.xml", NOISE), ("mimetype", ODT)], ODT.decode()),
        ([("content.xml", b"x"), ("META-INF/manifest.xml", MANIFEST)], ODT.decode()),
        ([("mimetype", b"application/epub+zip"), ("META-INF/container.xml", b"x")], "application/epub+zip"),
        ([("META-INF/MANIFEST.MF", b"x"), ("A.class", b"x")], "application/java-archive"),
        (
            [("META-INF/MANIFEST.MF", b"x"), ("AndroidManifest.xml", b"x"), ("classes.dex", b"x")],
            "application/vnd.android.package-archive",
        ),
        (
            [(ANDROID, b"\x03\x00\x08\x00"), ("META-INF/MANIFEST.MF", b"x")],
            "application/vnd.android.package-archive",
        ),
        (
            [(ANDROID, b"<manifest/>"), ("META-INF/MANIFEST.MF", b"x"), ("A.class", b"x")],
            "application/java-archive",
        ),
        (
            [(TYPES, b"<Types/>"), ("FixedDocSeq.fdseq", b"x"), ("_rels/.rels", XPS)],
            "application/vnd.ms-xpsdocument",
        ),
        ([("doc.kml", b"x"), ("images/photo.jpg", b"x")], "application/vnd.google-earth.kmz"),
        (
            [("META-INF/manifest.xml", CHART + MANIFEST), ("Object 1/content.xml", b"x")],
            ODT.decode(),
        ),
        (
            [(TYPES, b"<Types/>"), ("word/notes.txt", b"x"), ("xl/workbook.xml", b"x")],
            f"{OOXML}spreadsheetml.sheet",
        ),
        ([("a.txt", b"x"), ("word/document.xml", b"x")], "application/zip"),
        ([("mimetype", b"not a type")], "application/zip"),
        ([], "application/zip"),
    ],
)
async def test_other_archives(entries: list[tuple[str, bytes]], mime: str) -> None:
    assert await found(zipped(*entries)) == Guess(mime, sure=True)


OTHERS: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    # what it is, and what it was taken for
    "music of MuseScore": ([("META-INF/container.xml", b"x"), ("score.mscx", b"x")], "application/epub+zip"),
    "library for Android": (
        [(ANDROID, b"<manifest/>"), ("classes.jar", b"x"), ("R.txt", b"")],
        "application/vnd.android.package-archive",
    ),
    "sources for Android": (
        [(ANDROID, b"<manifest/>"), ("java/A.java", b"x")],
        "application/vnd.android.package-archive",
    ),
    "add-on of a browser": (
        [("META-INF/MANIFEST.MF", b"x"), ("manifest.json", b"{}")],
        "application/java-archive",
    ),
    "sources in Java": ([("META-INF/MANIFEST.MF", b"x"), ("A.java", b"x")], "application/java-archive"),
    "OpenXPS": (
        [(TYPES, b"<Types/>"), ("FixedDocSeq.fdseq", b"x"), ("_rels/.rels", OXPS)],
        "application/vnd.ms-xpsdocument",
    ),
    "a map and a photo": ([("doc.kml", b"x"), ("photo.jpg", b"x")], "application/vnd.google-earth.kmz"),
    "an extension with a chart": ([("META-INF/manifest.xml", CHART)], f"{ODT.decode()[:-4]}chart"),
    "a package with a folder named word": ([(TYPES, b"<Types/>"), ("word/list.txt", b"x")], DOCX),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_an_archive_that_has_a_name_in_common_with_another_kind_is_not_known_for_sure(
    name: str,
) -> None:
    entries, mime = OTHERS[name]
    assert await found(zipped(*entries)) == Guess(mime, sure=False)
    verdict = await Policies(Rules(rules=(parse_rule(f"delete mime={mime}"),))).check(
        Upload.of(zipped(*entries))
    )
    assert isinstance(verdict, Continue)


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
    assert zip_type(CountedFile(archive)) == Guess("application/zip", sure=True)
    assert Counted.copied < 2 * len(archive)


async def test_s1_a_table_has_no_more_entries_than_can_be_read() -> None:
    assert await found(table_of(MAX_ENTRIES, b"")) == Guess("application/zip", sure=True)
    assert await found(table_of(MAX_ENTRIES + 1, b"")) == Guess("application/zip", sure=False)


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


PROGRAMS = {
    "application/vnd.android.package-archive": [
        ("AndroidManifest.xml", b"\x03\0\x08\0"),
        ("classes.dex", b"d"),
    ],
    "application/java-archive": [
        ("META-INF/MANIFEST.MF", b"Main-Class: A\n"),
        ("A.class", b"\xca\xfe\xba\xbe"),
    ],
}
DISGUISES = {
    "a book": ("mimetype", b"application/epub+zip"),
    "of its own invention": ("mimetype", b"application/x-harmless"),
    "a text of LibreOffice": (
        "META-INF/manifest.xml",
        b'<f full-path="/" media-type="application/vnd.oasis.opendocument.text"/>',
    ),
    "a text of Word": types(f"{DOCX}.main+xml"),
}


@pytest.mark.parametrize("mime", PROGRAMS)
@pytest.mark.parametrize("disguise", DISGUISES)
async def test_a_program_that_says_to_be_a_document_is_still_found(mime: str, disguise: str) -> None:
    """Android and Java run it all the same. What it is remains uncertain, so nothing deletes it."""
    for entries in ([DISGUISES[disguise], *PROGRAMS[mime]], [*PROGRAMS[mime], DISGUISES[disguise]]):
        content = zipped(*entries)
        assert await found(content) == Guess(mime, sure=False)
        abort, delete = (Rules(rules=(parse_rule(f"{word} mime={mime}"),)) for word in ("abort", "delete"))
        assert isinstance(await Policies(abort).check(Upload.of(content)), Abort)
        assert isinstance(await Policies(delete).check(Upload.of(content)), Continue)
