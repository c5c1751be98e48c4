"""The check of words finds what it shall find, and leaves good English alone."""

import re
import runpy

import pytest

from e2e.paths import REPO

WORDS = runpy.run_path(str(REPO / "scripts" / "words.py"))
REPLACED: dict[str, str] = WORDS["REPLACED"]


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


MESSAGE = "upload passed " + "over"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("operator/uploadpp/x.py", f'log.warning("{MESSAGE}")\n'),
        ("operator/uploadpp/x.py", f'text = f"{MESSAGE}: {{why}}"\n'),
        ("charts/upload-postprocessing/values.yaml", f"# -- An {MESSAGE}.\n"),
        ("docs/monitoring/alerts.yaml", f"description: '{MESSAGE}'\n"),
    ],
)
def test_messages_that_read_as_translated_are_refused(name: str, text: str) -> None:
    assert list(WORDS["found_in"](name, text)) == [f"{name}:1: {MESSAGE[7:]!r}: skipped, or set aside"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("operator/uploadpp/x.py", f'"""{MESSAGE}"""\n'),
        ("operator/uploadpp/x.py", f"x = 1  # {MESSAGE}\n"),
        ("operator/uploadpp/testing/x.py", f'text = "{MESSAGE}"\n'),
        ("docs/findings.md", f"{MESSAGE}\n"),
    ],
)
def test_only_texts_for_administrators_are_messages(name: str, text: str) -> None:
    assert not list(WORDS["found_in"](name, text))
