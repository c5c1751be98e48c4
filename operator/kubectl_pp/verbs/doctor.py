"""`doctor`: checks the installation, and names remedies."""

import re
import time
from collections.abc import Iterator
from shlex import quote
from typing import NamedTuple

from kubectl_pp import deployments, foreign, metrics, operators
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, PluginError, UnavailableError
from kubectl_pp.findings import Finding, Verdict, lines
from kubectl_pp.flags import same_cluster
from kubectl_pp.screen import harmless
from kubectl_pp.tally import Tally
from kubectl_pp.times import human, parse_time
from kubectl_pp.upload import BASE, GROUP, PLURAL, VERSION, Stage, Upload
from kubectl_pp.words import state

LEASES = "uploadpp-shard-"
OURS = re.compile(rf"{LEASES}(?:[1-5]?[0-9]|6[0-3])")
"""An operator has 64 shards at most. Of other names there may be any number, and each holder is asked."""
NAMED = 5
_RIGHTS = (
    (GROUP, PLURAL, "", "list", "to list and watch uploads"),
    (GROUP, PLURAL, "", "watch", "for watch, wait and --wait"),
    (GROUP, PLURAL, "", "patch", "for restart, resume, suspend, cancel"),
    (GROUP, PLURAL, "", "create", "for --create"),
    ("", "events", "", "list", "for events and status"),
    ("coordination.k8s.io", "leases", "", "list", "for doctor"),
    ("", "pods", "log", "get", "for logs"),
)
_NEEDED = ("list", "patch")


def run(context: Context) -> int:
    """Print findings as they come; FAILED when one of them is bad."""
    worst = ExitCode.OK
    for finding in findings(context):
        context.screen.lines(lines(context.screen, finding))
        context.screen.out.flush()
        if finding.verdict is Verdict.BAD:
            worst = ExitCode.FAILED
    return worst


def findings(context: Context) -> Iterator[Finding]:
    """Run one check after the other."""
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
    yield from _operator(context, context.options.operator_namespace or namespace)
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
            answer = _allowed(context, body)
        except PluginError as error:
            yield Finding(Verdict.NOTE, f"cannot check your permissions: {error}")
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
            f"ask an administrator for it; {check}",
        )
    if not denied:
        yield Finding(Verdict.GOOD, f"you have the permissions that kubectl pp needs in {namespace}")


def _allowed(context: Context, body: Json) -> bool:
    """Whether the API server allows what the review asks for."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(context.client.post(path, body)["status"].get("allowed"))


class Shards(NamedTuple):
    """The operator's Leases, what they say, and who holds them."""

    leases: list[Json]
    findings: list[Finding]
    holders: set[str]


def shards(context: Context, namespace: str) -> Shards:
    """Read the operator's Leases; without the right to do so a finding says that."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    try:
        leases = foreign.named(context.client, path, OURS.fullmatch)
    except UnavailableError as error:
        text = f"cannot read the operator's Lease: {error}"
        return Shards([], [Finding(Verdict.WARNING, text, error.remedy)], set())
    if not leases:
        text = f"no operator has run in {namespace} yet: there is no Lease {LEASES}0"
        remedy = "install its Helm chart; if it runs in another namespace, set --operator-namespace"
        return Shards([], [Finding(Verdict.BAD, text, remedy)], set())
    judged = [_judge(context, namespace, lease) for lease in leases]
    holders = {holder for finding, holder in judged if finding.verdict is Verdict.GOOD}
    return Shards(leases, [finding for finding, _ in judged], holders)


def _operator(context: Context, namespace: str) -> Iterator[Finding]:
    leases, findings, holders = shards(context, namespace)
    yield from findings
    yield from deployments.look(context, namespace)
    if findings and not leases and findings[0].verdict is Verdict.WARNING:
        return
    yield from operators.look(context, namespace, {holder.rpartition("_")[0] for holder in holders})
    yield from operators.keys(context.client, namespace, leases, context.options.operator_selector)
    url = context.options.metrics_url
    for holder in [""] if url else sorted(holders):
        yield from metrics.look(context.client, namespace, holder, url)


def _judge(context: Context, namespace: str, lease: Json) -> tuple[Finding, str]:
    """What one Lease says, and its holder."""
    spec, where = lease["spec"], f"Lease {namespace}/{lease['metadata']['name']}"
    holder = harmless(str(spec.get("holderIdentity") or ""))
    silent = time.time() - (parse_time(spec.get("renewTime")) or 0.0)
    if not holder:
        text = f"no operator is running: {where} was released {human(silent)} ago"
        return Finding(Verdict.BAD, text, _look_at(context, namespace)), ""
    if silent > 2 * float(spec.get("leaseDurationSeconds", 15)):
        text = f"the operator does not respond: {holder} has not renewed {where} for {human(silent)}"
        return Finding(Verdict.BAD, text, _look_at(context, namespace)), holder
    epoch = spec.get("leaseTransitions", 0)
    text = f"operator {holder} holds {where} (epoch {epoch}), renewed {human(silent)} ago"
    return Finding(Verdict.GOOD, text), holder


def _look_at(context: Context, namespace: str) -> str:
    place = f"-n {quote(namespace)} -l {quote(context.options.operator_selector)}"
    return f"kubectl get pods {place}{same_cluster(vars(context.options))}, and their logs"


def _stuck(context: Context, uploads: list[Upload]) -> Iterator[Finding]:
    """One finding for all uploads that wait for the same thing."""
    alike: dict[tuple[str, str], list[Upload]] = {}
    for upload in uploads:
        alike.setdefault((upload.stage, upload.step), []).append(upload)
    for group in list(alike.values())[:NAMED]:
        first = min(group, key=lambda upload: upload.since)
        since = human(time.time() - first.since)
        text = f"{first.name} has been stuck for {since}: {state(first)}. {first.message}"
        if len(group) > 1:
            text = f"{len(group):,} uploads are stuck in the same way; the oldest: {text}"
        verdict = Verdict.WARNING if first.stage == Stage.HELD else Verdict.BAD
        yield Finding(verdict, text, context.command(f"status {first.name}", first.namespace))
    if len(alike) > NAMED:
        more = sum(len(group) for group in list(alike.values())[NAMED:])
        yield Finding(Verdict.WARNING, f"{more:,} more are stuck", context.command("list --stalled"))


def _uploads(context: Context) -> Iterator[Finding]:
    try:
        tally = context.client.retried(lambda: Tally(context, keep=_waits))
    except PluginError as error:
        yield Finding(Verdict.BAD, str(error), error.remedy)
        return
    ended = sum(tally.ended.values())
    yield Finding(
        Verdict.GOOD, f"{tally.moving:,} uploads in postprocessing, {ended:,} ended and not deleted yet"
    )
    if tally.moving and len(tally.kept) == tally.moving:
        text = "none of them makes progress: each waits for an answer that does not come, or for a person"
        yield Finding(Verdict.BAD, text, context.command("stats"))
    yield from _stuck(context, sorted((u for u in tally.kept if u.stuck), key=lambda u: u.newest))
    if suspended := sum(not upload.stuck for upload in tally.kept):
        text = f"{suspended:,} uploads are suspended (spec.desiredState)"
        yield Finding(Verdict.NOTE, text, context.command("unsuspend --all"))
    for each in tally.left_alone[:NAMED]:
        yield Finding(
            Verdict.NOTE,
            f"{each.name}: {each.message}",
            context.command(f"status {each.name}", each.namespace),
        )
    failed = ended - tally.ended[Stage.COMPLETED]
    if failed:
        yield Finding(Verdict.NOTE, f"{failed:,} uploads have failed", context.command("list --failed"))


def _waits(upload: Upload) -> bool:
    """Whether nothing happens to it until somebody does something."""
    return upload.stuck or upload.stage == Stage.SUSPENDED
