"""Tells sound, video and pictures in the same containers apart, by what the container says about its content.

The first bytes of a photo of a camera and of a film are the same, and so are those of a song and of a film in
the containers of Ogg, Matroska and Microsoft. A rule about films must not delete photos or music.
"""

import re
import struct

from uploadpp.steps.markup import Guess

MAX_BRANDS = 32
_FILM, _SOUND = "video/mp4", "audio/mp4"
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"mif1", b"mif2", b"msf1"), "image/heif"),
    b"crx ": "image/x-canon-cr3",
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), _SOUND),
    b"qt  ": "video/quicktime",
}
"""Of the main brand of a file (`ftyp`, ISO 14496-12)."""
_PICTURES = (b"avif", b"heic", b"heix")
"""Of the other brands, if the main one says only that it is a picture."""
_FILMS = re.compile(
    rb"iso[m2-9a-c]|mp4[12]|avc1|hvc1|hev1|av01|dash|cmf[a-z2]|ism.|piff|M4V.|F4V |XAVC|NDS.|MSNV|mmp4|dby1"
)
_OGG_FILM = re.compile(rb"\x80theora|\x01video\0\0\0|fishead\0|BBCD\0")
_STREAM_OF_FILM = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_STREAM_OF_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_CODEC = re.compile(rb"\x86[\x81-\xbf]([VA])_")


def media_of(head: bytes, known: str | None) -> Guess | None:
    """The type of a file with this beginning, where it tells more than its signature; else None.

    `known` is what the signature says.
    """
    if head[4:8] == b"ftyp":
        return _iso(head)
    if head.startswith(b"OggS"):
        return Guess("video/ogg" if _OGG_FILM.search(head) else "audio/ogg", sure=True)
    if known == "video/x-ms-wmv":
        if _STREAM_OF_FILM in head:
            return Guess(known, sure=True)
        is_sound = _STREAM_OF_SOUND in head
        return Guess("audio/x-ms-wma" if is_sound else known, sure=is_sound)
    if known in {"video/webm", "video/x-matroska"}:
        kinds = set(_CODEC.findall(head))
        if kinds == {b"A"}:
            return Guess(known.replace("video/", "audio/"), sure=True)
        return Guess(known, sure=b"V" in kinds)
    return None


def _iso(head: bytes) -> Guess | None:
    """The type of a file of ISO's container; None if no brand of it is known."""
    length = min(struct.unpack_from(">I", head)[0], len(head), 16 + 4 * MAX_BRANDS)
    main, others = head[8:12], [head[at : at + 4] for at in range(16, length - 3, 4)]
    if main.startswith((b"3gp", b"3gr", b"3gs", b"3ge", b"3gg")):
        return Guess("video/3gpp", sure=True)
    if main.startswith(b"3g2"):
        return Guess("video/3gpp2", sure=True)
    mime = _BRANDS.get(main, "")
    if mime == "image/heif":
        mime = next((_BRANDS[each] for each in _PICTURES if each in others), mime)
    if mime:
        return Guess(mime, sure=True)
    if _FILMS.fullmatch(main):
        return Guess(_FILM, sure=True)
    film = any(_FILMS.fullmatch(each) for each in others)
    return Guess(_FILM, sure=False) if film else None
