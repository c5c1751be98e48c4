"""Tells sound, video and pictures in the same containers apart, by what the container says about its content.

The first bytes of a photo of a camera and of a film are the same, and so are those of a song and of a film in
most containers. A rule about films must not delete photos or music, and one about music no films: a type is
sure only when a track of a film is found, or all tracks are known and there is only sound.
"""

import re
import struct

from uploadpp.steps.iso import Tracks, tracks_in, tracks_of
from uploadpp.steps.markup import Guess
from uploadpp.steps.upload import Content

MAX_BRANDS = 32
MORE_BYTES = 1 << 20
"""How far the list of tracks is looked for where it follows pictures and texts."""
_FILM, _SOUND = "video/mp4", "audio/mp4"
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"mif1", b"mif2", b"msf1"), "image/heif"),
    b"crx ": "image/x-canon-cr3",
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), _SOUND),
}
"""Of the main brand of a file (`ftyp`, ISO 14496-12), where it says what the file is."""
_PICTURES = (b"avif", b"heic", b"heix")
"""Of the other brands, if the main one says only that it is a picture."""
_FILMS = re.compile(rb"M4V.|F4V |XAVC")
"""Main brands of films alone."""
_EITHER = re.compile(
    rb"iso[m2-9a-c]|mp4[12]|avc1|hvc1|hev1|av01|dash|cmf[a-z2]|ism.|piff|M4V.|F4V |XAVC|NDS.|MSNV|mmp4|dby1"
)
"""Brands of films and of recordings with sound only."""
_FAMILIES = (
    (re.compile(rb"3g[prseg].", re.DOTALL), "video/3gpp", "audio/3gpp"),
    (re.compile(rb"3g2.", re.DOTALL), "video/3gpp2", "audio/3gpp2"),
    (re.compile(rb"qt  "), "video/quicktime", _SOUND),
    (_EITHER, _FILM, _SOUND),
)
"""Main brands with the types of a film and of sound."""
_OGG_FILM = re.compile(rb"\x80theora|\x80daala|\x01video\0\0\0|BBCD\0|OVP80")
_OGG_SOUND = re.compile(rb"\x01vorbis|OpusHead|\x7fFLAC|Speex {3}|PCM {5}")
_STREAM_OF_FILM = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_STREAM_OF_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_CODEC = re.compile(rb"\x86[\x81-\xbf]([VA])_")
_TRACKS = b"\x16\x54\xae\x6b"
_PROOFS = {
    "video/mpeg": re.compile(rb"\0\0\x01[\xb0\xb3\xe0-\xef]"),
    "video/x-flv": re.compile(rb"FLV.[\x01\x03\x05\x07]", re.DOTALL),
    "video/x-msvideo": re.compile(rb"strh.{4}(?:vids|iavs)", re.DOTALL),
}
"""What only a film has in these containers."""


def media_of(head: bytes, known: str | None) -> Guess | None:
    """The type of a file with this beginning, where it tells more than its signature; else None.

    `known` is what the signature says.
    """
    if head[4:8] == b"ftyp":
        return _iso(head, tracks_in(head))
    if head.startswith(b"OggS"):
        if _OGG_FILM.search(head):
            return Guess("video/ogg", sure=True)
        # The first pages have the beginnings of all tracks.
        return Guess("audio/ogg", sure=_OGG_SOUND.search(head) is not None)
    if known == "video/x-ms-wmv":
        return _windows(head)
    if known in {"video/webm", "video/x-matroska"}:
        return _matroska(head, known)
    if proof := _PROOFS.get(known or ""):
        return Guess(known or "", sure=proof.search(head) is not None)
    return None


async def media_further_on(content: Content, head: bytes, known: str | None) -> Guess | None:
    """As `media_of`, by what comes after this beginning as well.

    Raises:
        DownloadError: the connection ended before the file did.
    """
    if head[4:8] == b"ftyp":
        return _iso(head, await tracks_of(content, head))
    return media_of(head + await content.read(MORE_BYTES - len(head)), known)


def _windows(head: bytes) -> Guess:
    if _STREAM_OF_FILM in head:
        return Guess("video/x-ms-wmv", sure=True)
    is_sound = _STREAM_OF_SOUND in head
    whole = len(head) >= 24 and struct.unpack_from("<Q", head, 16)[0] <= len(head)  # noqa: PLR2004 -- id, size
    return Guess("audio/x-ms-wma" if is_sound else "video/x-ms-wmv", sure=is_sound and whole)


def _matroska(head: bytes, film: str) -> Guess:
    kinds = set(_CODEC.findall(head))
    if kinds == {b"A"}:
        return Guess(film.replace("video/", "audio/"), sure=_has_all_tracks(head))
    return Guess(film, sure=b"V" in kinds)


def _has_all_tracks(head: bytes) -> bool:
    """Whether the list of tracks ends in this beginning. Its length has 7 bits in each of 1 to 8 bytes."""
    at = head.find(_TRACKS) + len(_TRACKS)
    if at < len(_TRACKS) or at >= len(head) or head[at] == 0:
        return False
    count = 9 - head[at].bit_length()
    length = int.from_bytes(head[at : at + count]) & ((1 << 7 * count) - 1)
    return at + count + length <= len(head)


def _iso(head: bytes, tracks: Tracks) -> Guess | None:
    """The type of a file of ISO's container; None if no brand of it is known."""
    length = min(struct.unpack_from(">I", head)[0], len(head), 16 + 4 * MAX_BRANDS)
    main, others = head[8:12], [head[at : at + 4] for at in range(16, length - 3, 4)]
    mime = _BRANDS.get(main, "")
    if mime == "image/heif":
        mime = next((_BRANDS[each] for each in _PICTURES if each in others), mime)
    if mime:
        return Guess(mime, sure=True)
    for brands, film, sound in _FAMILIES:
        if brands.fullmatch(main):
            if tracks.sound and not tracks.film:
                return Guess(sound, sure=tracks.all_known)
            by_brand = not tracks.all_known and _FILMS.fullmatch(main) is not None
            return Guess(film, sure=tracks.film or by_brand)
    either = any(_EITHER.fullmatch(each) for each in others)
    return Guess(_FILM, sure=False) if either else None
