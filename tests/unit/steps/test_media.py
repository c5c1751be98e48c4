"""A rule about films deletes no photo and no song, though their files begin alike."""

import struct

import pytest

from uploadpp.steps import Abort, Continue, Delete, Upload, Verdict
from uploadpp.steps.mime import mime_of
from uploadpp.steps.policies import Policies
from uploadpp.steps.rules import Rules, parse_rule

BINARY = bytes(range(256)) * 4
EBML = b"\x1aE\xdf\xa3\xa3B\x82"


def iso(main: str, *others: str) -> bytes:
    """The beginning of a file of ISO's container, with its brands."""
    brands = b"\0\0\0\0" + b"".join(each.encode() for each in others)
    return struct.pack(">I4s4s", 12 + len(brands), b"ftyp", main.encode()) + brands + BINARY


def matroska(kind: bytes, *codecs: bytes) -> bytes:
    tracks = b"".join(b"\x86" + bytes([0x80 | len(each)]) + each for each in codecs)
    return EBML + bytes([0x80 | len(kind)]) + kind + b"\0\0" + tracks + BINARY


def asf(*streams: str) -> bytes:
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + BINARY
    return header + b"".join(map(bytes.fromhex, streams))


SOUND, FILM = "409e69f84d5bcf11a8fd00805f5c442b", "c0ef19bc4d5bcf11a8fd00805f5c442b"
FILES: list[tuple[str, bytes, str]] = [
    # what it is, its beginning (brands as cameras and programs write them), its type
    ("raw photo of a Canon", iso("crx ", "crx ", "isom"), "image/x-canon-cr3"),
    ("photo of an iPhone", iso("heic", "mif1", "heic"), "image/heic"),
    ("photo with 10 bits", iso("heix", "mif1", "heix", "miaf"), "image/heic"),
    ("photo of an Android", iso("mif1", "mif1", "heic"), "image/heic"),
    ("photo in motion", iso("hevc", "msf1", "hevc", "isom"), "image/heic"),
    ("photo, codec not said", iso("mif1", "miaf"), "image/heif"),
    ("AVIF", iso("avif", "mif1", "miaf"), "image/avif"),
    ("AVIF in motion", iso("avis", "msf1", "iso8", "isom"), "image/avif"),
    ("AVIF, said late", iso("mif1", "miaf", "avif"), "image/avif"),
    ("audiobook", iso("M4B ", "M4A ", "mp42", "isom"), "audio/mp4"),
    ("song of iTunes", iso("M4A ", "M4A ", "mp42", "isom"), "audio/mp4"),
    ("film", iso("isom", "isom", "iso2", "avc1", "mp41"), "video/mp4"),
    ("film of a phone", iso("mp42", "isom", "mp42"), "video/mp4"),
    ("film in pieces", iso("iso5", "iso6", "mp41"), "video/mp4"),
    ("film of a Sony", iso("XAVC", "XAVC", "mp42", "iso2"), "video/mp4"),
    ("film of iTunes", iso("M4V ", "M4V ", "mp42", "isom"), "video/mp4"),
    ("film of QuickTime", iso("qt  ", "qt  "), "video/quicktime"),
    ("film of an old phone", iso("3gp4", "isom", "3gp4"), "video/3gpp"),
    ("film of another old phone", iso("3g2a", "3g2a"), "video/3gpp2"),
    ("song in Ogg", b"OggS\0\2" + BINARY + b"\x01vorbis", "audio/ogg"),
    ("film in Ogg", b"OggS\0\2" + BINARY + b"\x80theora\3\2", "video/ogg"),
    ("film in Matroska", matroska(b"matroska", b"V_MPEG4/ISO/AVC", b"A_AAC"), "video/x-matroska"),
    ("song in Matroska", matroska(b"matroska", b"A_FLAC"), "audio/x-matroska"),
    ("voice note of a browser", matroska(b"webm", b"A_OPUS"), "audio/webm"),
    ("film of a browser", matroska(b"webm", b"V_VP9", b"A_OPUS"), "video/webm"),
    ("song of Windows", asf(SOUND), "audio/x-ms-wma"),
    ("film of Windows", asf(SOUND, FILM), "video/x-ms-wmv"),
]


@pytest.mark.parametrize(("content", "mime"), [file[1:] for file in FILES], ids=[file[0] for file in FILES])
def test_films_photos_and_songs_are_told_apart(content: bytes, mime: str) -> None:
    assert mime_of(content) == mime


NOT_SURE = {
    "a brand that nobody knows": iso("zzzz", "isom"),
    "Matroska without its tracks": matroska(b"matroska"),
    "Windows media without its streams": asf(),
}


async def judged(content: bytes, *rules: str) -> Verdict:
    return await Policies(Rules(rules=tuple(map(parse_rule, rules)))).check(Upload.of(content))


@pytest.mark.parametrize("name", NOT_SURE)
async def test_what_may_be_something_else_is_not_deleted(name: str) -> None:
    verdict = await judged(NOT_SURE[name], "delete mime=video/*", "abort mime=video/*")
    assert isinstance(verdict, Abort)


async def test_a_rule_about_films_deletes_films_alone() -> None:
    for name, content, mime in FILES:
        verdict = await judged(content, "delete mime=video/*")
        assert isinstance(verdict, Delete if mime.startswith("video/") else Continue), name


@pytest.mark.parametrize("cut", [8, 11, 15, 17, 23])
def test_a_beginning_that_is_cut_off_ends_in_no_error(cut: int) -> None:
    for _, content, _ in FILES:
        mime_of(content[:cut])
