"""Finds out which services listen on the stream, so that a step without one is named before uploads wait.

Services of ocis and OpenCloud read through a durable consumer that has the name of the service. A
consumer that has members may serve any step whose service we do not know by name.
"""

import re
from collections.abc import Iterable
from hashlib import sha256

from nats.js.api import ConsumerInfo

from uploadpp.core.model import DELAY_STEP

SERVICES = {"virusscan": "antivirus", "policies": "policies"}
"""Steps of ocis and OpenCloud, and the consumers of the services that answer them."""

OTHERS = frozenset(
    {"postprocessing", "dcfs", "search", "userlog", "clientlog", "activitylog", "evhistory", "audit"}
    | {"notifications", "frontend", "graph", "storage-users", "jsoncs3sharemanager", "eventhistory"}
)
"""Consumers of services of ocis and OpenCloud that answer no step."""

OURS = "uploadpp-"
STEP_PREFIX = f"{OURS}step-"
_SESSION = re.compile(r"sse-[0-9a-f-]+")
_SAFE = re.compile(r"[A-Za-z0-9_-]{1,63}")


def durable_name(step: str) -> str:
    """The consumer of a step that uses our kit; a name that NATS would not take has a hash in it."""
    safe = step if _SAFE.fullmatch(step) else f"x{sha256(step.encode()).hexdigest()[:16]}"
    return f"{STEP_PREFIX}{safe}"


def has_members(consumer: ConsumerInfo) -> bool:
    """Whether a process reads through it: it is bound, waits for messages, or works on some."""
    return bool(consumer.push_bound or consumer.num_waiting or consumer.num_ack_pending)


def unserved(steps: Iterable[str], consumers: Iterable[ConsumerInfo]) -> list[str]:
    """The steps for which no consumer with members can be the service."""
    names = {consumer.name for consumer in consumers if has_members(consumer)}
    bases = {name.removesuffix("-pull") for name in names if not _SESSION.fullmatch(name)}
    unknown = {
        name for name in bases if name not in OTHERS | {*SERVICES.values()} and not name.startswith(OURS)
    }
    found = []
    for step in steps:
        if step == DELAY_STEP or durable_name(step) in names:
            continue
        known = SERVICES.get(step)
        if (known not in bases) if known else not unknown:
            found.append(step)
    return found
