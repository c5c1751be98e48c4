"""Whatever stands in the log, the reader goes on; bad messages are counted, said once, never quoted."""

import asyncio
import json
from base64 import b64encode
from random import Random
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, log_lines, reasons, samples, start_working, until
from uploadpp.core.commands import Kind, Mark, StartStep
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.testing.events import STREAM, arrival, message
from uploadpp.wire.decode import decode
from uploadpp.wire.encode import encode
from uploadpp.wire.marks import Marks

SECRET = "S3CR3T"
DEEP = '{"a":' * 3000
JUNK: dict[str, bytes] = {
    "empty": b"",
    "not JSON": SECRET.encode(),
    "binary": bytes(range(256)) * 16,
    "1 MB": SECRET.encode() * 170_000,
    "array": b"[1,2,3]",
    "deep": b"[" * 100_000,
    "bad base64": json.dumps(
        {"Metadata": {"eventtype": "events.BytesReceived"}, "Payload": SECRET + "!"}
    ).encode(),
    "unpadded": json.dumps({"Metadata": {"eventtype": "events.BytesReceived"}, "Payload": "e30"}).encode(),
    "payload is not JSON": message("BytesReceived", SECRET),
    "deep payload": message("BytesReceived", arrival(ExecutingUser=DEEP)),
    "wrong types": message("BytesReceived", arrival(URL=f'["{SECRET}"]')),
    "user is text": message("BytesReceived", arrival(ExecutingUser=f'"{SECRET}"')),
    "size is text": message("BytesReceived", arrival(Filesize=f'"{SECRET}"')),
    "metadata is a number": json.dumps({"Metadata": {"eventtype": 5}, "Payload": ""}).encode(),
    "no id": message("BytesReceived", arrival(UploadID='""')),
    "200 characters": message("BytesReceived", arrival(UploadID=f'"{SECRET}{"x" * 194}"')),
    "unknown event": message("Something", f'{{"UploadID":"{SECRET}"}}'),
    "unknown upload": message(
        "PostprocessingStepFinished", f'{{"UploadID":"{SECRET}","Outcome":"continue"}}'
    ),
    "unknown upload is ready": message("UploadReady", '{"UploadID":"nobody","Failed":false}'),
    "forged mark": message("StartPostprocessingStep", '{"UploadID":"x"}', uploadpp="finish:1:9:9::perhaps"),
}
COUNTED = {
    'defect="NotJSON"': 7,
    'defect="BadBase64"': 2,
    'defect="WrongType"': 5,
    'defect="BadUploadID"': 2,
}


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


def bad_messages(operator: Operator) -> dict[str, float]:
    """How many were counted, by their labels as text."""
    found = samples(operator.metrics(), "uploadpp_bad_messages_total")
    return {labels: count for labels, count in found.items() if count}


async def everything_is_acknowledged(driver: Driver) -> None:
    async with asyncio.timeout(60):
        while True:
            last = (await driver.js.stream_info(STREAM)).state.last_seq
            consumers = await driver.js.consumers_info(STREAM)
            (consumer,) = (each for each in consumers if each.name.startswith("uploadpp-"))
            if consumer.ack_floor is not None and consumer.ack_floor.stream_seq == last:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("before_start", [True, False], ids=["replayed", "live"])
async def test_junk_is_passed_over(
    driver: Driver, operator: Operator, kubectl: Kubectl, *, before_start: bool
) -> None:
    if not before_start:
        await start_working(operator)
    for body in (*JUNK.values(), *JUNK.values()):
        await driver.say(body)
    await driver.upload("a", "normal")
    if before_start:
        await start_working(operator)
    await driver.until_released("a", "normal")
    await everything_is_acknowledged(driver)

    async def are_counted() -> bool:  # the metrics that are served may be some time old
        return bad_messages(operator) == {label: 2 * count for label, count in COUNTED.items()}

    await until(are_counted)
    lines = [line for line in log_lines(operator.log.read_text()) if "skipped" in line["message"]]
    assert len(lines) == len({line["message"] for line in lines}) >= len(COUNTED)
    assert all(line["where"].startswith("sequence ") for line in lines)
    assert SECRET not in operator.log.read_text()
    assert SECRET not in operator.metrics()
    assert reasons(kubectl.json("get", "upp")) == {"a": "Completed", "normal": "Completed"}


async def test_strings_go_cannot_have_sent(driver: Driver, operator: Operator, kubectl: Kubectl) -> None:
    """Half surrogate pairs come from services in other languages; Go reads them as U+FFFD."""
    await start_working(operator)
    await driver.say(
        message(
            "BytesReceived",
            arrival(
                UploadID='"half"',
                Filename='"\\udc80.pdf"',
                ExecutingUser='{"id":{"opaque_id":"\\ud800"}}',
                ResourceID='{"space_id":"\\udfff"}',
            ),
        )
    )
    await driver.until_released("half")
    await everything_is_acknowledged(driver)
    (item,) = kubectl.json("get", "upp")["items"]
    assert item["spec"]["upload"]["filename"] == "\ufffd.pdf"
    assert bad_messages(operator) == {}


def arrival_whose_start_has(size: int) -> bytes:
    """A BytesReceived whose StartPostprocessingStep is so many bytes long, or up to three less."""
    name = "n" * (size * 3 // 4 - 1500)
    while True:
        body = bytes_received("huge", Filename=name)
        event = decode(body, 1, Millis(0))
        assert event is not None
        assert isinstance(event.input, BytesReceived)
        plan = (StepPlan(name="policies"), StepPlan(name="virusscan"))
        upload = Upload(
            id="huge", received_at=Millis(1_790_000_000_000), origin=event.input.origin, plan=plan
        )
        start = StartStep(Mark(Kind.START, upload.received_at, 1, 1, "policies"))
        now, marks = Millis(1_790_000_000_123), Marks([b"any"])
        missing = size - len(encode(start, "huge", upload, now, None, marks).body)
        if missing < 4:
            return body
        name += "n" * max(missing // 2, 3)


@pytest.mark.parametrize("excess", [-63, 1], ids=["with its header", "by a byte"])
async def test_upload_whose_start_is_too_large_for_nats(
    driver: Driver, operator: Operator, excess: int
) -> None:
    """The arrival fits, the event we would have to answer with does not."""
    await start_working(operator)
    body = arrival_whose_start_has(driver.client.max_payload + excess)
    assert len(body) + 80 < driver.client.max_payload
    await driver.say(body)
    await driver.upload("normal")
    await driver.until_released("normal")
    await everything_is_acknowledged(driver)
    assert "huge" not in await histories(driver.js)

    async def is_counted() -> bool:  # the metrics that are served may be some time old
        return samples(operator.metrics(), "uploadpp_uploads_set_aside_total") == {"": 1}

    await until(is_counted)
    lines = log_lines(operator.log.read_text())
    (line,) = [line for line in lines if "max_payload" in line["message"]]
    assert line["upload"] == "huge"
    assert not [line for line in lines if "connection lost" in line["message"]]
    assert "nnnnn" not in operator.log.read_text()


@pytest.mark.parametrize(
    "longer",
    [
        {"ExecutingUser": {"groups": [f"group-{number:05d}-of-the-university" for number in range(1300)]}},
        {"URL": f"https://gw/{Random(1).randbytes(30_000).hex()}"},  # noqa: S311
        {"ExecutingUser": {"opaque": b64encode(Random(2).randbytes(400_000)).decode()}},  # noqa: S311
    ],
    ids=["1,300 groups", "URL of 60,000 characters", "half a megabyte of random text"],
)
async def test_however_long_what_comes_with_an_upload_it_is_recorded(
    driver: Driver, operator: Operator, kubectl: Kubectl, longer: dict[str, Any]
) -> None:
    await start_working(operator)
    await driver.say(bytes_received("long", **longer))
    await driver.until_released("long")
    await everything_is_acknowledged(driver)
    assert reasons(kubectl.json("get", "upp")) == {"long": "Completed"}
