"""The dashboard as a page, drawn from what a Prometheus answers. Grafana draws it nicer, but we have none.

To renew the docs' picture: `UPDATE_PICTURES=1 scripts/test tests/integration/test_dashboard.py -k picture`.
"""

from collections.abc import Callable
from html import escape
from typing import Any

Json = dict[str, Any]
Ask = Callable[[str], list[Json]]
"""From an expression to the series of a range, as Prometheus has them: `metric` and `values`."""

COLORS = ("#5794f2", "#73bf69", "#f2cc0c", "#ff780a", "#b877d9", "#f2495c", "#8ab8ff", "#96d98d")
CELL, UNIT = 46, 30
"""Pixels of a column, and of a row of the grid."""
LEGEND = 3
STYLE = f"""
body {{ margin: 0; padding: 10px; width: {24 * CELL}px }}
body {{ background: #111217; color: #ccccdc; font: 12px sans-serif }}
main {{ position: relative }}
section {{ position: absolute; box-sizing: border-box; padding: 6px 8px; overflow: hidden }}
section {{ background: #181b1f; border: 1px solid #2a2e36; border-radius: 3px }}
h2 {{ position: absolute; margin: 0; font-size: 14px; line-height: {UNIT}px; color: #fff }}
h3 {{ margin: 0 0 2px; font-size: 12px; font-weight: 500; white-space: nowrap }}
.number {{ font-size: 34px; font-weight: 600; line-height: 76px; text-align: center }}
.none {{ text-align: center; color: #7b8087; padding-top: 60px }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: 3px 8px; border-bottom: 1px solid #2a2e36 }}
th {{ color: #6e9fff; font-weight: 500 }}
p {{ margin: 0; white-space: nowrap; line-height: 15px }}
i {{ display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle }}
"""


def page(dashboard: Json, ask: Ask, until: str) -> str:
    """HTML of all rows up to the one with the title `until`, which is left out."""
    parts, height = [], 0
    for panel in dashboard["panels"]:
        if panel["type"] == "row" and panel["title"] == until:
            break
        at = panel["gridPos"]
        place = f"left:{at['x'] * CELL}px;top:{at['y'] * UNIT}px;width:{at['w'] * CELL - 6}px"
        height = max(height, (at["y"] + at["h"]) * UNIT)
        if panel["type"] == "row":
            parts.append(f'<h2 style="{place}">{escape(panel["title"])}</h2>')
            continue
        body = {"stat": _stat, "table": _table, "timeseries": _lines}[panel["type"]](panel, ask)
        tall = f"height:{at['h'] * UNIT - 6}px"
        parts.append(f'<section style="{place};{tall}"><h3>{escape(panel["title"])}</h3>{body}</section>')
    main = f'<main style="height:{height}px">{"".join(parts)}</main>'
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{main}"


def shown(value: float, unit: str) -> str:
    """A number with its unit, about as Grafana shows it."""
    if unit == "s":
        sizes, end = (("min", 60.0), ("s", 1.0), ("ms", 0.001)), ""
    else:
        end = "B" if unit in {"bytes", "Bps"} else ""
        sizes = ((f"G{end}", 1e9), (f"M{end}", 1e6), (f"k{end}", 1e3))
    for name, size in sizes:
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} /s" if unit == "ops" else f"{value:.3g}"


def _unit(panel: Json) -> str:
    return str(panel["fieldConfig"]["defaults"].get("unit", "short"))


def _stat(panel: Json, ask: Ask) -> str:
    series = ask(panel["targets"][0]["expr"])
    if not series:
        return '<div class="none" style="padding-top:30px">No data</div>'
    value = float(series[0]["values"][-1][1])
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    color = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    paint = {"green": "#73bf69", "red": "#f2495c", "text": "#ccccdc"}[color]
    return f'<div class="number" style="color:{paint}">{shown(value, _unit(panel))}</div>'


def _table(panel: Json, ask: Ask) -> str:
    names = panel["transformations"][1]["options"]["renameByName"].values()
    rows: dict[tuple[str, str], list[str]] = {}
    for column, target in enumerate(panel["targets"]):
        found = ask(target["expr"])
        newest = max((each["values"][-1][0] for each in found), default=0)
        for each in found:
            if each["values"][-1][0] < newest:
                continue  # it was there, and is gone
            key = (each["metric"].get("stage", ""), each["metric"].get("step", ""))
            row = rows.setdefault(key, [""] * len(panel["targets"]))
            row[column] = shown(float(each["values"][-1][1]), "s" if column else "short")
    head = "".join(f"<th>{escape(name)}</th>" for name in ("stage", "step", *names))
    lines = [
        "".join(f"<td>{escape(cell)}</td>" for cell in (*key, *row)) for key, row in sorted(rows.items())
    ]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _lines(panel: Json, ask: Ask) -> str:
    found: list[tuple[str, list[tuple[float, float]]]] = []
    for target in panel["targets"]:
        for each in ask(target["expr"]):
            label = target["legendFormat"] or "value"
            for name, value in each["metric"].items():
                label = label.replace(f"{{{{{name}}}}}", value)
            points = [(float(at), float(value)) for at, value in each["values"] if value != "NaN"]
            found.append((label, points))
    drawn = [(label, points) for label, points in found if points]
    if not drawn:
        return '<div class="none">No data</div>'
    width, height = panel["gridPos"]["w"] * CELL - 70, panel["gridPos"]["h"] * UNIT - 110
    top = max(value for _, points in drawn for _, value in points) or 1.0
    first = min(at for _, points in drawn for at, _ in points)
    last = max(first + 1, *(at for _, points in drawn for at, _ in points))
    paths = []
    for number, (_, points) in enumerate(drawn):
        line = " ".join(
            f"{(at - first) / (last - first) * width:.1f},{height - value / top * height + 4:.1f}"
            for at, value in points
        )
        color = COLORS[number % len(COLORS)]
        paths.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"/>')
    unit = _unit(panel)
    axis = "".join(
        f'<line x1="0" x2="{width}" y1="{y}" y2="{y}" stroke="#2a2e36"/>'
        f'<text x="{width + 4}" y="{y + 4}" fill="#8e9297" font-size="10">{shown(top * part, unit)}</text>'
        for part, y in ((1.0, 4), (0.5, height / 2 + 4), (0.0, height + 4))
    )
    legend = "".join(
        f'<p><i style="background:{COLORS[n % len(COLORS)]}"></i>{escape(label)}</p>'
        for n, (label, _) in enumerate(drawn[:LEGEND])
    )
    more = f"<p>and {len(drawn) - LEGEND} more</p>" if len(drawn) > LEGEND else ""
    return f'<svg width="{width + 52}" height="{height + 10}">{axis}{"".join(paths)}</svg>{legend}{more}'
