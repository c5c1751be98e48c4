"""`uploadpp step new NAME [DIR]`: a folder with a step, its tests, its image and its values for the chart."""

import argparse
import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploadpp import __version__
from uploadpp.api.field_types import MAX_STEP_NAME, is_step_name
from uploadpp.core.model import DELAY_STEP, FINISHED_STEP
from uploadpp.core.text import clean
from uploadpp.process.configuration import ConfigurationError
from uploadpp.steps import skeleton

NEW = "new"
MAX_OBJECT = 40
_TAKEN = {"uploadpp", "pytest", "conftest", "setup", *sys.stdlib_module_names}
"""Modules that one of the same name in the folder would hide."""
_USED = {"step", "deliver", "delivery", "notes"}
"""Words that mean something else in the files."""
PLACEHOLDERS = (skeleton.NAME, skeleton.MODULE, skeleton.OBJECT, f"~={skeleton.VERSION}")
_PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS)))


def is_asked_for(arguments: list[str]) -> bool:
    """Whether it is this command, and not a step named `new`, which always has a flag next to its name."""
    if arguments[:2] != ["step", NEW]:
        return False
    return not arguments[2:] or not arguments[2].startswith("-") or arguments[2] in {"-h", "--help", "--"}


def run(options: Mapping[str, Any]) -> int:
    """Make the folder and say what to do next.

    Raises:
        ConfigurationError: the name or the folder cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog=f"uploadpp step {NEW}",
        description="Make a folder with a step of your own: the step, its tests, a Dockerfile, values "
        "for the chart, and a README. Files that exist are never overwritten.",
    )
    parser.add_argument("name", help="name of the step, as in POSTPROCESSING_STEPS")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="where; a folder NAME by default")
    given = parser.parse_args(options["arguments"])
    folder = given.folder or Path(given.name)
    made = write(files_of(given.name), folder)
    module = module_of(given.name)
    shown = "".join(f"  {clean(str(path))}\n" for path in made)
    sys.stdout.write(
        f"{shown}next:\n  pytest {clean(str(folder))}\n  python {clean(str(folder / module))}.py --try FILE\n"
    )
    return 0


def files_of(name: str) -> dict[str, str]:
    """The files of a step by their names.

    Raises:
        ConfigurationError: a step cannot have this name.
    """
    _check(name)
    module = module_of(name)
    texts = {
        f"{module}.py": skeleton.STEP,
        f"test_{module}.py": skeleton.TEST,
        "requirements.txt": skeleton.REQUIREMENTS,
        "Dockerfile": skeleton.DOCKERFILE,
        "values.yaml": skeleton.VALUES,
        "README.md": skeleton.README,
    }
    version = ".".join(__version__.split(".")[:2])
    words = dict(zip(PLACEHOLDERS, (name, module, _object_of(name), f"~={version}"), strict=True))
    return {file: _PLACEHOLDER.sub(lambda match: words[match[0]], text) for file, text in texts.items()}


def module_of(name: str) -> str:
    """The Python module, and the function in it, of a step."""
    word = re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    if word[0].isdigit():
        word = f"step_{word}"
    return f"{word}_step" if keyword.iskeyword(word) or word in _TAKEN | _USED else word


def _object_of(name: str) -> str:
    """A name that Kubernetes and a registry take."""
    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return word[:MAX_OBJECT].strip("-")


def _check(name: str) -> None:
    if name in {DELAY_STEP, FINISHED_STEP}:
        raise ConfigurationError(f"{name!r} is a word of the operator's own; choose another name")
    if not is_step_name(name):
        raise ConfigurationError(
            f"{clean(repr(name))} cannot be the name of a step: it has 1 to {MAX_STEP_NAME} letters, digits, "
            "'.', '_' and '-', and begins and ends with a letter or a digit"
        )


def write(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files that are not there yet, or none at all; returns their paths.

    Raises:
        ConfigurationError: one of them exists, or they cannot be written.
    """
    paths = [folder / name for name in texts]
    if there := [path for path in paths if path.exists() or path.is_symlink()]:
        exists = f"{clean(str(there[0]))} exists" if len(there) == 1 else f"{_list(there)} exist"
        raise ConfigurationError(f"{exists} already; nothing was written. Choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts.values(), strict=True):
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        where = clean(str(error.filename or folder))
        raise ConfigurationError(f"{where}: {error.strerror or type(error).__name__}") from None
    return paths


def _list(paths: list[Path]) -> str:
    return ", ".join(clean(str(path)) for path in paths)
