"""The operator's Pods as `doctor` sees them: whether they run, and what they say about themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from kubectl_pp import pages
from kubectl_pp.client import METADATA, Client, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import PluginError
from kubectl_pp.findings import Finding, Verdict
from kubectl_pp.screen import harmless
from kubectl_pp.times import human, parse_time
from kubectl_pp.view import event_time

KEY_FILE = "sealing.key"
KEY_ANNOTATION = "uploadpp.io/sealing-key"
BEING_CREATED = ("ContainerCreating", "PodInitializing")
CREATION_SECONDS = 60.0
UNREADY = "its readiness probe fails; you may not ask the Pod for the reason (pods/proxy)"


def look(context: Context, namespace: str, holders: set[str]) -> Iterator[Finding]:
    """What is wrong with the operator's Pods; `holders` are those that work on uploads."""
    url, client = context.options.metrics_url, context.client
    if url:
        yield from _verdict(_ask_at(url), "the operator", f"curl {_readyz(url)}", works=True)
        return
    try:
        pods = _pods(client, namespace, context.options.operator_selector)
    except PluginError as error:
        yield Finding(Verdict.NOTE, f"cannot list the operator's Pods: {error}", error.remedy)
        pods = {}
    # Where somebody else keeps the Lease, such as a process that is not ours, no Pod only stands by.
    owned = holders if holders & pods.keys() or not pods else set[str]()
    for name in sorted({*pods, *holders}):
        works = name in owned or not owned
        pod = pods.get(name)
        stuck = _trouble(client, namespace, pod) if pod is not None else ""
        if stuck:
            text = f"Pod {name} is not running: {stuck}"
            remedy = f"kubectl describe pod {name} -n {namespace}"
            yield Finding(Verdict.BAD if works else Verdict.WARNING, text, remedy)
            continue
        said = _ask(client, namespace, name)
        if said is None and pod is not None and _is_unready(pod):
            said = UNREADY
        yield from _verdict(said, f"operator {name}", f"kubectl logs -n {namespace} {name}", works=works)


def first_trouble(client: Client, namespace: str, selector: str) -> str:
    """Why one of these Pods does not run or is not ready; empty if none gives a reason."""
    try:
        pods = _pods(client, namespace, selector)
    except PluginError:
        return ""
    found = [(name, _trouble(client, namespace, pod)) for name, pod in sorted(pods.items())]
    found += [(name, _ask(client, namespace, name, _port(pod)) or "") for name, pod in sorted(pods.items())]
    return next((f"{name}: {why}" for name, why in found if why), "")


def keys(client: Client, namespace: str, leases: list[Json], selector: str) -> Iterator[Finding]:
    """Whether all owners seal with the same key, and how old it is."""
    named = {str((each["metadata"].get("annotations") or {}).get(KEY_ANNOTATION, "")) for each in leases}
    prints = sorted(harmless(each) for each in named if each)
    if len(prints) > 1:
        yield Finding(
            Verdict.BAD,
            f"the replicas have different sealing keys: {', '.join(prints)}",
            "finish the rollout, or give all replicas the same Secret",
        )
    elif prints:
        age = _key_age(client, namespace, selector)
        known = f", its Secret is {human(age)} old" if age is not None else ""
        yield Finding(Verdict.GOOD, f"all owners have the sealing key {prints[0]}{known}")


def _verdict(said: str | None, who: str, remedy: str, *, works: bool) -> Iterator[Finding]:
    if said:
        consequence = "does not process uploads" if works else "cannot stand by"
        yield Finding(Verdict.BAD if works else Verdict.WARNING, f"{who} {consequence}: {said}", remedy)
    elif said == "" and works:
        yield Finding(Verdict.GOOD, f"{who} is ready")


def _pods(client: Client, namespace: str, selector: str) -> dict[str, Json]:
    """The operator's Pods by name, but for those that have ended or are about to."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    found = client.items(path, {"labelSelector": selector})
    alive = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    return {
        pod["metadata"]["name"]: pod
        for pod in alive
        if (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}
    }


def _trouble(client: Client, namespace: str, pod: Json) -> str:
    """Why a Pod does not run, in the words of scheduler and kubelet; empty if they give no reason."""
    why = _why_it_does_not_run(pod)
    return why or (_newest_warning(client, namespace, pod) if _is_being_created(pod) else "")


def _is_being_created(pod: Json) -> bool:
    """Whether the kubelet prepares it: a Secret that is missing is then in its Events alone."""
    status: dict[str, Any] = pod.get("status") or {}
    return status.get("phase") == "Pending" and any(
        ((each.get("state") or {}).get("waiting") or {}).get("reason") in BEING_CREATED
        for each in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    )


def _newest_warning(client: Client, namespace: str, pod: Json) -> str:
    """The last Warning about a Pod, and how long it has been created; empty for the first seconds."""
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    selector = f"involvedObject.kind=Pod,involvedObject.name={name},involvedObject.uid={uid},type=Warning"
    try:
        events = client.items(f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": selector})
    except PluginError:
        events = []
    if events:
        newest = max(events, key=event_time)
        return harmless(f"{newest.get('reason', '')}: {newest.get('message', '')}")
    age = _age(pod) or 0.0
    return f"its containers have been starting for {human(age)}" if age > CREATION_SECONDS else ""


def _is_unready(pod: Json) -> bool:
    """Whether it runs and its readiness probe says no."""
    status: dict[str, Any] = pod.get("status") or {}
    unready = any(
        each.get("type") == "Ready" and each.get("status") == "False" for each in status.get("conditions", ())
    )
    return unready and status.get("phase") == "Running"


def _why_it_does_not_run(pod: Json) -> str:
    """In the words of scheduler and kubelet; empty when its containers run."""
    status: dict[str, Any] = pod.get("status") or {}
    for each in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        waiting = (each.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in BEING_CREATED:
            ended = (each.get("lastState") or {}).get("terminated") or {}
            words = filter(None, [waiting.get("reason"), waiting.get("message"), ended.get("message")])
            return harmless(": ".join(map(str, words)))
    for each in status.get("conditions", ()):
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return harmless(f"{each.get('reason', 'Pending')}: {each.get('message', '')}")
    return ""


def _port(pod: Json) -> int:
    """Where a step answers probes."""
    ports = [each for container in pod["spec"]["containers"] for each in container.get("ports") or ()]
    return int(ports[0]["containerPort"]) if ports else pages.PORT


def _ask(client: Client, namespace: str, pod: str, port: int = pages.PORT) -> str | None:
    """What is wrong according to a Pod's /readyz; empty if nothing, None if it cannot be read."""
    try:
        status, body = client.probe(pages.path_of(namespace, pod, "readyz", port))
    except PluginError:
        return None
    return _words(status, body)


def _ask_at(url: str) -> str | None:
    """The same at an address that a person has given for the metrics."""
    try:
        return _words(*pages.fetch(_readyz(url)))
    except PluginError:
        return None


def _readyz(url: str) -> str:
    return url.rstrip("/").removesuffix("/metrics") + "/readyz"


def _words(status: int, body: bytes) -> str | None:
    if status == HTTPStatus.OK:
        return ""
    text = body.decode(errors="replace").strip()
    # The API server's own 503 is a Status in JSON: it has not reached the Pod.
    if status != HTTPStatus.SERVICE_UNAVAILABLE or not text or text.startswith(("{", "<")):
        return None
    return harmless(text)


def _key_age(client: Client, namespace: str, selector: str) -> float | None:
    """Seconds since the Secret with the sealing key was made; None when that cannot be found out."""
    try:
        for pod in _pods(client, namespace, selector).values():
            for volume in pod["spec"].get("volumes", ()):
                for source in (volume.get("projected") or {}).get("sources", ()):
                    secret = source.get("secret") or {}
                    if any(item.get("path") == KEY_FILE for item in secret.get("items", ())):
                        # Its metadata alone: what is in it is not asked for.
                        path = f"/api/v1/namespaces/{namespace}/secrets/{quote(str(secret['name']), safe='')}"
                        return _age(client.get(path, accept=METADATA))
    except PluginError:
        pass
    return None


def _age(made: Json) -> float | None:
    since = parse_time(made["metadata"].get("creationTimestamp"))
    return time.time() - since if since is not None else None
