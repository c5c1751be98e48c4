"""The consumer of a step is paused, edited or removed by hand: the step says so, and loses nothing."""

import asyncio
import json
import urllib.error

from e2e.cluster.http import get
from tests.stepbench import StepBench, StepProcess

STREAM, CONSUMER = "main-queue", "uploadpp-step-mine"
OFTEN = """\
import uploadpp.steps.consumer as consumer
consumer.LOOK_SECONDS = consumer.LOOK_AGAIN_SECONDS = 0.2
return Continue()"""
"""A step that looks more often, from its first start on."""


def readiness(step: StepProcess) -> str:
    """What /readyz says; empty when it is ready."""
    try:
        get(f"{step.url}/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    return ""


async def until_said(step: StepProcess, words: str) -> None:
    """Wait until readiness says this; with no words, until it is ready."""
    async with asyncio.timeout(30):
        while True:
            found = await asyncio.to_thread(readiness, step)
            if words in found and bool(words) is bool(found):
                return
            await asyncio.sleep(0.1)


async def pause(bench: StepBench, until: str) -> None:
    body = json.dumps({"pause_until": until} if until else {}).encode()
    await bench.client.request(f"$JS.API.CONSUMER.PAUSE.{STREAM}.{CONSUMER}", body)


EDITS: dict[str, dict[str, object]] = {
    "filter other does not include main-queue": {"filter_subject": "other"},
    "headers only": {"headers_only": True},
}


async def test_what_is_done_to_the_consumer_is_named_with_its_remedy(bench: StepBench) -> None:
    """Within seconds, and no longer than it lasts; what was asked for meanwhile is answered afterwards."""
    step = bench.step(OFTEN)
    await asyncio.to_thread(step.start)
    await bench.answer(await bench.start("mine"))
    js = bench.client.jetstream()
    await js.update_stream((await js.stream_info(STREAM)).config.evolve(subjects=[STREAM, "other"]))
    config = (await js.consumer_info(STREAM, CONSUMER)).config
    uploads = []
    for words, edit in EDITS.items():
        await js.add_consumer(STREAM, config.evolve(**edit))
        await until_said(step, words)
        assert f"nats consumer rm {STREAM} {CONSUMER}" in readiness(step)
        uploads.append(await bench.start("mine"))
        await js.add_consumer(STREAM, config)
        await until_said(step, "")
    await pause(bench, "2100-01-01T00:00:00Z")
    await until_said(step, "is paused until 2100")
    uploads.append(await bench.start("mine"))
    assert f"nats consumer resume {STREAM} {CONSUMER}" in readiness(step)
    await pause(bench, "")
    await until_said(step, "")
    await js.delete_consumer(STREAM, CONSUMER)
    uploads.append(await bench.start("mine"))
    for upload in uploads:
        await bench.answer(upload)
        assert len(await bench.answers(upload)) == 1
    assert step.log.read_text().count("is paused until") == 1
