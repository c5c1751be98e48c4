"""Text of others on its way to a terminal, a log, an Event or a status."""

from unicodedata import category

from kubectl_pp.screen import _OURS, clip, columns_of, crop, harmless, safe, wrap
from tests.fuzz.target import Target
from uploadpp.core.text import MAX_LINE, clean, clean_lines, hide_credentials, redact

LIMITS = (1, 2, 7, 16, 63, 256, MAX_LINE, 8192)
OURS = {"0", "1", "2", "31", "32", "33", "36"}


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    text = data.decode("utf-8", "surrogateescape")
    for limit in LIMITS:
        check_clean(clean(text, limit), limit)
        check_clean(redact(text, limit), limit)
    shown = clean(text)
    assert shown == clean(text)
    if text.isascii() and text.isprintable() and len(text) <= MAX_LINE:
        assert shown == text
    check_secrets(text)
    for line in clean_lines(text, 20).split("\n"):
        check_clean(line, MAX_LINE)
    check_screen(text)


def check_clean(found: str, limit: int) -> None:
    """Nothing in it controls anything, and it stays as it is."""
    assert len(found) <= limit
    assert clean(found, limit) == found
    found.encode()
    for char in found:
        assert char.isprintable() or category(char) in {"Mn", "Me", "Zs"}, ascii(char)
        assert category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, ascii(char)


def check_secrets(text: str) -> None:
    """No URL and no token is left, and no login of an address."""
    found = redact(text, 8192)
    for secret in ("://", ":\\/\\/", "%3a%2f%2f"):
        assert secret not in found.lower()
    assert redact(found, 8192) == found
    hidden = hide_credentials(text)
    assert len(hidden) <= 20 * len(text) + 1
    for word in hidden.split():
        scheme, at = word.find("://"), word.rfind("@")
        assert not 0 <= scheme < at or word[scheme + 3 :].startswith("<credentials>"), word


def check_screen(text: str) -> None:
    """What the plugin prints moves no cursor, and fits."""
    said = harmless(text)
    check_clean(said, 8192)
    for each in safe(text).split("\x1b")[1:]:
        assert each.startswith("[")
        assert each[1:].partition("m")[0] in OURS
    for width in (1, 2, 40):
        assert columns_of(clip(said, width)) <= width
        assert columns_of(_OURS.sub("", crop(safe(text.replace("\n", " ")), width))) <= width
    assert "".join(wrap(said, 40)).replace(" ", "") == said.replace(" ", "")


TARGET = Target(
    check,
    longest=6000,
    words=("https://", ":\\/\\/", "%3A%2F%2F", "eyJhbGciOi", "user:pw@", "\x1b[31m", "\u202e", "\u0308"),
)
