"""The dashboard as Grafana understands it: its types, and where its links lead."""

import enum
import inspect
import json
import re
import typing
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel

from e2e.paths import REPO

DOCS = REPO / "docs"
RAW: dict[str, Any] = json.loads((DOCS / "monitoring" / "dashboard.json").read_text())
PANELS = [panel for panel in RAW["panels"] if panel["type"] != "row"]
RULES = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((DOCS / "monitoring" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}
SIMPLE = {str, int, float, bool}
LINK = re.compile(
    r"https://github\.com/uploadpp/upload-postprocessing/blob/main/docs/([\w-]+\.md)(?:#(\w+))?"
)


def wrong(value: Any, wanted: Any, path: str) -> list[str]:  # noqa: ANN401 -- whatever a hint may be
    """Where a value is not of the type that the SDK declares."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    found: list[list[str]] = []
    if value is None and type(None) in inner:
        return []
    if origin is typing.Union:
        likely = [each for each in inner if each is type(value)] or [e for e in inner if e is not type(None)]
        found = [wrong(value, each, path) for each in likely]
        return [] if [] in found else found[0]
    if origin is list and isinstance(value, list):
        found = [wrong(each, inner[0], f"{path}[{n}]") for n, each in enumerate(value)]
    elif origin is dict and isinstance(value, dict):
        found = [wrong(each, inner[1], f"{path}.{key}") for key, each in value.items()]
    elif not is_plain(value, wanted):
        found = [of_class(value, wanted, path)]
    return [each for some in found for each in some]


def is_plain(value: object, wanted: Any) -> bool:  # noqa: ANN401 -- same
    """Whether it is a value of a simple type, one of several words, or of an enumeration."""
    if typing.get_origin(wanted) is typing.Literal:
        return value in typing.get_args(wanted)
    if inspect.isclass(wanted) and issubclass(wanted, enum.Enum):
        return value in {each.value for each in wanted}
    if wanted is float:
        return type(value) in {int, float}
    return wanted in {typing.Any, object} or (wanted in SIMPLE and type(value) is wanted)


def of_class(value: Any, wanted: Any, path: str) -> list[str]:  # noqa: ANN401 -- same
    """The same of a class of the SDK, which keeps some parts as the JSON that they were."""
    if isinstance(value, dict) and hasattr(wanted, "from_json"):
        read = wanted.from_json(value)
        return lost(value, kept(read), path) + of_class(read, wanted, path)
    if not (inspect.isclass(wanted) and isinstance(value, wanted)) or type(value) in SIMPLE:
        return [f"{path}: {value!r} is not of the type {wanted}"]
    hints = typing.get_type_hints(type(value))
    return [w for name, hint in hints.items() for w in wrong(getattr(value, name), hint, f"{path}.{name}")]


def kept(value: object) -> Any:  # noqa: ANN401 -- JSON
    """What the SDK writes of it, without what it adds."""
    return json.loads(JSONEncoder().encode(value))


def lost(given: object, found: object, path: str) -> list[str]:
    """What of the JSON is not a field that Grafana knows."""
    if isinstance(given, dict) and isinstance(found, dict):
        missing = [f"{path}.{key}" for key in given if key not in found]
        return missing + [w for k in given.keys() & found for w in lost(given[k], found[k], f"{path}.{k}")]
    if isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        return [
            w for n, pair in enumerate(zip(given, found, strict=True)) for w in lost(*pair, f"{path}[{n}]")
        ]
    return [] if given == found else [path]


def test_every_field_is_one_that_grafana_knows_and_of_its_type() -> None:
    read = Dashboard.from_json(RAW)
    assert lost(RAW, kept(read), "") == []
    assert wrong(read, Dashboard, "dashboard") == []
    assert {type(panel) for panel in read.panels or []} == {Panel, RowPanel}


@pytest.mark.parametrize(
    ("panel", "field"),
    [
        ({"fieldConfig": {"defaults": {"min": "0"}, "overrides": []}}, "min"),
        ({"gridPos": {"x": 0, "y": 0, "w": "8", "h": 8}}, "w"),
        ({"tittle": "x"}, "tittle"),
        ({"transparent": "yes"}, "transparent"),
    ],
)
def test_a_mistake_in_a_panel_is_noticed(panel: dict[str, Any], field: str) -> None:
    given = {**RAW, "panels": [{**PANELS[0], **panel}]}
    read = Dashboard.from_json(given)
    found = lost(given, kept(read), "") + wrong(read, Dashboard, "dashboard")
    assert [each for each in found if field in each]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in RAW["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def links(of: dict[str, Any]) -> list[str]:
    return [link["url"] for link in of.get("links", [])]


@pytest.mark.parametrize("url", sorted({*links(RAW), *(url for panel in PANELS for url in links(panel))}))
def test_links_lead_to_sections_that_exist(url: str) -> None:
    found = LINK.fullmatch(url)
    assert found, url
    page = (DOCS / found[1]).read_text()
    headings = {re.sub(r"[^\w-]", "", each.lower()) for each in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    assert found[2] is None or found[2] in headings


def test_a_panel_that_shows_what_an_alert_watches_links_to_its_section() -> None:
    linked = {url.partition("#")[2]: panel for panel in PANELS for url in links(panel)}
    for alert, expression in RULES.items():
        watched = set(re.findall(r"\buploadpp_\w+", expression))
        shown = [p for p in PANELS if watched <= set(re.findall(r"\buploadpp_\w+", str(p.get("targets"))))]
        special = {"uploadpp_build_info", "uploadpp_step_listeners"}
        if shown and not watched & special:
            assert alert.lower() in linked, (alert, [panel["title"] for panel in shown])
