"""The pages about settings and metrics are what the code says."""

import subprocess
import sys
from pathlib import Path

from uploadpp.process.settings import Settings

ROOT = Path(__file__).parents[2]


def test_nothing_generated_is_out_of_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/gen_reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_is_explained_in_a_sentence() -> None:
    found = {name: field.description or "" for name, field in Settings.model_fields.items()}
    assert [name for name, text in found.items() if not text.endswith(".")] == []
