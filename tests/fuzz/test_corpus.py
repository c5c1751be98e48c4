"""Every input of the corpus, without the fuzzer. What it has once found stays found (`make fuzz`)."""

from pathlib import Path

import pytest

from tests.fuzz.target import CORPUS, NAMES, corpus_of, load

INPUTS = [(name, path) for name in NAMES for path in corpus_of(name)]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}-{path.name}" for name, path in INPUTS])
def test_what_was_fuzzed_holds(name: str, path: Path) -> None:
    load(name).check(path.read_bytes())


def test_each_target_has_a_corpus_and_each_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(NAMES)
    for name in NAMES:
        assert 5 < len(corpus_of(name)) < 100
