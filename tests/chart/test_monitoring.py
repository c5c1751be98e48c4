"""Alerts and dashboard, with Prometheus' own tool and the operator's own metrics."""

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.binaries import resolve
from e2e.paths import REPO
from uploadpp.core.states import Ignored, Outcome, Stage
from uploadpp.steps.metrics import StepMetrics
from uploadpp.telemetry.metrics import NO_ANSWER, Metrics

ALERTS = REPO / "docs" / "monitoring" / "alerts.yaml"
SITUATIONS = Path(__file__).parent / "data" / "alerts.test.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
DASHBOARD: list[str] = runpy.run_path(str(REPO / "scripts" / "dashboard.py"))["expressions"](REPO)
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{f"panel {n}": e for n, e in enumerate(DASHBOARD)},
}


def promtool(*args: str) -> str:
    """What promtool says; fails when it does."""
    done = subprocess.run([resolve("promtool").path, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exposed() -> dict[str, set[str]]:
    """The names under which Prometheus knows the metrics of operator and steps, and their labels."""
    found: dict[str, set[str]] = {}
    for metric in (*Metrics().registry.collect(), *StepMetrics("x").registry.collect()):
        of_histogram = ("_bucket", "_count", "_sum")
        suffixes = {"counter": ("_total",), "histogram": of_histogram}.get(metric.type, ("",))
        for suffix in suffixes:
            found[metric.name + suffix] = {"namespace"}
    return found


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", str(SITUATIONS))
    expected = set(re.findall(r'alertname="(\w+)"', SITUATIONS.read_text()))
    assert expected == {rule["alert"] for rule in RULES}


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(DASHBOARD)]
    path = tmp_path / "dashboard.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_the_dashboard_counts_a_pod_once_whoever_scrapes_it(tmp_path: Path) -> None:
    """Two jobs, as with a ServiceMonitor and annotations."""
    wanted = {
        "uploadpp_uploads_stalled": ("", "5"),
        'uploadpp_uploads{namespace=~".*", stage="Held"}': ('stage="Held", step="{}", ', "4"),
        "uploadpp_step_build_info": ('step="a", ', "1"),
        "rate(uploadpp_uploads_ended_total": ('stage="Completed", ', "0+60x20"),
    }
    results = {
        "uploadpp_uploads_stalled": 5,
        "uploadpp_step_build_info": 1,
        "rate(uploadpp_uploads_ended_total": 1,
    }
    series: list[dict[str, str]] = []
    tests: list[dict[str, Any]] = []
    for beginning, (labels, values) in wanted.items():
        name = re.search(r"uploadpp_\w+", beginning)
        assert name is not None
        for job, step in ((job, step) for job in ("monitor", "annotations") for step in ("a", "b")):
            own = labels.format(step)
            made = f'{name[0]}{{{own}namespace="n", pod="p", instance="i", job="{job}"}}'
            if made not in {each["series"] for each in series}:
                series.append({"series": made, "values": values if "+" in values else f"{values}x20"})
        (expression,) = [each for each in DASHBOARD if beginning in each][:1]
        labelled = '{step="a"}' if beginning == "uploadpp_step_build_info" else "{}"
        sample = {"labels": labelled, "value": results.get(beginning, 8)}
        tests.append({"expr": expression, "eval_time": "15m", "exp_samples": [sample]})
    content = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]}
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(content))
    promtool("test", "rules", str(path))


def test_the_dashboard_knows_every_label_of_our_metrics() -> None:
    """One that it does not know would be merged with others before they are added up."""
    known = set(runpy.run_path(str(REPO / "scripts" / "dashboard.py"))["LABELS"])
    rows = re.findall(
        r"^\| `uploadpp_\w+` \| \w+ \| ([^|]*) \|", (REPO / "docs/metrics.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 40
    assert {word for row in rows for word in re.findall(r"`(\w+)`", row)} <= known


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_use_metrics_that_exist(name: str) -> None:
    used = set(re.findall(r"\buploadpp_\w+", EXPRESSIONS[name]))
    assert used
    assert used <= set(exposed())


def test_every_metric_answers_something() -> None:
    """What nobody looks at is not worth its place in every scrape."""
    used = set(re.findall(r"\buploadpp_\w+", " ".join(EXPRESSIONS.values())))
    names = {each.name for each in Metrics().registry.collect() if not each.name.startswith("process_")}
    assert {name for name in names if not any(each.startswith(name) for each in used)} == set()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_look_for_values_that_exist(name: str) -> None:
    words: dict[str, set[str]] = {
        "stage": {*Stage},
        "outcome": {*Outcome, NO_ANSWER},
        "reason": {*Ignored},
        "result": {"ok", "conflict", "refused", "unavailable"},
        "input": {"UploadReady", "BytesReceived", "StepFinished"},
    }
    for label, pattern in re.findall(r'(\w+)=~?"([^"]*)"', EXPRESSIONS[name]):
        if label in words:
            for alternative in pattern.split("|"):
                assert any(re.fullmatch(alternative, word) for word in words[label]), alternative


def test_every_alert_has_its_section_in_the_runbook() -> None:
    sections = re.findall(r"^## (\w+)$", (REPO / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]
