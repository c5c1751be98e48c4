"""Writes examples/step: what `uploadpp step new no-programs` makes."""

import shutil
from pathlib import Path

from uploadpp.steps.scaffold import files_of
from uploadpp.steps.skeleton import NAME

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "step"


def main() -> None:
    """Write all files anew."""
    shutil.rmtree(EXAMPLE, ignore_errors=True)
    EXAMPLE.mkdir(parents=True)
    for name, text in files_of(NAME).items():
        (EXAMPLE / name).write_text(text)


if __name__ == "__main__":
    main()
