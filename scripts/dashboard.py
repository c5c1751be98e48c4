"""Makes the Grafana dashboard of docs/monitoring/dashboard.yaml."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path("docs/monitoring/dashboard.yaml")
GRID = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PAGES = "https://github.com/uploadpp/upload-postprocessing/blob/main/docs"
RUNBOOK = f"{PAGES}/runbook.md"
LABELS = (
    *("stage", "step", "shard", "outcome", "input", "reason", "defect", "policy", "rule", "mode", "result"),
    *("verb", "kind", "version", "ready", "le"),
)
"""What the metrics of a Pod are told apart by."""
_ONCE = f"max by (cluster, namespace, pod, instance, {', '.join(LABELS)}) "
_SERIES = re.compile(r"(?:rate|increase)\(uploadpp_[a-z_]+\{[^}]*\}\[\w+\]\)|uploadpp_[a-z_]+\{[^}]*\}")


def render_dashboard(root: Path) -> str:
    """The dashboard as Grafana imports it."""
    rows = yaml.safe_load((root / SOURCE).read_text())
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in rows.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], **_at(0, y, GRID, 1)})
        x, y = 0, y + 1
        height = 4 if "stat" in row[0] else 8
        for source in row:
            width = source.get("width", 4 if "stat" in source else 8)
            if x + width > GRID:
                x, y = 0, y + height
            panels.append({**_panel(source), **_at(x, y, width, height)})
            x += width
        y += height
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return json.dumps(_frame(panels), indent=1) + "\n"


def expressions(root: Path) -> list[str]:
    """Every expression of the dashboard, for all namespaces."""
    panels = json.loads(render_dashboard(root))["panels"]
    return [t["expr"].replace("$namespace", ".*") for panel in panels for t in panel.get("targets", [])]


def _at(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _panel(source: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": source.get("unit", "short"), "min": 0}
    if source.get("table"):
        return _table(source)
    stat = source.get("stat")
    if stat is not None:
        defaults["thresholds"] = {"mode": "absolute", "steps": _thresholds(stat)}
    queries = enumerate(source["queries"].items())
    return {
        "type": "timeseries" if stat is None else "stat",
        "title": source["title"],
        "description": source["text"],
        **_links(source),
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + n), "expr": _filled(expr), "legendFormat": legend}
            for n, (expr, legend) in queries
        ],
    }


def _links(source: dict[str, Any]) -> dict[str, Any]:
    """The sections of the runbook for the alerts that watch what a panel shows."""
    alerts = source.get("alerts", [])
    links = [{"title": f"Runbook: {name}", "url": _section(name), "targetBlank": True} for name in alerts]
    return {"links": links} if links else {}


def _section(alert: str) -> str:
    return f"{RUNBOOK}#{alert.lower()}"


def _link(title: str, url: str) -> dict[str, Any]:
    """A link beside the title of the dashboard."""
    return {
        "type": "link",
        "title": title,
        "url": url,
        "tooltip": "",
        "icon": "doc",
        "tags": [],
        "asDropdown": False,
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }


def _table(source: dict[str, Any]) -> dict[str, Any]:
    """One row per combination of labels, one column per query; what is not a count is a length of time."""
    columns = {f"Value #{chr(ord('A') + n)}": title for n, title in enumerate(source["queries"].values())}
    ages = [title for title in columns.values() if title.endswith(" for")]
    return {
        "type": "table",
        "title": source["title"],
        "description": source["text"],
        **_links(source),
        "datasource": DATASOURCE,
        "fieldConfig": {
            "defaults": {},
            "overrides": [
                {"matcher": {"id": "byName", "options": age}, "properties": [{"id": "unit", "value": "s"}]}
                for age in ages
            ],
        },
        "options": {"showHeader": True, "sortBy": [{"displayName": ages[0], "desc": True}]},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "expr": _filled(expr),
                "format": "table",
                "instant": True,
                "range": False,
            }
            for n, expr in enumerate(source["queries"])
        ],
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": columns}},
        ],
    }


def _filled(expression: str) -> str:
    """With the chosen namespaces. Two jobs may scrape a Pod, and what is added up must count once."""
    if "sum" in expression or "count" in expression:
        expression = _SERIES.sub(rf"{_ONCE}(\g<0>)", expression)
    return expression.replace("$n", 'namespace=~"$namespace"')


def _thresholds(stat: dict[str, Any]) -> list[dict[str, Any]]:
    if "redAbove" in stat:  # a threshold counts from its value on, so the smallest step above it
        return [{"color": "green", "value": None}, {"color": "red", "value": stat["redAbove"] + 0.001}]
    if "redBelow" in stat:
        return [{"color": "red", "value": None}, {"color": "green", "value": stat["redBelow"]}]
    return [{"color": "text", "value": None}]


def _frame(panels: list[dict[str, Any]]) -> dict[str, Any]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    namespace = {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": DATASOURCE,
        "query": "label_values(uploadpp_build_info, namespace)",
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
    }
    return {
        "uid": "upload-postprocessing",
        "title": "Upload postprocessing",
        "description": "Is anything stuck, where, since when, and is it us, a step or the storage?",
        "tags": ["ocis", "opencloud", "uploadpp"],
        "links": [
            _link("Runbook", RUNBOOK),
            _link("Metrics", f"{PAGES}/metrics.md"),
            _link("kubectl pp", f"{PAGES}/kubectl-pp.md"),
        ],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source, namespace]},
        "panels": panels,
    }
