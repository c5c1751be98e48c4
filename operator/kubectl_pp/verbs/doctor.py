"""`doctor`: is everything in order, and if not, what to do."""

import time
from collections.abc import Iterator

from kubectl_pp import metrics
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, MissingError, PluginError, UnavailableError
from kubectl_pp.findings import Finding, Verdict, lines
from kubectl_pp.times import human, parse_time
from kubectl_pp.upload import BASE, GROUP, PLURAL, VERSION, Upload, collection
from kubectl_pp.words import state

LEASE = "uploadpp-shard-0"
NAMED = 5
_RIGHTS = (
    (GROUP, PLURAL, "", "list", "to see uploads"),
    (GROUP, PLURAL, "", "watch", "for watch, wait and --wait"),
    (GROUP, PLURAL, "", "patch", "for restart, resume, suspend, cancel"),
    (GROUP, PLURAL, "", "create", "for --create"),
    ("", "events", "", "list", "for events and status"),
    ("coordination.k8s.io", "leases", "", "get", "for doctor"),
    ("", "pods", "log", "get", "for logs"),
)
_NEEDED = ("list", "patch")


def run(context: Context) -> int:
    """Print findings as they come; FAILED when one of them is bad."""
    worst = ExitCode.OK
    for finding in _findings(context):
        context.screen.lines(lines(context.screen, finding))
        context.screen.out.flush()
        if finding.verdict is Verdict.BAD:
            worst = ExitCode.FAILED
    return worst


def _findings(context: Context) -> Iterator[Finding]:
    client = context.client
    try:
        version = client.get("/version")
    except PluginError as error:
        yield Finding(Verdict.BAD, str(error), error.remedy)
        return
    yield Finding(Verdict.GOOD, f"API server {version.get('gitVersion', 'of unknown version')} answers")
    try:
        resources = client.get(BASE)["resources"]
    except PluginError as error:
        yield Finding(Verdict.BAD, str(error), error.remedy)
        return
    served = {resource["name"] for resource in resources}
    if f"{PLURAL}/status" in served:
        yield Finding(Verdict.GOOD, f"{PLURAL}.{GROUP} is served in version {VERSION}")
    else:
        yield Finding(
            Verdict.BAD, f"{GROUP}/{VERSION} lacks {PLURAL}/status", "apply the CRD of the operator's version"
        )
    namespace = context.default_namespace
    yield from _rights(context, namespace)
    yield from _lease(context, context.options.operator_namespace or namespace)
    yield from _uploads(context)


def _rights(context: Context, namespace: str) -> Iterator[Finding]:
    """As `kubectl auth can-i` asks."""
    denied = []
    for group, resource, subresource, verb, purpose in _RIGHTS:
        wanted = {"namespace": namespace, "group": group, "resource": resource, "verb": verb}
        body: Json = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {**wanted, "subresource": subresource}},
        }
        try:
            answer = client_answer(context, body)
        except PluginError as error:
            yield Finding(Verdict.NOTE, f"your rights cannot be asked for: {error}")
            return
        if not answer:
            name = f"{resource}.{group}" if group else resource
            option = f" --subresource={subresource}" if subresource else ""
            denied.append((verb, name, purpose, f"kubectl auth can-i {verb} {name}{option} -n {namespace}"))
    for verb, name, purpose, check in denied:
        bad = verb in _NEEDED and GROUP in name
        yield Finding(
            Verdict.BAD if bad else Verdict.WARNING,
            f"you may not {verb} {name} in {namespace} ({purpose})",
            f"ask for that right; {check}",
        )
    if not denied:
        yield Finding(Verdict.GOOD, f"you have all rights the plugin uses in {namespace}")


def client_answer(context: Context, body: Json) -> bool:
    """Whether the API server allows what the review asks for."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(context.client.post(path, body)["status"].get("allowed"))


def _lease(context: Context, namespace: str) -> Iterator[Finding]:
    client = context.client
    where = f"Lease {namespace}/{LEASE}"
    try:
        spec = client.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")["spec"]
    except MissingError:
        yield Finding(
            Verdict.BAD,
            f"no operator has ever run in {namespace}: {where} does not exist",
            "install it with its Helm chart, or name its namespace with --operator-namespace",
        )
        return
    except UnavailableError as error:
        yield Finding(Verdict.WARNING, f"{where} cannot be read: {error}", error.remedy)
        return
    holder = str(spec.get("holderIdentity") or "")
    renewed = parse_time(spec.get("renewTime")) or 0.0
    silent = time.time() - renewed
    if not holder:
        yield Finding(
            Verdict.BAD,
            f"no operator runs: {where} was given back {human(silent)} ago",
            _look_at(context, namespace),
        )
        return
    if silent > 2 * float(spec.get("leaseDurationSeconds", 15)):
        text = f"the operator is dead: {holder} has not renewed {where} for {human(silent)}"
        yield Finding(Verdict.BAD, text, _look_at(context, namespace))
        return
    epoch = spec.get("leaseTransitions", 0)
    yield Finding(
        Verdict.GOOD, f"operator {holder} holds {where} (epoch {epoch}), renewed {human(silent)} ago"
    )
    yield from metrics.look(client, namespace, holder, context.options.metrics_url)


def _look_at(context: Context, namespace: str) -> str:
    return f"kubectl get pods -n {namespace} -l {context.options.operator_selector}, and their logs"


def _uploads(context: Context) -> Iterator[Finding]:
    try:
        pages = context.client.pages(collection(context.namespace), {})
        uploads = [Upload(item) for page in pages for item in page.get("items", [])]
    except PluginError as error:
        yield Finding(Verdict.BAD, str(error), error.remedy)
        return
    moving = [upload for upload in uploads if not upload.ended]
    stuck = sorted((u for u in moving if u.stuck), key=lambda u: u.newest)
    yield Finding(
        Verdict.GOOD,
        f"{len(moving):,} uploads in postprocessing, {len(uploads) - len(moving):,} ended and kept",
    )
    for upload in stuck[:NAMED]:
        since = human(time.time() - upload.since)
        text = f"{upload.name} is stuck for {since}: {state(upload)}. {upload.message}"
        yield Finding(Verdict.WARNING, text, context.command(f"status {upload.name}"))
    if len(stuck) > NAMED:
        yield Finding(
            Verdict.WARNING, f"{len(stuck) - NAMED:,} more are stuck", context.command("list --stalled")
        )
    failed = sum(1 for upload in uploads if upload.failed)
    if failed:
        yield Finding(Verdict.NOTE, f"{failed:,} uploads have failed", context.command("list --failed"))
