"""Traces, from real processes to a real receiver of OTLP: whole, in one piece, and free of secrets."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.wire import Event, read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.collector import Collector
from tests.driver import Driver, bytes_received, log_lines, start_working, until_reasons
from tests.stepbench import StepBench, until
from uploadpp.api.timestamps import format_time
from uploadpp.core.model import Millis
from uploadpp.testing.events import USER, new_message, step_finished

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
QUICK = {
    "UPLOADPP_LEASE_DURATION": "1s",
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


@pytest.fixture
def options(cluster: LocalCluster, nats: NatsServer, namespace: str, collector: Collector) -> OperatorOptions:
    environment = {**QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    return OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, ("policies", "virusscan"), environment
    )


def announced(upload: str, traceparent: str) -> bytes:
    """BytesReceived of a traced request."""
    return bytes_received(upload).replace(b'"traceparent":""', f'"traceparent":"{traceparent}"'.encode())


def of(events: list[Event], kind: str, upload: str) -> list[str]:
    """The span that each event of a kind names in its traceparent."""
    found = [
        event.metadata["traceparent"] for event in events if (event.type, event.upload_id) == (kind, upload)
    ]
    assert all(each.startswith(f"00-{TRACE}-") and each.endswith("-01") for each in found)
    return [each.split("-")[2] for each in found]


async def test_one_trace_from_the_upload_to_its_release(
    options: OperatorOptions, instance: Instance, nats: NatsServer, collector: Collector
) -> None:
    operator = Operator(instance, options)
    answers = lambda _u, step, n: "retry" if (step, n) == ("virusscan", 1) else "continue"  # noqa: E731
    async with Driver(nats.url, answers) as driver:
        await start_working(operator)
        await driver.say(announced("traced", SAMPLED))
        await driver.say(announced("not-traced", NOT_SAMPLED))
        await driver.until_released("traced", "not-traced")
        await until(lambda: bool(collector.named("postprocessing")))
        events = await read_all(driver.js)
    await asyncio.to_thread(operator.stop)
    (run,) = collector.named("postprocessing")
    assert (run.trace, run.parent, run.service, run.kind) == (TRACE, PARENT, "postprocessing", "CONSUMER")
    (policies,), scans, (release,) = (
        collector.named(name) for name in ("step policies", "step virusscan", "release")
    )
    assert {span.parent for span in (policies, *scans, release)} == {run.id}
    assert [event.name for event in scans[0].span.events] == ["back-off"]
    assert [span.span.status.message for span in scans] == ["retry", ""]
    assert [span.attributes.get("error.type") for span in scans] == ["retry", None]
    assert {span.attributes["messaging.operation.type"] for span in (policies, release)} == {"send"}
    assert of(events, "StartPostprocessingStep", "traced") == [policies.id, *(scan.id for scan in scans)]
    assert of(events, "PostprocessingFinished", "traced") == [release.id]
    assert of(events, "PostprocessingRetry", "traced") == [scans[0].id]
    untraced = {event.metadata["traceparent"] for event in events if event.upload_id == "not-traced"}
    assert untraced == {NOT_SAMPLED, ""}, "the driver's own answers have none"
    assert {span.attributes["uploadpp.upload"] for span in collector.spans} == {"traced"}
    assert collector.resources[0]["k8s.namespace.name"] == options.namespace
    said = b"".join(collector.bodies)
    for secret in ("storage.test", USER["username"], "u-1", ".pdf"):
        assert str(secret).encode() not in said
    lines = log_lines(operator.log.read_text())
    assert {line["trace_id"] for line in lines if line.get("upload") == "traced"} == {TRACE}


async def test_a_killed_operator_leaves_no_gap(
    options: OperatorOptions, instance: Instance, nats: NatsServer, collector: Collector, kubectl: Kubectl
) -> None:
    """It dies between the start of a step and its answer; the next one tells the span that it had begun."""
    operator = Operator(instance, replace(options, steps=("virusscan",)))
    async with Driver(nats.url) as driver:
        driver.silent = True
        await start_working(operator)
        await driver.say(announced("traced", SAMPLED))
        await until_reasons(kubectl, {"traced": "Running"})
        await asyncio.to_thread(operator.kill)
        assert collector.spans == []
        (started,) = of(await read_all(driver.js), "StartPostprocessingStep", "traced")
        driver.silent = False
        answer = step_finished("traced", "virusscan", "continue")
        await driver.say(new_message("PostprocessingStepFinished", answer))
        status = kubectl.json("get", "upp", "traced")["status"]
        await start_working(operator)
        await until(lambda: bool(collector.named("postprocessing")))
    (step,) = collector.named("step virusscan")
    (run,) = collector.named("postprocessing")
    assert (step.id, step.trace, step.parent) == (started, TRACE, run.id)
    assert run.parent == PARENT
    assert format_time(Millis(step.span.start_time_unix_nano // 1_000_000)) == status["steps"][0]["startTime"]
    assert format_time(Millis(run.span.start_time_unix_nano // 1_000_000)) == status["startTime"]
    assert step.span.end_time_unix_nano > step.span.start_time_unix_nano


async def test_the_work_of_a_step_hangs_below_the_operators_span(
    bench: StepBench, collector: Collector
) -> None:
    body = """\
from opentelemetry import trace
with trace.get_tracer("author").start_as_current_span("inside"):
    async with upload.open() as content:
        await content.read()
if len(runs.read_text().split()) == 1: raise OSError("busy, says einstein")
return Continue(upload.traceparent)"""
    step = bench.step(body, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    await asyncio.to_thread(step.start)
    first, second = await bench.start("mine"), ""
    await bench.answer(first)
    second = await bench.start("mine")
    answer = await bench.answer(second)
    await until(lambda: len(collector.named("work mine")) == 2)
    failed, work = collector.named("work mine")
    assert (work.service, work.kind, work.trace, work.parent) == ("mine", "CONSUMER", "4b" * 16, "0f" * 8)
    assert work.attributes["uploadpp.outcome"] == "continue"
    assert work.attributes["uploadpp.upload"] == second
    assert (work.attributes["messaging.system"], work.attributes["messaging.operation.type"]) == (
        "nats",
        "process",
    )
    assert answer.payload["Result"] == {"ErrorMsg": f"00-{work.trace}-{work.id}-01"}
    assert [span.parent for span in collector.named("inside")] == [failed.id, work.id]
    assert (failed.span.status.message, failed.attributes["uploadpp.outcome"]) == ("exception", "retry")
    assert failed.attributes["error.type"] == "exception"
    assert b"einstein" not in b"".join(collector.bodies)


async def test_a_collector_that_is_away_disturbs_nothing(
    options: OperatorOptions, instance: Instance, nats: NatsServer, kubectl: Kubectl
) -> None:
    away = {**options.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    operator = Operator(instance, replace(options, environment=away))
    uploads = [f"upload-{number}" for number in range(20)]
    async with Driver(nats.url) as driver:
        await start_working(operator)
        await driver.upload(*uploads)
        await driver.until_released(*uploads)
        await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))
    await asyncio.to_thread(operator.stop)
    lines = log_lines(operator.log.read_text())
    assert any("4318" in line["message"] or "span" in line["message"] for line in lines)
    about_traces = [line for line in lines if line["logger"].startswith("opentelemetry")]
    assert len([line for line in about_traces if line["level"] in {"WARNING", "ERROR"}]) <= 3
