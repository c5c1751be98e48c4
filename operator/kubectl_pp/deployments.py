"""The Deployments of operator and step services as `doctor` sees them: what keeps them from having Pods."""

from __future__ import annotations

from collections.abc import Iterator

from kubectl_pp import operators
from kubectl_pp.client import Client, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import PluginError
from kubectl_pp.findings import Finding, Verdict
from kubectl_pp.screen import harmless

STEP_LABEL = "uploadpp.io/step"
JOBS = "app.kubernetes.io/component in (adopt, release)"
"""Those that take uploads over and hand them back: no operator runs beside them."""


def look(context: Context, namespace: str) -> Iterator[Finding]:
    """What is wrong with them; nothing if they cannot be listed: Leases and metrics are still checked."""
    client = context.client
    try:
        own = _list(client, namespace, context.options.operator_selector)
        services = _list(client, namespace, STEP_LABEL)
    except PluginError:
        return
    for each in own:
        yield from _operator(context, each)
    for each in services:
        yield from _service(client, namespace, each)


def _list(client: Client, namespace: str, selector: str) -> list[Json]:
    return client.items(f"/apis/apps/v1/namespaces/{namespace}/deployments", {"labelSelector": selector})


def _operator(context: Context, deployment: Json) -> Iterator[Finding]:
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    if deployment["spec"].get("replicas", 1) == 0:
        text = f"no operator is running: Deployment {name} is scaled to 0"
        remedy = (
            f"helm upgrade with adopt.enabled=false and handBack.enabled=false, or "
            f"kubectl scale deployment {name} -n {namespace} --replicas=1"
        )
        if job := _last_job(context, namespace):
            text += f"; {_told(context.client, job)}"
            logs = f"kubectl logs job/{job['metadata']['name']} -n {namespace}"
            remedy = f"{logs}; to start the operator, {remedy}"
        yield Finding(Verdict.BAD, text, remedy)
    elif refused := _refused(deployment):
        remedy = f"kubectl describe deployment {name} -n {namespace}"
        yield Finding(Verdict.BAD, f"Deployment {name} cannot create its Pods: {refused}", remedy)


def _last_job(context: Context, namespace: str) -> Json | None:
    """The newest Job that takes uploads over or hands them back; older ones stay in the cluster as well."""
    selector = f"{context.options.operator_selector},{JOBS}"
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    try:
        found = context.client.items(path, {"labelSelector": selector})
    except PluginError:
        return None
    return max(found, key=lambda each: str(each["metadata"]["creationTimestamp"]), default=None)


def _told(client: Client, job: Json) -> str:
    """The state of a Job."""
    name, namespace, status = job["metadata"]["name"], job["metadata"]["namespace"], job.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions", ()) if each.get("status") == "True"}
    if "Complete" in conditions:
        return f"Job {name} is done"
    if "Failed" in conditions:
        return f"Job {name} has failed: {harmless(str(conditions['Failed'].get('message', '')))}"
    why = operators.first_trouble(client, namespace, f"batch.kubernetes.io/job-name={name}")
    return f"Job {name} has not ended yet" + (f": {why}" if why else "")


def _service(client: Client, namespace: str, deployment: Json) -> Iterator[Finding]:
    name = deployment["metadata"]["name"]
    step = harmless(str(deployment["metadata"]["labels"][STEP_LABEL]))
    remedy = f"kubectl describe deployment {name} -n {namespace}"
    if deployment["spec"].get("replicas", 1) == 0:
        yield Finding(Verdict.WARNING, f"the step service {step} is scaled to 0: Deployment {name}", remedy)
    elif refused := _refused(deployment):
        yield Finding(Verdict.BAD, f"the step service {step} cannot create its Pods: {refused}", remedy)
    elif not (deployment.get("status") or {}).get("availableReplicas"):
        chosen = deployment["spec"]["selector"].get("matchLabels") or {}
        why = operators.first_trouble(client, namespace, ",".join(f"{k}={v}" for k, v in chosen.items()))
        text = f"the step service {step} has no ready Pod" + (f": {why}" if why else "")
        yield Finding(Verdict.BAD, text, remedy)


def _refused(deployment: Json) -> str:
    """Why the API server refuses its Pods, such as a quota, in its words; empty if it does not."""
    for each in (deployment.get("status") or {}).get("conditions", ()):
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            return harmless(str(each.get("message", "")))
    return ""
