import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uploadpp.api.crd import KINDS, POLICIES, custom_resource_definition, outputs, render_crd
from uploadpp.api.policy import PostprocessingPolicy
from uploadpp.api.schema import structural
from uploadpp.api.stage_docs import STAGES
from uploadpp.api.v1alpha1 import UploadPostprocessing
from uploadpp.core.states import Stage

ROOT = Path(__file__).parents[3]
(VERSION,) = custom_resource_definition()["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from nodes(each, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


MODELS = structural(UploadPostprocessing)["properties"]
POLICY_MODELS = structural(PostprocessingPolicy)["properties"]
(POLICY_VERSION,) = custom_resource_definition(POLICIES)["spec"]["versions"]
POLICY_SCHEMA = POLICY_VERSION["schema"]["openAPIV3Schema"]
OF_UPLOADS = [*nodes(MODELS["spec"], "spec"), *nodes(MODELS["status"], "status")]
OF_POLICIES = [each for name, model in POLICY_MODELS.items() for each in nodes(model, f"policy.{name}")]
OURS = [*OF_UPLOADS, *OF_POLICIES]
SERVED = {path: node for name in MODELS for path, node in nodes(SCHEMA["properties"].get(name, {}), name)}
SERVED |= {
    path: node
    for name in POLICY_MODELS
    for path, node in nodes(POLICY_SCHEMA["properties"][name], f"policy.{name}")
}
each_field = pytest.mark.parametrize(("path", "schema"), OURS, ids=[path for path, _ in OURS])


@pytest.mark.parametrize("path", outputs(ROOT), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == outputs(ROOT)[path], "run `make gen`"


def test_the_file_repeats_itself_instead_of_pointing_elsewhere() -> None:
    """An enum that two fields share is written in both: people read and patch this file."""
    for kind in KINDS:
        assert not re.search(r": [&*]\w+$", render_crd(kind), re.MULTILINE)


@each_field
def test_every_field_is_bounded(path: str, schema: dict[str, Any]) -> None:
    match schema["type"]:
        case "string":
            assert schema.keys() & {"maxLength", "enum"} or schema["format"] == "date-time"
        case "array":
            assert schema["maxItems"] <= (64 if path.startswith("policy.") else 32)
        case "integer":
            assert schema["minimum"] in {0, 1} or path == "policy.spec.order"
            assert schema["format"] == "int64" or schema["maximum"] < 2**31


@each_field
def test_types_are_those_that_can_grow(path: str, schema: dict[str, Any]) -> None:
    del path
    assert schema["type"] in {"string", "integer", "array", "object"}, "no boolean, no float"
    assert "additionalProperties" not in schema, "no maps"
    assert "nullable" not in schema


@each_field
def test_objects_and_lists_are_atomic(path: str, schema: dict[str, Any]) -> None:
    if schema["type"] == "object":
        assert schema["x-kubernetes-map-type"] == "atomic"
    if schema["type"] == "array":
        # Within an atomic list nothing is merged: there `map` only forbids two entries of one name.
        within = path == "policy.spec.rules[].steps"
        assert schema["x-kubernetes-list-type"] == ("map" if within else "atomic")


@each_field
def test_every_field_says_what_it_means(path: str, schema: dict[str, Any]) -> None:
    if not path.endswith("[]"):
        assert schema["description"].endswith(".")


@each_field
def test_names_say_the_unit(path: str, schema: dict[str, Any]) -> None:
    name = path.rpartition(".")[2]
    assert not name.endswith(("Minutes", "Millis", "Duration", "Timeout", "Id", "Url", "At"))
    assert name.endswith("Time") == (schema.get("format") == "date-time")
    if name.endswith("Seconds"):
        assert schema["type"] == "integer"


@each_field
def test_rules_name_a_field_that_exists(path: str, schema: dict[str, Any]) -> None:
    known = {each for each, _ in OURS}
    for rule in schema.get("x-kubernetes-validations", ()):
        assert rule["message"]
        assert rule["reason"].startswith("FieldValue")
        assert path + rule.get("fieldPath", "") in known


def test_conditions_have_the_standard_shape() -> None:
    item = MODELS["status"]["properties"]["conditions"]["items"]
    assert item["properties"].keys() == {
        "type",
        "status",
        "reason",
        "message",
        "lastTransitionTime",
        "observedGeneration",
    }
    assert set(item["required"]) == item["properties"].keys() - {"observedGeneration"}
    assert item["properties"]["status"]["enum"] == ["True", "False", "Unknown"]


@each_field
def test_the_api_server_knows_every_field(path: str, schema: dict[str, Any]) -> None:
    """`kubectl explain`, editors and typed clients read it from there, and nothing unknown is kept."""
    assert SERVED[path] == schema
    assert "x-kubernetes-preserve-unknown-fields" not in schema


def test_status_is_a_subresource_and_is_never_required() -> None:
    assert VERSION["subresources"] == {"status": {}}
    assert SCHEMA["required"] == ["spec"]
    assert "required" not in SCHEMA["properties"]["status"]


def test_columns_and_selectors_point_at_fields() -> None:
    known = {f".{path}" for path, _ in OF_UPLOADS} | {".metadata.creationTimestamp"}
    paths = [each["jsonPath"] for each in VERSION["selectableFields"]]
    assert len(paths) <= 8
    paths += [each["jsonPath"].replace("[0]", "[]") for each in VERSION["additionalPrinterColumns"]]
    assert set(paths) <= known


def test_columns_of_policies_point_at_fields() -> None:
    known = {f".{path.removeprefix('policy.')}" for path, _ in OF_POLICIES} | {".metadata.creationTimestamp"}
    paths = [each["jsonPath"] for each in POLICY_VERSION["additionalPrinterColumns"]]
    assert {re.sub(r"\[[^]]*\]", "[]", path) for path in paths} <= known
    assert POLICY_VERSION["subresources"] == {"status": {}}


def test_every_stage_is_explained() -> None:
    assert list(STAGES) == list(Stage)
    assert all(len(stage) <= 16 for stage in Stage)
