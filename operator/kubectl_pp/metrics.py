"""The operator's metrics: finding them, reading them, and what they say of stream and consumer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from http import HTTPStatus

from kubectl_pp import pages
from kubectl_pp.client import Client
from kubectl_pp.errors import PluginError, UnavailableError
from kubectl_pp.findings import Finding, Verdict
from kubectl_pp.screen import harmless
from uploadpp import __version__

MOST, MOST_STEPS = 1e15, 100
MANY_UNREAD = 1000
MANY_UNSAVED = 1000
_BROKEN = (
    (
        "uploadpp_legacy_service_members",
        "the postprocessing service of ocis/OpenCloud is running: the operator waits until it is gone",
        "switch it off: services.postprocessing.image in its chart, or OC(IS)_EXCLUDE_RUN_SERVICES",
    ),
    (
        "uploadpp_sealing_key_wrong",
        "the operator does not have the key that sealed uploads in flight",
        "add that key to its Secret, on a line after the current one, and restart the operator",
    ),
)
"""Metrics that are 0 if all is well."""
_LABELLED = (
    "uploadpp_build_info",
    "uploadpp_step_listeners",
    "uploadpp_step_breaker_open",
    "uploadpp_policies",
)


def look(client: Client, namespace: str, holder: str, url: str | None) -> Iterator[Finding]:
    """Findings from the metrics of the Pod that holds the Lease, or from `url`."""
    try:
        text = read(client, namespace, holder, url)
    except (PluginError, OSError) as error:
        yield unreadable(error)
        return
    yield from judge(parse(text))


def read(client: Client, namespace: str, holder: str, url: str | None) -> str:
    """The metrics of the Pod that holds the Lease, or those at `url`.

    Raises:
        PluginError, OSError: they cannot be read.
    """
    if url:
        status, body = pages.fetch(url)
        if status != HTTPStatus.OK:
            raise UnavailableError(f"{url} answers {status}")
        return body.decode(errors="replace")
    return client.text(pages.path_of(namespace, holder.rpartition("_")[0], "metrics"))


def unreadable(error: Exception) -> Finding:
    """The finding if `read` has failed."""
    why = str(error).splitlines()[0]
    text = f"cannot read the operator's metrics: {why}"
    return Finding(Verdict.NOTE, text, "give its address with --metrics-url")


def parse(text: str) -> dict[str, float]:
    """Sums by name over all labels; those of a few metrics stay part of the name."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#") or " " not in line:
            continue
        sample, _, value = line.rpartition(" ")
        name, _, labels = sample.partition("{")
        key = f"{name}{{{labels}" if name in _LABELLED else name
        found[key] = found.get(key, 0.0) + number(value)
    return found


def number(text: str) -> float:
    """A value; 0 if it is not a number, as from a Pod that is not the operator's."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return min(max(value, -MOST), MOST) if math.isfinite(value) else 0.0


def by_step(text: str, name: str) -> dict[str, float]:
    """One metric that has the label `step` and no other one."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(f'{name}{{step="'):
            step, _, value = line[len(name) + 7 :].rpartition('"} ')
            found[step.replace('\\"', '"').replace("\\\\", "\\")] = number(value)
    return found


def _label(key: str) -> str:
    """The value of the first label."""
    return harmless(key.partition('"')[2].partition('"')[0])


def judge(values: dict[str, float]) -> Iterator[Finding]:
    """What the numbers mean."""
    version = next((_label(k) for k in values if k.startswith("uploadpp_build_info{")), "")
    if version:
        same = version == __version__
        text = f"operator {version}" + ("" if same else f", plugin {__version__}")
        remedy = "" if same else "use the plugin of the operator's version"
        yield Finding(Verdict.GOOD if same else Verdict.NOTE, text, remedy)
    for step in [_label(k) for k, v in values.items() if k.startswith(_LABELLED[1]) and not v][:MOST_STEPS]:
        yield Finding(
            Verdict.BAD,
            f"no service listens for step {step}: its uploads wait",
            "start its service on the same NATS; removing the step from `steps` helps only later uploads",
        )
    for step in [_label(k) for k, v in values.items() if k.startswith(_LABELLED[2]) and v][:MOST_STEPS]:
        yield Finding(
            Verdict.WARNING,
            f"step {step} is not well: its uploads are queued, and keep their retries",
            "see the log of its service; uploads continue when a probe gets a good answer",
        )
    if count := int(values.get('uploadpp_policies{ready="false"}', 0)):
        yield Finding(
            Verdict.WARNING,
            f"{count:,} policies have a rule that cannot be used: uploads that come to it are held",
            "kubectl get postprocessingpolicies -o wide shows the rule and the error",
        )
    for name, text, remedy in _BROKEN:
        if values.get(name):
            yield Finding(Verdict.BAD, text, remedy)
    if values.get("uploadpp_settings_differ"):
        yield Finding(
            Verdict.WARNING,
            "a standby replica has other steps than the owner",
            "finish the rollout; each upload keeps the steps it began with",
        )
    unread, unacked = (
        int(values.get("uploadpp_log_unread", 0)),
        int(values.get("uploadpp_log_unacknowledged", 0)),
    )
    behind = unread > MANY_UNREAD
    yield Finding(
        Verdict.WARNING if behind else Verdict.GOOD,
        f"event stream: {unread:,} unread messages, {unacked:,} awaiting acknowledgement",
        "this should decrease; if it does not, check the operator's log and NATS" if behind else "",
    )
    unsaved = int(values.get("uploadpp_checkpoint_lag_uploads", 0))
    yield Finding(
        Verdict.WARNING if unsaved > MANY_UNSAVED else Verdict.GOOD,
        f"{unsaved:,} uploads have changes that their resource does not show yet",
        "the API server is slow or unavailable; what you see is slightly out of date"
        if unsaved > MANY_UNSAVED
        else "",
    )
    for name, text, remedy in (
        (
            "uploadpp_uploads_unrecorded",
            "uploads could not be recorded: the API server rejected them",
            "they are processed without a resource; see the Event UploadsNotRecorded and the operator's log",
        ),
        (
            "uploadpp_uploads_set_aside_total",
            "uploads whose messages could not be published",
            "see the operator's log",
        ),
        ("uploadpp_bad_messages_total", "messages could not be decoded", "see the operator's log"),
    ):
        if count := int(values.get(name, 0)):
            yield Finding(Verdict.WARNING, f"{count:,} {text}", remedy)
