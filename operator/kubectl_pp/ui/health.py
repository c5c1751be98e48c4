"""What `doctor` finds about the operator, for the page; and the slots of each step, from its metrics."""

from __future__ import annotations

from typing import NamedTuple

from kubectl_pp import deployments, metrics, operators
from kubectl_pp.context import Context
from kubectl_pp.errors import PluginError
from kubectl_pp.findings import Finding, Verdict
from kubectl_pp.sanitize import Json
from kubectl_pp.screen import harmless
from kubectl_pp.verbs.doctor import shards

_LOOKS = {
    Verdict.GOOD: "done good",
    Verdict.NOTE: "waiting faint",
    Verdict.WARNING: "held waiting",
    Verdict.BAD: "failed bad",
}


class Health(NamedTuple):
    """Findings for people, of each step the slots that are used and are there, steps nobody listens for."""

    findings: list[Json]
    slots: dict[str, list[int | None]]
    unwell: list[str]


def look(context: Context) -> Health:
    """Ask Leases, Pods and metrics.

    Raises:
        PluginError: none of that can be asked.
    """
    namespace = context.options.operator_namespace or context.default_namespace
    url = context.options.metrics_url
    found = shards(context, namespace)
    findings = [*found.findings, *deployments.look(context, namespace)]
    findings += operators.look(context, namespace, {holder.rpartition("_")[0] for holder in found.holders})
    slots: dict[str, list[int | None]] = {}
    unwell: list[str] = []
    for holder in [""] if url else sorted(found.holders):
        try:
            text = metrics.read(context.client, namespace, holder, url)
        except (PluginError, OSError) as error:
            findings.append(metrics.unreadable(error))
            continue
        findings += metrics.judge(metrics.parse(text))
        for step, number in metrics.by_step(text, "uploadpp_step_slots").items():
            slots[harmless(step)] = [None, int(number)]
        for step, number in metrics.by_step(text, "uploadpp_step_slots_used").items():
            if harmless(step) in slots:
                slots[harmless(step)][0] = int(number)
        listeners = metrics.by_step(text, "uploadpp_step_listeners")
        unwell += [harmless(step) for step, number in listeners.items() if not number]
    return Health([_json(each) for each in findings], slots, unwell)


def unknown(error: PluginError) -> Health:
    """When none of it can be asked."""
    return Health([_json(Finding(Verdict.NOTE, f"the operator: {error}", error.remedy))], {}, [])


def _json(finding: Finding) -> Json:
    return {
        "look": _LOOKS[finding.verdict],
        "bad": finding.verdict in (Verdict.BAD, Verdict.WARNING),
        "text": harmless(finding.text),
        "remedy": harmless(finding.remedy),
    }
