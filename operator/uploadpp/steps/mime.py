"""What a file is by its first bytes; its name says nothing, anybody can change it."""

import filetype

HEAD_BYTES = 8192
"""What the signatures of `filetype` look at."""
UNKNOWN = "application/octet-stream"
_TEXTS = (
    (b"#!", "text/x-script"),
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "text/xml"),
)
_BOM = b"\xef\xbb\xbf"


def mime_of(head: bytes) -> str:
    """The MIME type: one of filetype's, or of a few texts, or `text/plain`, or `application/octet-stream`."""
    known: str | None = filetype.guess_mime(head) if head else None
    if known is not None:
        return known
    text = head.removeprefix(_BOM).lstrip().lower()
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "image/svg+xml"
    for beginning, mime in _TEXTS:
        if text.startswith(beginning):
            return mime
    return "text/plain" if _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character may be cut in two where the reading ended.
        return len(head) == HEAD_BYTES and error.start > HEAD_BYTES - 4
    return True
