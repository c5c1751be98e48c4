"""What a file is by its content."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.steps import Upload
from uploadpp.steps.markup import Guess
from uploadpp.steps.mime import guess, mime_of
from uploadpp.steps.ole import OLE_MAGIC


async def found(content: bytes) -> Guess:
    async with Upload.of(content).open() as opened:
        return await guess(opened)


BINARY = bytes(range(256)) * 4
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


@pytest.mark.parametrize(
    "content", [b"#!/bin/sh\n", b"#! /usr/bin/env python3\n", b"#!\t /bin/sh -e", b"#!/nix/store/x/bin/sh"]
)
async def test_what_a_kernel_runs_is_a_script(content: bytes) -> None:
    assert await found(content) == Guess("text/x-script", sure=True)


@pytest.mark.parametrize(
    "content",
    [
        b"#![allow(dead_code)]\nfn main() {}\n",
        b"\n\n#! note\n",
        b"#! note",
        b"#!",
        b"#!\n/bin/sh",
        b" #!/bin/sh",
        b"\xef\xbb\xbf#!/bin/sh",
        "#!/bin/sh".encode("utf-16"),
    ],
)
async def test_what_no_kernel_runs_is_no_script(content: bytes) -> None:
    """The sources of a crate in Rust begin so, and a rule that deletes scripts deleted them."""
    assert await found(content) == Guess("text/plain", sure=True)


async def test_what_browsers_run_and_programs_are_written_in_is_html_for_all_rules_but_delete() -> None:
    assert await found(b"<script>alert(1)</script>") == Guess("text/html", sure=False)
    assert await found(b"<iframe src=x>") == Guess("text/html", sure=False)


@pytest.mark.parametrize(
    "content", [b"\0", b"\x01\x02\x03", b"a\0b", struct.pack("<4H", 1, 2, 3, 4), BINARY * 3]
)
async def test_what_is_none_of_these(content: bytes) -> None:
    assert await found(content) == Guess("application/octet-stream", sure=False)


@given(st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", OLE_MAGIC, b""]), st.binary(max_size=2000))
def test_no_content_ends_in_an_error(magic: bytes, rest: bytes) -> None:
    assert "/" in mime_of(magic + rest)


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


TAR = b"a.pdf".ljust(512, b"\0") + b"%PDF-1.4\n" + BINARY


@pytest.mark.parametrize(
    ("content", "guessed"),
    [
        (b"%PDF-1.4\n%\xe2\xe3\0", Guess("application/pdf", sure=True)),
        (b"\xef\xbb\xbf%PDF-1.4\n%\xe2\xe3\0", Guess("application/pdf", sure=True)),
        (TAR, Guess("application/pdf", sure=False)),
        (b"0\x82\x10\0" + bytes(40) + b"%PDF-1.4\n" + BINARY, Guess("application/pdf", sure=False)),
        (b"%PDF with pdflatex\n", Guess("application/pdf", sure=False)),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", Guess("application/postscript", sure=True)),
        (b"%!TEX root = thesis.tex\n", Guess("application/postscript", sure=False)),
        (b"II*\0\x08\0\0\0" + BINARY, Guess("image/tiff", sure=False)),
        (b"MM\0*\0\0\0\x08" + BINARY, Guess("image/tiff", sure=False)),
        (b"II*\0\x10\0\0\0CR\2\0" + BINARY, Guess("image/x-canon-cr2", sure=True)),
        (b"PK\7\x08PK\3\4" + BINARY, Guess("application/zip", sure=False)),
    ],
)
async def test_what_other_files_begin_with_as_well_is_not_known_for_sure(
    content: bytes, guessed: Guess
) -> None:
    """Photos of Nikon and Adobe, signed files, archives of Unix 7, and texts in TeX."""
    assert await found(content) == guessed


async def test_a_pdf_may_begin_with_something_else() -> None:
    assert await found(b"\r\n\0junk\n%PDF-1.4\n%\xe2\xe3\0") == Guess("application/pdf", sure=False)


async def test_a_long_comment_makes_no_text_of_a_photo_or_a_film() -> None:
    comment = b"a comment of the camera\r\n" * 900
    assert await found(b"\xff\xd8\xff\xfe\x58\x58" + comment) == Guess("image/jpeg", sure=True)
    film = b"\x1aE\xdf\xa3\x8bB\x82\x88matroska\xec\x5f\x7f" + comment
    assert await found(film) == Guess("video/x-matroska", sure=False)


@pytest.mark.parametrize("word", ["ясно", "ящик", "ятаган"])
async def test_words_in_old_encodings_are_not_sound(word: str) -> None:
    assert await found(word.encode("cp1251") * 20) == Guess("text/plain", sure=True)
