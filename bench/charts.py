"""The figures as pictures (SVG without scripts), beside the report."""

from collections.abc import Callable
from pathlib import Path

import pygal
from pygal.style import CleanStyle

from bench.scenarios import Figures

SERVERS = ("operator", "apiserver", "etcd", "nats")
PERCENTILES = ("p50_ms", "p90_ms", "p99_ms")


def _plain(kind: type[pygal.Graph], title: str) -> pygal.Graph:
    return kind(
        title=title,
        style=CleanStyle,
        height=350,
        js=(),
        print_values=True,
        value_formatter=lambda value: f"{value:.3g}",
    )


def _rates(found: dict[str, Figures]) -> pygal.Graph:
    chart = _plain(pygal.HorizontalBar, "Uploads per second")
    chart.add("bare NATS, 400 in flight", found["bare_nats"]["burst"]["rate"])
    chart.add("operator, 400 in flight", found["burst_400_in_flight"]["rate"])
    chart.add("operator, all at once", found["burst_all_at_once"]["rate"])
    return chart


def _latency(found: dict[str, Figures]) -> pygal.Graph:
    chart = _plain(pygal.Bar, "From BytesReceived to PostprocessingFinished, in ms")
    chart.x_labels = [name.removesuffix("_ms") for name in PERCENTILES]
    for title, figures in {
        "bare NATS, one at a time": found["bare_nats"]["single"],
        "operator, one at a time": found["one_at_a_time"],
        "operator, sustained": found["sustained"],
    }.items():
        chart.add(title, [figures[name] for name in PERCENTILES])
    return chart


def _cpu(found: dict[str, Figures]) -> pygal.Graph:
    names = [name for name, figures in found.items() if "cpu_ms_per_upload" in figures]
    chart = _plain(pygal.StackedBar, "CPU per upload, in ms")
    chart.x_labels = [name.replace("_", " ") for name in names]
    for server in SERVERS:
        chart.add(server, [found[name]["cpu_ms_per_upload"].get(server, 0) for name in names])
    return chart


CHARTS: dict[str, Callable[[dict[str, Figures]], pygal.Graph]] = {
    "rates": _rates,
    "latency": _latency,
    "cpu": _cpu,
}


def draw(found: dict[str, Figures], folder: Path) -> None:
    """Write one file for each chart."""
    for name, chart in CHARTS.items():
        chart(found).render_to_file(str(folder / f"{name}.svg"))
