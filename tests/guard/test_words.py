"""The check of words finds what it shall find, and leaves good English alone."""

import re
import runpy

import pytest

from e2e.paths import REPO

WORDS = runpy.run_path(str(REPO / "scripts" / "words.py"))
REPLACED: dict[str, str] = WORDS["REPLACED"]
MESSAGES: dict[str, str] = WORDS["MESSAGES"]
REFUSED = [
    "x is no number",
    "these are no uploads",
    "waits for ever",
    "His file",
    "NATS is away",
    "no work to be had",
    "the crew",
    "it loses its seat",
    "the quarantine",
    "the reaper",
    "from uploadpp.runtime.x import y",
    "wire-contract 4",
    "leave the line of column names out",
    "VERB --help says more of a verb",
    "law 2.3",
    "a wish in the spec",
    "the old service",
    "test_replaced_service",
    "--replaced-consumer",
    "the service we replace",
    "better than the service it replaces",
    "back-off of the peer",
    "without a broken promise",
    "each promise is kept",
    "this is an echo",
    "it filters echoes",
    "the ledger",
    "a specimen",
    "put_away",
    "uploads at step places",
    "its surroundings",
    "core/moves.py",
    "wire.followers",
    "pipeline/ledger.py",
    "testing.worlds",
]
IN_MESSAGES = [
    "tries again in 5 s",
    "created anew",
    "upload passed over",
    "it goes on",
    "no retry is left",
    "cancelled as asked",
    "it cannot be told",
    "the loop stood still",
    "put back from a copy",
    "names, one a line",
    "what becomes of it",
    "it holds no key",
    "no right to read it",
    "whoever comes next",
    "it is gone for good",
    "somebody else has it",
    "what comes with it",
    "the end of a line",
    "nobody answers",
    "it was forgotten",
    "as a rule",
    "all the same",
    "the time is over",
    "it continues by itself",
    "what it says of itself",
]


def refused_by(patterns: dict[str, str], line: str) -> list[str]:
    return [pattern for pattern in patterns if re.search(pattern, line, re.IGNORECASE)]


@pytest.mark.parametrize("line", REFUSED)
def test_replaced_words_are_refused(line: str) -> None:
    assert refused_by(REPLACED, line)


@pytest.mark.parametrize(("patterns", "lines"), [(REPLACED, REFUSED), (MESSAGES, IN_MESSAGES)])
def test_each_pattern_refuses_something(patterns: dict[str, str], lines: list[str]) -> None:
    tried = {pattern for line in lines for pattern in refused_by(patterns, line)}
    assert sorted(set(patterns) - tried) == []


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
        "the lawn",
        "an older service",
        "echo done",
        "from uploadpp.core.transitions import end",
        "a replaced key",
        "it was kept as promised",
    ],
)
def test_good_english_is_not(line: str) -> None:
    assert not refused_by(REPLACED, line)


MESSAGE = "upload passed over"


@pytest.mark.parametrize("line", IN_MESSAGES)
def test_messages_have_words_of_their_own(line: str) -> None:
    (found,) = list(WORDS["found_in"]("operator/kubectl_pp/x.py", f"text = {line!r}\n"))
    assert found.startswith("operator/kubectl_pp/x.py:1: ")


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
        ("operator/kubectl_pp/ruff.toml", f"# {MESSAGE}\n"),
        ("docs/findings.md", f"{MESSAGE}\n"),
    ],
)
def test_only_texts_for_administrators_are_messages(name: str, text: str) -> None:
    assert not list(WORDS["found_in"](name, text))
