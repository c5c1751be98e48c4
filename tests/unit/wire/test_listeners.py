"""Which consumer can be the service of which step."""

from datetime import UTC, datetime

import pytest
from nats.js.api import ConsumerConfig, ConsumerInfo

from uploadpp.wire.listeners import OTHERS, durable_name, unserved


def consumer(name: str, *, bound: bool = False, waiting: int = 0, working: int = 0) -> ConsumerInfo:
    return ConsumerInfo(
        name=name,
        stream_name="main-queue",
        config=ConsumerConfig(),
        created=datetime.now(UTC),
        push_bound=bound,
        num_waiting=waiting,
        num_ack_pending=working,
    )


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("virusscan", "antivirus"),
        ("virusscan", "antivirus-pull"),
        ("virusscan", "uploadpp-step-virusscan"),
        ("policies", "policies"),
        ("convert", "uploadpp-step-convert"),
        ("convert", "our-converter"),
        ("a step", durable_name("a step")),
    ],
)
def test_it_is_served_by_a_consumer_that_somebody_reads(step: str, name: str) -> None:
    assert unserved([step], [consumer(name)]) == [step]
    for member in ({"bound": True}, {"waiting": 1}, {"working": 1}):
        assert unserved([step], [consumer(name, **member)]) == []


@pytest.mark.parametrize(
    "name", [*sorted(OTHERS), "postprocessing-pull", "sse-1b4e28ba-2fa1-11d2", "uploadpp-0-e7"]
)
@pytest.mark.parametrize("step", ["virusscan", "policies", "convert"])
def test_services_that_answer_no_step_do_not_count(step: str, name: str) -> None:
    assert unserved([step], [consumer(name, bound=True)]) == [step]


def test_another_steps_service_does_not_count() -> None:
    others = [consumer("antivirus", bound=True), consumer("uploadpp-step-convert", waiting=1)]
    assert unserved(["policies", "virusscan", "scan"], others) == ["policies", "scan"]


def test_the_operator_serves_the_delay_itself() -> None:
    assert unserved(["delay"], []) == []
