"""The check of words finds what it shall find, and leaves good English alone."""

import re
import runpy

import pytest

from e2e.paths import REPO

REPLACED: dict[str, str] = runpy.run_path(str(REPO / "scripts" / "words.py"))["REPLACED"]


def refused(line: str) -> bool:
    return any(re.search(pattern, line, re.IGNORECASE) for pattern in REPLACED)


@pytest.mark.parametrize(
    "line",
    [
        "x is " + "no number",
        "these are " + "no uploads",
        "waits for " + "ever",
        "H" + "is file",
        "NATS is a" + "way",
        "the c" + "rew",
        "from uploadpp.run" + "time.x import y",
    ],
)
def test_replaced_words_are_refused(line: str) -> None:
    assert refused(line)


@pytest.mark.parametrize(
    "line",
    [
        "there is no upload x",
        "it is no longer there",
        "this",
        "run away",
        "there are no files",
        "the history",
        "python runtime",
    ],
)
def test_good_english_is_not(line: str) -> None:
    assert not refused(line)
