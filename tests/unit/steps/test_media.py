"""A rule about films deletes no photo and no song, though their files begin alike."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.steps import Abort, Continue, Delete, Upload, Verdict
from uploadpp.steps import iso as iso_module
from uploadpp.steps.markup import Guess
from uploadpp.steps.mime import guess, mime_of
from uploadpp.steps.policies import Policies
from uploadpp.steps.rules import Rules, parse_rule

BINARY = bytes(range(256)) * 4
EBML = b"\x1aE\xdf\xa3\xa3B\x82"


def iso(main: str, *others: str) -> bytes:
    """The beginning of a file of ISO's container, with its brands and the tracks of a film."""
    return brands(main, *others) + moov(b"soun", b"vide") + BINARY


def sound(main: str, *others: str) -> bytes:
    """A voice note."""
    return brands(main, *others) + moov(b"soun") + BINARY


def brands(main: str, *others: str) -> bytes:
    listed = b"\0\0\0\0" + b"".join(each.encode() for each in others)
    return box(b"ftyp", main.encode() + listed)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def moov(*handlers: bytes, rest: int = 100) -> bytes:
    """The list of tracks, with so many bytes about the samples of each."""
    tracks = b""
    for kind in handlers:
        media = box(b"mdhd", bytes(24)) + box(b"hdlr", bytes(8) + kind + bytes(12) + b"\0")
        tracks += box(b"trak", box(b"tkhd", bytes(84)) + box(b"mdia", media + box(b"minf", bytes(rest))))
    return box(b"moov", box(b"mvhd", bytes(100)) + tracks)


def matroska(kind: bytes, *codecs: bytes, before: int = 0, rest: int = 0) -> bytes:
    tracks = b"".join(b"\x86" + bytes([0x80 | len(each)]) + each + bytes(rest) for each in codecs)
    listed = b"\x16\x54\xae\x6b\x08" + struct.pack(">I", len(tracks)) + tracks if codecs else b""
    return EBML + bytes([0x80 | len(kind)]) + kind + bytes(2 + before) + listed + BINARY


def asf(*streams: str, rest: int = 0) -> bytes:
    content = bytes(rest).join([b"\0" * 6, *map(bytes.fromhex, streams)])
    return ASF + struct.pack("<Q", 24 + len(content)) + content + BINARY


def page(content: bytes) -> bytes:
    return b"OggS\0\2" + bytes(20) + content + bytes(40)


ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
FISHEAD = page(b"fishead\0\3\0")
MPEG = b"\0\0\x01\xba" + bytes(10)
AVI = b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrl"


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
    ("voice note of an Android", sound("mp42", "isom", "mp42"), "audio/mp4"),
    ("voice note of ffmpeg", sound("isom", "isom", "iso2", "mp41"), "audio/mp4"),
    ("voice note of an old phone", sound("3gp4", "isom", "3gp4"), "audio/3gpp"),
    ("voice note of another old phone", sound("3g2a", "3g2a"), "audio/3gpp2"),
    ("music in pieces", sound("dash", "iso6", "mp41"), "audio/mp4"),
    ("sound of QuickTime", sound("qt  ", "qt  "), "audio/mp4"),
    ("sound in what is for films", sound("M4V ", "M4V ", "isom"), "audio/mp4"),
    ("audiobook with pictures", iso("M4B ", "M4A ", "mp42"), "audio/mp4"),
    ("song in Ogg with its skeleton", FISHEAD + page(b"\x01vorbis") + page(b"fisbone\0"), "audio/ogg"),
    ("voice note in Ogg", page(b"OpusHead\1\1"), "audio/ogg"),
    ("film in Ogg with its skeleton", FISHEAD + page(b"\x80theora") + page(b"\x01vorbis"), "video/ogg"),
    ("film in Flash", b"FLV\1\5\0\0\0\x09" + BINARY, "video/x-flv"),
    ("film of Windows 3", AVI + b"strh\0\0\0\x38vidsDIVX" + BINARY, "video/x-msvideo"),
    ("film of a DVD", MPEG + bytes(2000) + b"\0\0\x01\xe0" + BINARY, "video/mpeg"),
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
    "a generic brand without tracks": brands("isom", "isom", "avc1") + BINARY,
    "a generic brand with texts alone": brands("mp42", "isom") + moov(b"text"),
    "a recording that was interrupted": brands("qt  ") + box(b"mdat", BINARY)[:-1],
    "no sound and no pictures in what is for films": brands("M4V ") + moov(b"text"),
    "Matroska without its tracks": matroska(b"matroska"),
    "Windows media without its streams": asf(),
    "Ogg with something else": page(b"\x80kate\0\0\0"),
    "Ogg with a skeleton alone": FISHEAD,
    "sound in Flash": b"FLV\1\4\0\0\0\x09" + BINARY,
    "sound in the container of Windows 3": AVI + b"strh\0\0\0\x38auds" + BINARY,
    "sound in the container of DVDs": MPEG + bytes(2000) + b"\0\0\x01\xc0" + BINARY,
}


async def judged(content: bytes, *rules: str) -> Verdict:
    return await Policies(Rules(rules=tuple(map(parse_rule, rules)))).check(Upload.of(content))


@pytest.mark.parametrize("name", NOT_SURE)
async def test_what_may_be_something_else_is_not_deleted(name: str) -> None:
    rules = "delete mime=video/*", "delete mime=audio/*", "abort mime=video/*", "abort mime=audio/ogg"
    assert isinstance(await judged(NOT_SURE[name], *rules), Abort)


async def test_a_rule_about_films_deletes_films_alone() -> None:
    for name, content, mime in FILES:
        verdict = await judged(content, "delete mime=video/*")
        assert isinstance(verdict, Delete if mime.startswith("video/") else Continue), name


async def found(content: bytes) -> Guess:
    async with Upload.of(content).open() as opened:
        return await guess(opened)


SAMPLES = 3_000_000
CAMERA = brands("mp42", "isom") + box(b"free", b"") + box(b"mdat", bytes(SAMPLES))
LONG = struct.pack(">I4sQ", 1, b"mdat", 16 + SAMPLES) + bytes(SAMPLES)
LATE: dict[str, tuple[bytes, Guess]] = {
    # what tells is not at the beginning
    "film of a camera": (CAMERA + moov(b"vide", b"soun"), Guess("video/mp4", sure=True)),
    "voice note of a phone": (CAMERA + moov(b"soun"), Guess("audio/mp4", sure=True)),
    "large film": (brands("qt  ") + LONG + moov(b"vide"), Guess("video/quicktime", sure=True)),
    "large recording": (brands("qt  ") + LONG + moov(b"soun"), Guess("audio/mp4", sure=True)),
    "long film": (brands("isom") + moov(b"soun", b"vide", rest=50_000), Guess("video/mp4", sure=True)),
    "long voice note": (brands("isom") + moov(b"soun", rest=50_000), Guess("audio/mp4", sure=True)),
    "endless list": (brands("isom") + moov(b"soun", rest=5 << 20), Guess("audio/mp4", sure=False)),
    "list to the end of the file": (
        brands("isom") + bytes(4) + moov(b"soun", rest=9000)[4:],
        Guess("audio/mp4", sure=False),
    ),
    "list that is cut off": (CAMERA + moov(b"soun")[:-1], Guess("audio/mp4", sure=False)),
    "pictures that are cut off": (CAMERA[:-1], Guess("video/mp4", sure=False)),
    "film to the end of the file": (
        brands("isom") + struct.pack(">I4s", 0, b"mdat") + moov(b"soun"),
        Guess("video/mp4", sure=False),
    ),
    "film in Matroska": (
        matroska(b"matroska", b"A_VORBIS", b"V_VP9", rest=9000),
        Guess("video/x-matroska", sure=True),
    ),
    "song in Matroska": (matroska(b"webm", b"A_OPUS", rest=9000), Guess("audio/webm", sure=True)),
    "late song in Matroska": (matroska(b"webm", b"A_OPUS", before=9000), Guess("audio/webm", sure=True)),
    "cut song in Matroska": (
        matroska(b"webm", b"A_OPUS", rest=9000)[:9000],
        Guess("audio/webm", sure=False),
    ),
    "film of Windows": (asf(SOUND, FILM, rest=9000), Guess("video/x-ms-wmv", sure=True)),
    "song with a picture": (asf(SOUND, "00", rest=9000), Guess("audio/x-ms-wma", sure=True)),
    "cut song": (asf(SOUND, FILM, rest=9000)[:9500], Guess("audio/x-ms-wma", sure=False)),
    "late film of a DVD": (MPEG + bytes(9000) + b"\0\0\x01\xe0", Guess("video/mpeg", sure=True)),
}


@pytest.mark.parametrize("name", LATE)
async def test_the_tracks_are_looked_for(name: str) -> None:
    content, expected = LATE[name]
    assert await found(content) == expected


async def test_no_file_is_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    many = brands("isom") + box(b"free", b"") * 9000
    assert await found(many + moov(b"vide")) == Guess("video/mp4", sure=True)
    monkeypatch.setattr(iso_module, "MAX_PARTS", 5)
    assert await found(many + moov(b"vide")) == Guess("video/mp4", sure=False)
    monkeypatch.setattr(iso_module, "MAX_BYTES_BEFORE", SAMPLES)
    assert await found(CAMERA + moov(b"vide")) == Guess("video/mp4", sure=False)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=9))
async def test_no_broken_film_ends_in_an_error(at: int, data: bytes) -> None:
    content = bytearray(brands("isom", "iso2") + box(b"free", bytes(20)) + moov(b"soun", b"vide"))
    content[at : at + len(data)] = data
    assert "/" in (await found(bytes(content))).mime


@pytest.mark.parametrize("cut", [8, 11, 15, 17, 23])
def test_a_beginning_that_is_cut_off_ends_in_no_error(cut: int) -> None:
    for _, content, _ in FILES:
        mime_of(content[:cut])
