"""A resource that is left alone beside another one of its upload: every verb says so, and changes nothing."""

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from uploadpp.api import API_VERSION, KIND
from uploadpp.core.naming import VOID_ANNOTATION

WHY = "upload moving already has the resource moving"
MESSAGE = f"this resource is left alone: {WHY}"


@pytest.fixture(autouse=True)
def two(writer: Writer) -> None:
    """A person has made `mine` for the upload `moving`; somebody has marked the one that counts, in vain."""
    writer.put(at("moving", ago_minutes=5))
    writer.request(
        "PATCH", f"{writer.path}/moving", {"metadata": {"annotations": {VOID_ANNOTATION: "somebody says so"}}}
    )
    metadata = {"name": "mine", "namespace": writer.namespace, "annotations": {VOID_ANNOTATION: WHY}}
    made = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    writer.request("POST", writer.path, {**made, "spec": {"upload": {"id": "moving"}}})


def test_status_says_which_one_counts(pp: Plugin) -> None:
    shown = pp("status", "mine")
    assert shown.code == 0
    assert "LeftAlone for " in shown.out
    assert MESSAGE in shown.out
    assert "Delete this resource" in shown.out
    assert "kubectl pp status moving" in shown.out
    assert "Is it running?" not in shown.out
    counts = pp("status", "moving").out
    assert "Running for " in counts
    assert "LeftAlone" not in counts


@pytest.mark.parametrize("words", [(), ("--since=1h",), ("-o", "wide")])
def test_list_says_so(pp: Plugin, words: tuple[str, ...]) -> None:
    rows = {line.split()[0]: line for line in pp("list", *words).out.splitlines()[1:]}
    assert "LeftAlone" in rows["mine"]
    assert "LeftAlone" not in rows["moving"]
    assert "Running" in rows["moving"]
    assert (WHY in rows["mine"]) is (words == ("-o", "wide"))


def test_it_does_not_count_as_an_upload_that_runs(pp: Plugin) -> None:
    shown = pp("list", "--running", "-o", "name").out
    assert shown.split() == ["uploadpostprocessing.uploadpp.io/moving"]
    said = pp("doctor").out
    assert "1 uploads in postprocessing" in said
    assert f"mine: {MESSAGE}" in said


@pytest.mark.parametrize("verb", ["resume", "restart", "suspend", "cancel"])
def test_nothing_is_asked_of_it(pp: Plugin, writer: Writer, verb: str) -> None:
    before = writer.get("mine")
    shown = pp(verb, "mine", "--timeout=1s")
    assert shown.code != 0
    assert MESSAGE in shown.out + shown.err
    assert writer.get("mine") == before


def test_nobody_waits_for_it(pp: Plugin) -> None:
    shown = pp("wait", "mine", "--timeout=30s")
    assert (shown.code, shown.out.strip()) == (1, "uploadpostprocessing.uploadpp.io/mine LeftAlone")


def test_one_with_the_name_of_the_upload_that_has_not_begun_is_left_alone(pp: Plugin, writer: Writer) -> None:
    """The upload has ended in another one."""
    why = "upload anew has ended in the resource bbb"
    metadata = {"name": "anew", "namespace": writer.namespace, "annotations": {VOID_ANNOTATION: why}}
    made = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    writer.request("POST", writer.path, {**made, "spec": {"upload": {"id": "anew"}}})
    assert f"this resource is left alone: {why}" in pp("status", "anew").out
    assert "LeftAlone" in next(line for line in pp("list").out.splitlines() if line.startswith("anew"))


def test_an_id_means_the_one_that_counts(pp: Plugin, writer: Writer) -> None:
    """Where none has the name of the upload."""
    for name, why in (("first", ""), ("second", WHY)):
        metadata = {"name": name, "namespace": writer.namespace, "annotations": {VOID_ANNOTATION: why}}
        made = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
        writer.request("POST", writer.path, {**made, "spec": {"upload": {"id": "Upload 1"}}})
    shown = pp("status", "Upload 1").out
    assert "first" in shown
    assert "second" not in shown
