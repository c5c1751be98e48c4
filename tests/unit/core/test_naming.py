"""Names in request paths, subjects, labels and Leases, whatever text they come from (S2)."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploadpp.core.lease_claim import identity, pod_of
from uploadpp.core.naming import (
    ADOPTED_ANNOTATION,
    ENDED_ANNOTATION,
    VOID_ANNOTATION,
    is_label,
    resource_name,
)
from uploadpp.core.sharding import Shard
from uploadpp.kube.paths import api_path
from uploadpp.testing.builders import UPLOAD_ID

ODD = (
    "../../etc/passwd",
    "..",
    ".",
    "%2e%2e%2f",
    "a/b",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a b",
    ">",
    "*",
    "a.>",
    "a.*.b",
    "A",
    "\u0430",  # a Cyrillic letter that looks like a
    "a\u0301",
    "\uff41",  # full width
    "\u202eabc",
    "x" * 10_000,
    "u-" + "0" * 32,
    "-a",
    "a-",
    "a" * 64,
    "$(id)",
    "a'b\"c",
    "",
)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def in_short(text: str) -> str:
    """An id without a backslash, which `make mutation` refuses: a test with one is not found by name."""
    return f"odd-{ODD.index(text)}"


@pytest.mark.parametrize("upload_id", [text for text in ODD if text], ids=in_short)
def test_an_odd_id_becomes_a_plain_name(upload_id: str) -> None:
    name = resource_name(upload_id)
    assert LABEL.fullmatch(name)
    assert name == resource_name(upload_id)
    assert name.startswith("u-")
    assert 0 <= Shard(0, 4).owns(upload_id) <= 1
    assert api_path("apis", name) == f"/apis/{name}"


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
@example("u-6b86b273ff34fce19d6b804eff5a3f57", "1")
@example("a", "A")
def test_two_ids_never_share_a_name(first: str, second: str) -> None:
    assert (resource_name(first) == resource_name(second)) is (first == second)
    assert LABEL.fullmatch(resource_name(first))


@given(st.text(min_size=1))
@example("a/../../b")
@example("%2f..%2f")
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    if name in {".", ".."}:
        return
    try:
        path = api_path("namespaces", "ocis", "secrets", name)
    except UnicodeEncodeError:
        return
    assert [unquote(part) for part in path.split("/")[1:]] == ["namespaces", "ocis", "secrets", name]
    assert not {"?", "#", " ", "\n", "\\"} & set(path)


@pytest.mark.parametrize("text", ODD, ids=in_short)
def test_nothing_odd_is_a_label(text: str) -> None:
    assert is_label(text) is (text.startswith("u-0"))


@pytest.mark.parametrize("host", ODD, ids=in_short)
def test_a_holder_has_a_name_that_the_others_listen_to(host: str) -> None:
    holder = identity(host, "pod-1", "abc")
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,319}", holder)
    assert pod_of(holder) == "pod-1"


def test_names_that_stand_in_resources_never_change() -> None:
    """Another version has written them, or will read them."""
    assert (ADOPTED_ANNOTATION, ENDED_ANNOTATION) == ("uploadpp.io/adopted", "uploadpp.io/ended")
    assert VOID_ANNOTATION == "uploadpp.io/left-alone"


@pytest.mark.parametrize(
    ("upload_id", "plain"),
    [
        (UPLOAD_ID, True),
        ("a", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("A", False),
        ("-a", False),
        ("a-", False),
        ("a/b", False),
        ("", False),
        ("u-1", False),
        ("größe", False),
    ],
    ids=range(11),
)
def test_names_of_resources(upload_id: str, *, plain: bool) -> None:
    name = resource_name(upload_id)
    assert (name == upload_id) is plain
    assert plain or (name.startswith("u-") and len(name) == 34)
    assert resource_name(upload_id + "x") != name


def test_the_name_of_a_resource_never_changes() -> None:
    """An upload is found by it after an update of the operator."""
    assert resource_name("größe") == "u-d353a2671b67afff0941ae456e5c76e9"
