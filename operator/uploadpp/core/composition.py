"""Names in one form, whoever has written them."""

import re
import sys
from unicodedata import combining, normalize

FIRST_MARK, LATER_PLANES = 0x300, 0x10000
"""Where marks begin that combine with a letter, and where Unicode has rare letters and symbols."""
MAX_MARKS_IN_A_ROW = 30
"""Of a text that `composed` changes; Unicode's own limit for streams. No language comes near it."""
_HIDDEN_MARKS = "\u0f73\u0f75\u0f81"
"""Vowels of Tibetan that do not count as marks, but are taken apart into two of them."""
_OTHERS = f"{chr(LATER_PLANES)}-{chr(sys.maxunicode)}"
"""All of the later planes counts as marks: a set with single ones among them is searched one by one."""
_MARKS = "".join(each for each in map(chr, range(FIRST_MARK, LATER_PLANES)) if combining(each))
# To look at each letter in Python takes ten times as long.
_MANY_MARKS = re.compile(f"[{_MARKS}{_HIDDEN_MARKS}{_OTHERS}]{{{MAX_MARKS_IN_A_ROW + 1}}}")


def composed(text: str) -> str:
    """The text with its letters and their marks in one form (NFC), so that names can be compared.

    macOS writes `ä` as two characters. Marks are sorted in quadratic time, so a text with more of them in a
    row than any language has keeps its form.
    """
    if text.isascii() or _MANY_MARKS.search(text):
        return text
    return normalize("NFC", text)
