"""On the oldest Python that the plugin takes: the same as on ours."""

import subprocess
from pathlib import Path

import pytest

from e2e.cluster import oldpython
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.test_list import AGE, INFECTED, PASSED

OLD = oldpython.find()


@pytest.mark.skipif(
    OLD is None, reason="there is no Python 3.9 (make test-binaries installs PyPy on Debian 12)"
)
def test_it_does_the_same_on_python_3_9(pp: Plugin, writer: Writer, tmp_path: Path) -> None:
    assert OLD is not None
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "python3").symlink_to(OLD)
    path = f"{folder}:{pp.environment['PATH']}"
    run = subprocess.run([folder / "python3", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("Python 3.9.")
    writer.put_all([at("moving", ago_minutes=90), at("over", *PASSED, ago_minutes=90)])
    writer.put(at("evil", *INFECTED, ago_minutes=90))
    for words in (
        ["version"],
        ["restart", "--help"],
        ["list", "-o", "wide", "--sort-by={.metadata.name}"],
        ["list", "-o", "yaml"],
        ["list", "--older", "1h", "--json"],
        ["status", "moving", "evil"],
        ["stats"],
        ["events"],
        ["suspend", "moving", "--dry-run"],
        ["restart", "moving", "over", "evil", "--dry-run"],
        ["prune", "--older", "1m", "--dry-run"],
        ["completion", "fish"],
        ["__complete", "status", "mov"],
        ["list", "--step"],
        ["wait", "over", "evil"],
        ["status", "nobody"],
        ["list", "--request-timeout=1us"],
    ):
        new, old = pp(*words), pp(*words, PATH=path)
        assert "Traceback" not in old.err
        assert (old.code, _without_times(old.out)) == (new.code, _without_times(new.out)), (words, old.err)
        if "__complete" not in words and new.code != 2:  # argparse words some mistakes in another way
            assert _without_times(old.err) == _without_times(new.err)


def _without_times(text: str) -> str:
    lines = [line for line in text.splitlines() if not any(c.isdigit() for c in line)]
    return "\n".join(sorted(AGE.sub("AGE ", line) for line in lines))
