"""What people and tools do to consumers: pause them, or change how they hand out messages.

Everything about a consumer except its position and its way of acknowledging can be changed while it is read
(`nats consumer edit`, a controller that keeps streams by its own files). The server tells the reader
nothing of it.
"""

from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo

SHORTEST_ACK_WAIT_SECONDS = 0.5
"""With a shorter ack wait, work is redelivered before its process can report progress."""
SIZE_HEADER = "Nats-Msg-Size"
"""What a server puts into a message whose body it leaves out. A publisher may do so as well."""


def paused(info: ConsumerInfo, stream: str) -> str:
    """That a consumer is paused, and what ends that; empty when it is not."""
    if not info.paused:
        return ""
    return (
        f"the consumer {info.name} is paused until {info.config.pause_until}, so nothing is read; "
        f"to resume it, run: nats consumer resume {stream} {info.name}"
    )


def unreadable(config: ConsumerConfig, subject: str) -> str:
    """Which setting of a consumer keeps messages or their bodies from its reader; empty if none does."""
    filters = [each for each in (config.filter_subject, *(config.filter_subjects or ())) if each]
    if filters and not {subject, "*", ">"}.intersection(filters):
        return f"its filter {', '.join(filters)} does not include {subject}"
    if config.headers_only:
        return "it delivers headers only (headers_only)"
    if config.deliver_subject:
        return f"it is a push consumer (deliver_subject {config.deliver_subject}) and does not answer pulls"
    return ""


def hinders_owner(config: ConsumerConfig, subject: str, window: int, ack_wait_seconds: float) -> str:
    """Which setting of the operator's consumer was changed in a way that matters; empty if none was."""
    if problem := unreadable(config, subject):
        return problem
    if config.max_ack_pending and 0 < config.max_ack_pending < window:
        return f"only {config.max_ack_pending} messages may be unacknowledged (max_ack_pending)"
    waits = [config.ack_wait or ack_wait_seconds, *(config.backoff or ())]
    if min(waits) < ack_wait_seconds:
        return f"messages are redelivered after {min(waits):g} s (ack_wait, backoff)"
    return ""


def breaks_step(config: ConsumerConfig, subject: str) -> str:
    """Which setting of a step's consumer loses work or repeats it; empty if none does."""
    if problem := unreadable(config, subject):
        return problem
    if config.ack_policy is not None and config.ack_policy != AckPolicy.EXPLICIT:
        return f"its ack_policy is {config.ack_policy} and must be explicit: starts would be lost"
    if config.max_deliver and config.max_deliver > 0:
        return (
            f"a start is delivered at most {config.max_deliver} times (max_deliver): a start whose process "
            "crashes would be lost"
        )
    waits = [config.ack_wait or SHORTEST_ACK_WAIT_SECONDS, *(config.backoff or ())]
    if min(waits) < SHORTEST_ACK_WAIT_SECONDS:
        return (
            f"a start is redelivered after {min(waits):g} s (ack_wait, backoff), before its work can be done"
        )
    return ""


def slows_step(config: ConsumerConfig, batch: int) -> str:
    """Which setting of a step's consumer slows it down or will delete it; empty if none does."""
    if config.max_ack_pending and 0 < config.max_ack_pending < batch:
        return f"only {config.max_ack_pending} starts may be worked on at once (max_ack_pending)"
    if config.inactive_threshold:
        return (
            f"NATS deletes it after {config.inactive_threshold:g} s without a reader (inactive_threshold), "
            "and starts that are published meanwhile are lost"
        )
    return ""


def looks_cut_off(message: Msg) -> bool:
    """Whether a message may be one whose body the server has left out."""
    return not message.data and SIZE_HEADER in (message.headers or {})
