"""The definitions of values.schema.json that are about steps and their services."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from chart_values import Value, closed, form

from uploadpp.api.field_types import MONTH, YEAR
from uploadpp.core.model import FINISHED_STEP
from uploadpp.core.states import Outcome
from uploadpp.process.settings import MAX_STEP_NAME
from uploadpp.process.step_settings import StepSettings
from uploadpp.steps.virusscan import Infected, Oversize

SIZE = {
    "type": ["string", "integer"],
    "pattern": r"^[0-9]+([.][0-9]+)? *[kKmMgGtT]?[iI]?[bB]?$",
    "minimum": 0,
}


def words(**form: str) -> dict[str, Any]:
    """One text or several, each of this form. An empty list would be a condition that every file meets."""
    return {"type": ["string", "array"], "minItems": 1, **form, "items": {"type": "string", **form}}


WORDS = {
    "name": words(),
    "extension": words(pattern=r"^\s*([*][.])?[^*?,;/\[\s]*\s*$"),
    "mime": words(pattern=r"^\s*([^/;\s]+/[^;\s]+|[^;\s]*[*?\[][^;\s]*)\s*$"),
    "user": words(),
}
FINAL = [each.value for each in Outcome if each is not Outcome.RETRY]
CONDITIONS = ("name", "extension", "mime", "user", "largerThan", "smallerThan")
LONGEST = {
    "timeoutSeconds": YEAR,
    "stallAfterSeconds": YEAR,
    "backoffSeconds": MONTH,
    "maxBackoffSeconds": MONTH,
}
"""What a resource can hold; the operator would not start with more."""
STATUS = r"^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$"
DEFAULTS = "stepServiceDefaults"
REPOSITORY = r"(([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"
TAG = "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?)?$"
"""Names of images; values.yaml has the same. A tag may have a digest behind it."""


def definitions(values: tuple[Value, ...]) -> dict[str, Any]:
    """All of them."""
    common = {each.name: each.schema() for each in _defaults(values).fields}
    (nats,) = [each for each in values if each.name == "nats"]
    (auth,) = [each for each in nats.children if each.name == "auth"]
    service = closed(common | own_fields(), [])
    return {
        "step": step_schema(),
        "stepService": {**service, "type": ["object", "null"]},
        "stepServiceDefaults": closed(common, []),
        "image": _image(),
        "natsAuth": closed({each.name: _login(each) for each in auth.children}, []),
    }


def _defaults(values: tuple[Value, ...]) -> Value:
    (found,) = [each for each in values if each.name == DEFAULTS]
    return found


def _login(way: Value) -> dict[str, Any]:
    return closed({each.name: {"type": "string", **form(each.name)} for each in way.children}, [])


def _image() -> dict[str, Any]:
    texts = {
        "repository": {"type": "string", "pattern": f"^({REPOSITORY})?$"},
        "tag": {"type": "string", "pattern": TAG},
    }
    digest = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
    return closed(
        {**texts, "digest": digest, "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]}}, []
    )


def step_name() -> dict[str, Any]:
    """A name that a step can have."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_STEP_NAME,
        # Neither blanks of any kind nor what people take for a separator or a quotation mark.
        "pattern": "^[^,;\"'\\[\\]\\s\u00a0\u2000-\u200a\u2028\u2029\u202f\u3000\uff1b\uff0c\u3001]+$",
        "not": {"const": FINISHED_STEP},
    }


def step_schema() -> dict[str, Any]:
    """An item of `steps`: a name, and the operator's own settings of one step."""
    model = StepSettings.model_json_schema()
    settings = {key: _plain(each, model["$defs"]) for key, each in model["properties"].items()}
    for key, longest in LONGEST.items():
        settings[key]["maximum"] = longest
    return closed({"name": step_name(), **settings}, ["name"])


def _plain(schema: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A pydantic field without `null`: in values a setting is left out instead."""
    (plain,) = [each for each in schema["anyOf"] if each.get("type") != "null"]
    if "$ref" in plain:
        plain = {"enum": found[plain["$ref"].rsplit("/", 1)[-1]]["enum"]}
    return dict(plain)


def own_fields() -> dict[str, Any]:
    """What only an entry of `stepServices` has."""
    return {
        "step": _said(step_name(), "Name of the step, where it is not the entry's."),
        "image": _said({"$ref": "#/definitions/image"}, "Another image, or another tag of the chart's."),
        "virusscan": _said(
            _virusscan(),
            "A scan with clamd: `clamd` is `tcp:HOST:PORT`, `unix:/PATH`, or `sidecar` for one in each Pod. "
            "`infected`, `suspicious`, `maxScanSize`, `oversize`, `encrypted` and `unscannable` say what "
            "happens to which files (docs/steps.md).",
        ),
        "policies": _said(
            _policies(),
            "Rules about names, contents, sizes and users: `rules`, of which the first that matches counts, "
            "and `default`. They are kept in a ConfigMap; a change replaces the Pods.",
        ),
        "command": _said(
            _command(),
            "A command for each file: `exec`, `exit` (status to outcome), `exitUnscanned`, `passEnv`. The "
            "image must have the program: build one `FROM` ours, and name it in `image`.",
        ),
        "program": _said(
            _program(),
            "A program of your own in the `image` that you name, with `command` and `args` as in a Pod. "
            "`port` is where it serves /healthz, /readyz and /metrics, as `uploadpp.steps` does at 9256; "
            "0: nowhere, and no probes.",
        ),
    }


def _said(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"description": text, **schema}


def _enum(*kinds: type[StrEnum]) -> dict[str, Any]:
    return {"enum": [each.value for kind in kinds for each in kind]}


def _virusscan() -> dict[str, Any]:
    address = {
        "type": "string",
        "pattern": r"^(sidecar|tcp:(//)?[^\s]+:[0-9]{1,5}|unix:(//)?/[^\s]+|/[^\s]+)$",
    }
    fields = {
        "clamd": address,
        "maxScanSize": SIZE,
        "infected": _enum(Infected),
        "suspicious": _enum(Infected),
        "oversize": _enum(Oversize),
        "encrypted": _enum(Outcome),
        "unscannable": _enum(Outcome),
    }
    return closed(fields, ["clamd"])


def _policies() -> dict[str, Any]:
    conditions = {name: WORDS.get(name, SIZE) for name in CONDITIONS}
    fields = {"outcome": {"enum": FINAL}, "message": {"type": "string"}, **conditions}
    rule = closed(fields, ["outcome"])
    rules = {"type": "array", "items": rule, "maxItems": 1000}
    return {**closed({"rules": rules, "default": {"enum": FINAL}}, []), "minProperties": 1}


def _command() -> dict[str, Any]:
    statuses = {
        "type": "object",
        "patternProperties": {STATUS: _enum(Outcome)},
        "additionalProperties": False,
    }
    unscanned = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}
    names = {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}}
    fields = {
        "exec": {"type": "string", "pattern": r"\S"},
        "exit": statuses,
        "exitUnscanned": unscanned,
        "passEnv": names,
    }
    return closed(fields, ["exec"])


def _program() -> dict[str, Any]:
    words = {"type": "array", "items": {"type": "string"}}
    port = {"type": "integer", "minimum": 0, "maximum": 65535}
    return closed({"command": words, "args": words, "port": port}, [])


def rows(values: tuple[Value, ...]) -> Iterator[tuple[str, Any, str]]:
    """The fields of an entry of `stepServices`: name, default (None where there is none) and text."""
    for name, schema in own_fields().items():
        yield name, None, schema["description"]
    for each in _defaults(values).fields:
        yield each.name, each.default, each.text
