"""`list -o json` and the like print one upload after the other, and what they print is one document."""

import json
from typing import Any

import pytest

from kubectl_pp import yaml
from kubectl_pp.catalog import BY_NAME
from kubectl_pp.cli import parse
from kubectl_pp.context import Context
from kubectl_pp.errors import UsageError
from kubectl_pp.objects import Form
from kubectl_pp.screen import Screen
from kubectl_pp.sessions import session
from kubectl_pp.sorting import path_of
from kubectl_pp.upload import QUALIFIED, Upload
from kubectl_pp.verbs.list import _FORMS, _SESSIONS, run
from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.evolve import evolve
from uploadpp.testing.builders import PASSED, after

ODD = [
    "plain.pdf",
    "two\nlines\r",
    "\u2028 \x85 \x1b[2J",
    'quotes" and \\',
    "ä 😀 \ud800",
    "",
    "- a: b\n  c",
    "true",
]


def uploads(count: int) -> list[Upload]:
    found: list[Upload] = []
    for number, name in enumerate(ODD[:count]):
        upload = after(*PASSED[: 1 + number % 3], upload_id=f"u{number}")
        upload = evolve(upload, file=evolve(upload.file, filename=name), message=name)
        raw: dict[str, Any] = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="gAAAA")
        found.append(Upload({**raw, "status": to_status(upload)}))
    return found


def printed(form: Form, wanted: list[Upload], capsys: pytest.CaptureFixture[str]) -> str:
    form.print_all(form.text(upload) for upload in wanted)
    return capsys.readouterr().out


@pytest.mark.parametrize("count", [0, 1, len(ODD)])
def test_the_document_is_that_of_all_uploads_at_once(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = uploads(count)
    whole = {
        "apiVersion": "v1",
        "items": [upload.raw for upload in found],
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    assert printed(_FORMS["json"], found, capsys) == json.dumps(whole, indent=4) + "\n"
    assert printed(_FORMS["yaml"], found, capsys) == yaml.dump(whole)
    assert printed(_SESSIONS, found, capsys) == json.dumps([session(upload) for upload in found]) + "\n"
    names = "".join(f"{QUALIFIED}/{upload.name}\n" for upload in found)
    assert printed(_FORMS["name"], found, capsys) == names


@pytest.mark.parametrize("limit", ["9" * 19, "9" * 5000, "1e3", "-1", "\u00b2"])
def test_a_limit_that_is_no_number_is_named(limit: str) -> None:
    """Python reads no number of more than 4300 digits."""
    context = Context(parse(BY_NAME["list"], [f"--limit={limit}"]), Screen("never"))
    with pytest.raises(UsageError, match="--limit must be a whole number, not") as caught:
        run(context)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("path", [f".status.steps[{'9' * 5000}].name", ".a[9999999999]"])
def test_a_place_in_a_list_that_no_list_has_is_named(path: str) -> None:
    with pytest.raises(UsageError, match=r"--sort-by: .* is not the path of a field"):
        path_of(path)
