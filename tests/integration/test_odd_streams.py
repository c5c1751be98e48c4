"""Streams that somebody else has configured, filled, or made anew while the operator works."""

import asyncio
import json
from typing import Any

import pytest
from nats.js.api import DiscardPolicy, StreamConfig

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working, until, until_reasons
from uploadpp.testing.events import STREAM


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


def problem(operator: Operator) -> str:
    try:
        return get(f"{operator.url}/readyz")
    except OSError as error:
        body = getattr(error, "read", bytes)()
        return body.decode() if isinstance(body, bytes) else ""


async def test_a_full_stream_that_takes_nothing_new_is_named_and_nothing_is_lost(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """`discard: new`: what nobody may add is sent again when there is room."""
    await start_working(operator)
    await driver.upload("u1")
    await driver.until_released("u1")
    state = (await driver.js.stream_info(STREAM)).state
    driver.silent = True
    config = (await driver.js.stream_info(STREAM)).config
    await driver.js.update_stream(
        config.evolve(discard=DiscardPolicy.NEW, max_msgs=state.messages + 1)  # for BytesReceived alone
    )
    await driver.upload("u2")

    async def is_named() -> bool:
        return "maximum messages exceeded" in await asyncio.to_thread(problem, operator)

    await until(is_named)
    await driver.js.update_stream(config)
    await driver.again()
    await driver.until_released("u2")
    await until_reasons(kubectl, {"u1": "Completed", "u2": "Completed"})
    assert (await histories(driver.js))["u2"].steps == ["policies", "virusscan"]


async def test_a_stream_that_answers_nothing_is_named_and_nothing_is_lost_or_said_twice(
    driver: Driver, operator: Operator, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`no_ack`: only the log tells what the stream has."""

    async def say(body: bytes) -> None:
        await driver.client.publish(STREAM, body)

    monkeypatch.setattr(driver, "say", say)
    config = (await driver.js.stream_info(STREAM)).config
    await start_working(operator)
    await driver.js.update_stream(config.evolve(no_ack=True))
    uploads = ["u1", "u2", "u3"]
    await driver.upload(*uploads)
    await driver.until_released(*uploads)
    await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))

    async def is_named() -> bool:
        text = await asyncio.to_thread(problem, operator)
        return (
            "cannot publish: the stream main-queue does not acknowledge" in text
            and "edit main-queue --ack" in text
        )

    async def is_ready() -> bool:
        return "does not acknowledge" not in await asyncio.to_thread(problem, operator)

    await until(is_named)
    await driver.js.update_stream(config)
    await until(is_ready)
    found = await histories(driver.js)
    assert {each: found[each].steps for each in found} == {
        each: ["policies", "virusscan"] for each in uploads
    }
    assert {found[each].finished for each in found} == {("continue",)}


@pytest.mark.parametrize("change", ["a few messages", "made anew", "its consumer is gone"])
async def test_what_others_do_to_the_stream_stops_nothing(
    driver: Driver, operator: Operator, kubectl: Kubectl, change: str
) -> None:
    """Only the newest messages of a subject are kept; made anew at another position; our place deleted."""
    await start_working(operator)
    await driver.upload("u1")
    await driver.until_released("u1")
    await until_reasons(kubectl, {"u1": "Completed"})
    config = (await driver.js.stream_info(STREAM)).config
    match change:
        case "a few messages":
            await driver.js.update_stream(config.evolve(max_msgs_per_subject=8))
        case "made anew":
            await driver.make_stream_anew(StreamConfig(name=STREAM, subjects=[STREAM], first_seq=5_000))
        case _:
            for each in await driver.js.consumers_info(STREAM):
                if each.name.startswith("uploadpp-"):
                    await driver.js.delete_consumer(STREAM, each.name)
    uploads = [f"n{number}" for number in range(6)]
    await driver.upload(*uploads, pause=0.2)
    await driver.until_released(*uploads)
    await until_reasons(kubectl, dict.fromkeys(["u1", *uploads], "Completed"))


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "of another subject": ({"subjects": ["elsewhere"]}, "takes no messages on main-queue"),
    "renamed": ({"subject_transform": {"src": STREAM, "dest": "main-queue.x"}}, "under another subject"),
    "sealed": ({"sealed": True}, "is sealed"),
}


@pytest.mark.parametrize("odd", ODD)
async def test_a_stream_that_takes_no_events_is_named(driver: Driver, operator: Operator, odd: str) -> None:
    """Nothing has to be published to notice it: no upload can be announced either."""
    changes, words = ODD[odd]
    await start_working(operator)
    await driver.upload("u1")
    await driver.until_released("u1")
    config = json.loads((await driver.client.request(f"$JS.API.STREAM.INFO.{STREAM}", b"")).data)["config"]

    async def change(wanted: dict[str, Any]) -> None:
        body = json.dumps(wanted).encode()
        answer = json.loads((await driver.client.request(f"$JS.API.STREAM.UPDATE.{STREAM}", body)).data)
        assert "error" not in answer, answer

    async def is_named() -> bool:
        return words in await asyncio.to_thread(problem, operator)

    await change({**config, **changes})
    await until(is_named, 100)
    if "sealed" in changes:
        await driver.js.delete_stream(STREAM)
    else:
        await change(config)
    await until_works(driver, operator)


async def until_works(driver: Driver, operator: Operator) -> None:
    """It has noticed that all is well again, and works."""

    async def is_ready() -> bool:
        return (await asyncio.to_thread(problem, operator)).strip() == "OK"

    await until(is_ready, 45)
    await driver.upload("u2")
    await driver.until_released("u2")
