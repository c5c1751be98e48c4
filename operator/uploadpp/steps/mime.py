"""Finds the type of a file by its content. The name proves nothing: anybody can change it."""

import io
import tempfile
from codecs import BOM_UTF8
from collections import Counter
from typing import BinaryIO, cast

import filetype

from uploadpp.steps.archives import ZIP, ZIP_MAGIC, zip_type, zip_type_by_names
from uploadpp.steps.markup import Guess, markup_of
from uploadpp.steps.media import media_further_on, media_of
from uploadpp.steps.ole import OLE, OLE_MAGIC, ole_type
from uploadpp.steps.upload import Content

HEAD_BYTES = 8192
"""What the signatures of `filetype` look at."""
MAX_ARCHIVE_BYTES = 256 << 20
"""Larger archives are not read to their table of contents at the end."""
MEMORY_BYTES = 1 << 20
LEAST_PAIRS, LEAST_PAIRS_OF_OTHERS = 4, 12
PDF_BYTES = 1024
"""A PDF may begin with something else, up to here."""
UNKNOWN = "application/octet-stream"
_ENCODINGS = (  # UTF-32 first: its mark begins like that of UTF-16
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SPACES = frozenset("\b\t\n\v\f\r\x1a\x1b\x85")
_BEGIN_AS_TEXT = frozenset({"application/pdf", "application/rtf", "application/postscript"})
_BEGIN_NO_TEXT = frozenset({"image/jpeg", "video/webm", "video/x-matroska"})
"""Types whose first bytes are a word in no alphabet. A long comment, which is text, may follow them."""
_SHARED = frozenset({"image/tiff", ZIP})
"""What raw photos of cameras begin with as well, and archives whose table of contents is not looked for."""
_SIGNS = {"application/pdf": b"%PDF-", "application/postscript": b"%!PS"}
"""What stands at the beginning. Comments in TeX begin with a part of it."""


async def guess(content: Content) -> Guess:
    """What a file is. More than the beginning is read of archives, and where a film may be sound only.

    Raises:
        DownloadError: the connection ended before the file did.
    """
    head = await content.read(HEAD_BYTES)
    if not head.startswith((*ZIP_MAGIC, OLE_MAGIC)):
        guessed = _guess_head(head)
        if guessed.sure or not guessed.mime.startswith(("audio/", "video/")):
            return guessed
        return await media_further_on(content, head, filetype.guess_mime(head)) or guessed
    with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
        file.write(head)
        size = len(head)
        async for chunk in content:
            size += len(chunk)
            if size > MAX_ARCHIVE_BYTES:
                return Guess(_archive_by_head(head), sure=False)
            file.write(chunk)
        return _guess_archive(cast("BinaryIO", file), head)


def mime_of(head: bytes) -> str:
    """The MIME type of a file, or of one with this beginning."""
    if head.startswith((*ZIP_MAGIC, OLE_MAGIC)):
        return _guess_archive(io.BytesIO(head), head).mime
    return _guess_head(head).mime


def _guess_archive(file: BinaryIO, head: bytes) -> Guess:
    if head.startswith(OLE_MAGIC):
        return ole_type(file)
    try:
        return zip_type(file)
    except ValueError:
        return Guess(_archive_by_head(head), sure=False)


def _archive_by_head(head: bytes) -> str:
    if head.startswith(OLE_MAGIC):
        return OLE
    mime = zip_type_by_names(head)
    return mime if mime != ZIP else filetype.guess_mime(head) or ZIP


def _guess_head(head: bytes) -> Guess:
    text = _text_of(head)
    known: str | None = filetype.guess_mime(head) if head else None
    # Short signatures also begin words: "BM" is a bitmap, and a car.
    if known is not None and (text is None or known in _BEGIN_AS_TEXT | _BEGIN_NO_TEXT):
        return media_of(head, known) or Guess(known, sure=_is_only(known, head))
    if text is None:
        if (media := media_of(head, known)) is not None:
            return media
        found = b"%PDF-" in head[:PDF_BYTES]
        # An archive or a signed file may contain one as well.
        return Guess("application/pdf" if found else UNKNOWN, sure=False)
    return Guess("text/x-script", sure=True) if _is_script(head) else markup_of(text)


def _is_only(known: str, head: bytes) -> bool:
    """Whether nothing else begins like this type."""
    return known not in _SHARED and head.removeprefix(BOM_UTF8).startswith(_SIGNS.get(known, b""))


def _is_script(head: bytes) -> bool:
    """Whether a kernel runs it. Source code and notes begin with `#!` as well, but name no program."""
    return head.startswith(b"#!") and head[2:].lstrip(b" \t").startswith(b"/")


def _text_of(head: bytes) -> str | None:
    """The beginning as text; None when it is none, in any encoding that is told from bytes."""
    for mark, encoding in _ENCODINGS:
        if head.startswith(mark):
            return _decoded(head[len(mark) :], encoding)
    if b"\0" in head:
        return _decoded(head, _utf16_without_mark(head))
    text = _decoded(head, "utf-8")
    # Latin-1, Windows-1252 and their like give every byte a meaning, so only controls tell.
    return text if text is not None else _decoded(head, "latin-1")


def _utf16_without_mark(head: bytes) -> str:
    """Letters of one alphabet, with blanks and digits, have one of two values in nearly every second byte.

    For letters of the western world that is zero. Chinese and its like are not told without a mark.
    """
    halves = {"utf-16-le": head[1::2], "utf-16-be": head[::2]}
    for encoding, high in halves.items():
        pairs, common = len(high), Counter(high).most_common(2)
        zeros = high.count(0)
        if pairs >= LEAST_PAIRS and zeros > pairs * 0.7 and zeros > (len(head) - pairs) * 0.7:
            return encoding
        of_two = sum(count for _, count in common) > pairs * 0.9
        if pairs >= LEAST_PAIRS_OF_OTHERS and of_two and any(value == 0 for value, _ in common):
            return encoding
    return ""


def _decoded(data: bytes, encoding: str) -> str | None:
    if not encoding:
        return None
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        # A character may be cut in two where the reading ended.
        if len(data) < HEAD_BYTES - 4 or error.start < len(data) - 4:
            return None
        text = data[: error.start].decode(encoding)
    controls = sum(each < " " or "\x7f" <= each < "\xa0" for each in text if each not in _SPACES)
    if encoding == "latin-1":  # there the bytes 80 to 9f are letters of Windows-1252
        controls = sum(each < " " or each == "\x7f" for each in text if each not in _SPACES)
    return None if controls else text
