"""Resources as JSON and YAML, in the form of `kubectl get`: one by itself, several in a List."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from kubectl_pp import yaml
from kubectl_pp.upload import Upload


class Form(NamedTuple):
    """How whole uploads are printed: one at a time, so that not all of them are in memory at once."""

    text: Callable[[Upload], str]
    """An upload, as `print_all` takes it."""
    print_all: Callable[[Iterable[str]], None]
    """Prints a list of them."""


def _as_json(upload: Upload) -> str:
    return json.dumps(upload.raw, indent=4).replace("\n", "\n        ")


def _print_json(texts: Iterable[str]) -> None:
    sys.stdout.write('{\n    "apiVersion": "v1",\n    "items": [')
    before, after = "\n        ", "]"
    for text in texts:
        sys.stdout.write(before + text)
        before, after = ",\n        ", "\n    ]"
    metadata = '"metadata": {\n        "resourceVersion": ""\n    }'
    sys.stdout.write(f'{after},\n    "kind": "List",\n    {metadata}\n}}\n')


def _as_yaml(upload: Upload) -> str:
    return "- " + yaml.dump(upload.raw).rstrip("\n").replace("\n", "\n  ")


def _print_yaml(texts: Iterable[str]) -> None:
    sys.stdout.write("apiVersion: v1\nitems:")
    before, after = "\n", " []"
    for text in texts:
        sys.stdout.write(before + text)
        after = ""
    sys.stdout.write(f'{after}\nkind: List\nmetadata:\n  resourceVersion: ""\n')


JSON = Form(_as_json, _print_json)
YAML = Form(_as_yaml, _print_yaml)


def print_named(uploads: list[Upload], names: list[str], output: str) -> None:
    """Print what was found for some names, as `json` or `yaml`.

    As with kubectl, only what is the one answer to the one name stands by itself.
    """
    if len(uploads) == 1 and len(names) == 1:
        raw = uploads[0].raw
        sys.stdout.write(json.dumps(raw, indent=4) + "\n" if output == "json" else yaml.dump(raw))
        return
    form = JSON if output == "json" else YAML
    form.print_all(map(form.text, uploads))
