"""What is known of an upload, from what the storage has sent."""

import mimetypes
from unicodedata import normalize

import pytest

from uploadpp.core.model import FileInfo, Origin
from uploadpp.policies.facts import Facts, facts_of, named
from uploadpp.policies.file_types import TYPES, extension_of, type_of

ORIGIN = Origin(
    filename='"Plan \\u00e9.PDF"',
    filesize="48213",
    executing_user='{"id":{"idp":"x","opaque_id":"einstein"},"username":"albert"}',
    resource_id='{"storage_id":"t1","opaque_id":"o1","space_id":"s1"}',
    initiator_id="i1",
)
FACTS = Facts(
    name="Plan é.PDF",
    extension="pdf",
    size=48213,
    mime_type="application/pdf",
    user_id="einstein",
    space_id="s1",
    storage_id="t1",
    initiator_id="i1",
)


def test_facts_are_what_the_storage_has_sent() -> None:
    assert facts_of(ORIGIN, FileInfo()) == FACTS


def test_what_the_resource_shows_fills_the_gaps() -> None:
    shown = FileInfo("Plan é.PDF", 48213, "einstein", "s1", "t1", "o1")
    assert facts_of(Origin(initiator_id="i1"), shown) == FACTS


def test_nothing_known_is_empty() -> None:
    assert facts_of(Origin(), FileInfo()) == Facts()


@pytest.mark.parametrize(
    "origin",
    [
        Origin(filename="{", filesize="x", executing_user="[", resource_id=""),
        Origin(filename="1", filesize='"1"', executing_user="[1]", resource_id="[]"),
        Origin(executing_user='{"id":"einstein"}', resource_id='{"space_id":1}'),
    ],
)
def test_a_damaged_origin_is_empty(origin: Origin) -> None:
    assert facts_of(origin, FileInfo()) == Facts()


def test_half_a_pair_is_replaced_as_go_does() -> None:
    assert facts_of(Origin(filename='"\\ud800.mp4"'), FileInfo()).name == "\ufffd.mp4"


def test_both_forms_of_an_umlaut_are_one_name() -> None:
    """macOS writes two characters."""
    two_characters = normalize("NFD", "Geh\u00e4lter.p\u00e4\u00e4")
    facts = named(two_characters, user_id=two_characters)
    assert (facts.name, facts.extension) == ("Geh\u00e4lter.p\u00e4\u00e4", "p\u00e4\u00e4")
    assert facts.user_id == facts.name


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.mp4", "mp4"),
        ("a.tar.gz", "gz"),
        ("A.MP4", "mp4"),
        ("README", ""),
        (".profile", ""),
        ("setup.exe.", "exe"),
        ("setup.exe . ", "exe"),
        ("", ""),
        ("...", ""),
        ("a.", ""),
        ("a.b c", "b c"),
    ],
)
def test_the_extension_is_behind_the_last_dot(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_an_unknown_extension_has_no_type() -> None:
    assert type_of("nobody-knows") == ""
    assert type_of("") == ""


def test_types_are_lower_case() -> None:
    assert all(extension == extension.lower() for extension in TYPES)
    assert all(kind == kind.lower() and kind.count("/") == 1 for kind in TYPES.values())


def test_images_and_videos_are_those_of_python() -> None:
    known = mimetypes.MimeTypes(filenames=())
    for extension, kind in TYPES.items():
        theirs, _ = known.guess_type(f"a.{extension}")
        if theirs and theirs.startswith(("image/", "video/")) and extension != "mp2":
            assert kind.partition("/")[0] == theirs.partition("/")[0], extension
