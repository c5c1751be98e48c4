"""Steps written with the kit, as real processes on a real NATS: what is lost, repeated, late or killed."""

import asyncio
import signal
from uuid import UUID

import pytest

from e2e.cluster.http import get
from tests.stepbench import CONTEXT, UNTIL_TOLD, USER, StepBench, until


async def test_an_answer_is_what_the_services_in_go_send(bench: StepBench) -> None:
    step = bench.step(
        """\
async with upload.open() as content:
    text = (await content.read(5)).decode() + "|" + (await content.read()).decode()
return Delete(f"{upload.filename} {upload.size} {upload.user.id} {upload.space_id} {text}")"""
    )
    await asyncio.to_thread(step.start)
    event_id = "b7a0a2b4-65f0-4b3a-8a6e-6f1a0c6d0002"
    other = await bench.start("another")
    upload = await bench.start("mine", b"hello world", event_id=event_id)
    answer = await bench.answer(upload)
    assert list(answer.payload.items()) == [
        ("UploadID", upload),
        ("ExecutingUser", USER),
        ("Filename", "plan.pdf"),
        ("FinishedStep", "mine"),
        ("Result", {"ErrorMsg": "plan.pdf 11 u-1 s-1 hello| world"}),
        ("Error", None),
        ("Outcome", "delete"),
        ("Timestamp", None),
    ]
    assert answer.context() == CONTEXT
    assert UUID(answer.id).version == 5
    await bench.settled()
    stored = await bench.client.jetstream().get_msg("main-queue", seq=3)
    assert (stored.headers or {})["Nats-Msg-Id"] == answer.id
    assert await bench.answers(other) == []
    assert bench.runs() == [upload]
    assert step.metric('uploadpp_step_answers_total{outcome="delete",step="mine"}') == 1
    assert step.metric('uploadpp_step_downloaded_bytes_total{step="mine"}') == 11


async def test_a_killed_step_is_begun_again_and_answers_once(bench: StepBench) -> None:
    body = """\
if len(runs.read_text().split()) == 1:
    await asyncio.sleep(600)
return Continue("again" if upload.redelivered else "first")"""
    step = bench.step(body)
    await asyncio.to_thread(step.start)
    upload = await bench.start("mine")
    await bench.until_begun()
    await asyncio.to_thread(step.restart, kill=True)
    answer = await bench.answer(upload)
    await bench.settled()
    assert answer.payload["Result"] == {"ErrorMsg": "again"}
    assert len(await bench.answers(upload)) == 1
    assert bench.runs() == [upload, upload]


async def test_an_answer_done_twice_is_stored_once(bench: StepBench) -> None:
    """Killed between its answer and the acknowledgement: the second one has the same id."""
    body = """\
import uploadpp.steps.job
if len(runs.read_text().split()) == 1:
    uploadpp.steps.job.Job.done = lambda job: os.kill(os.getpid(), 9)
return Continue()"""
    step = bench.step(body)
    await asyncio.to_thread(step.start)
    upload = await bench.start("mine")
    await bench.answer(upload)
    await until(lambda: step.process is None)
    await asyncio.to_thread(step.restart)
    await bench.settled()
    assert bench.runs() == [upload, upload]
    assert len(await bench.answers(upload)) == 1


async def test_slow_work_is_kept_by_heartbeats(bench: StepBench) -> None:
    """Two processes, and work twice as long as the server waits for a sign of life."""
    body = "await asyncio.sleep(16)\nreturn Continue()"
    processes = [bench.step(body, process=name, UPLOADPP_STEP_ACK_WAIT="8s") for name in ("one", "two")]
    for process in processes:
        await asyncio.to_thread(process.start)
    upload = await bench.start("mine")
    await bench.answer(upload)
    await bench.settled()
    assert bench.runs() == [upload]
    assert sum(process.metric("uploadpp_step_redelivered_total") for process in processes) == 0


async def test_work_that_is_asked_for_again_runs_once(bench: StepBench) -> None:
    step = bench.step(UNTIL_TOLD, UPLOADPP_STEP_ACK_WAIT="30s")
    await asyncio.to_thread(step.start)
    upload = await bench.start("mine", event_id="e-1")
    await bench.until_begun()
    await bench.start("mine", upload=upload, event_id="e-1")  # the same event, published twice
    await bench.start("mine", upload=upload, event_id="e-2")  # the next attempt, while this one runs
    await until(lambda: step.metric('uploadpp_step_repeated_total{step="mine"}') == 2)
    bench.tell()
    await bench.answer(upload)
    await bench.settled()
    await bench.start("mine", upload=upload, event_id="e-1")  # and once more when it is done
    await bench.settled()
    assert bench.runs() == [upload]
    assert len(await bench.answers(upload)) == 1
    assert step.metric('uploadpp_step_repeated_total{step="mine"}') == 3
    await bench.start("mine", upload=upload, event_id="e-3")  # a new attempt is new work
    await bench.until_begun(2)
    await bench.settled()
    assert len(await bench.answers(upload)) == 2


async def test_a_blocked_process_does_not_run_its_work_twice(bench: StepBench) -> None:
    """Code that blocks the loop stops the heartbeats too; the redelivery joins the work."""
    step = bench.step("await asyncio.sleep(0.1)\ntime.sleep(3)\nawait asyncio.sleep(2)\nreturn Continue()")
    await asyncio.to_thread(step.start)
    upload = await bench.start("mine")
    await bench.answer(upload)
    await bench.settled()
    assert bench.runs() == [upload]
    assert step.metric('uploadpp_step_repeated_total{step="mine"}') >= 1


async def test_an_exception_is_a_retry_without_secrets(bench: StepBench) -> None:
    """Even if the author digs for the URL and quotes it."""
    cells = "[str(cell.cell_contents) for cell in upload.opener.__wrapped__.__closure__]"
    url = f"next(text for text in {cells} if '://' in text)"
    step = bench.step(f"raise RuntimeError('no luck with ' + {url})")
    await asyncio.to_thread(step.start)
    upload = await bench.start("mine")
    answer = await bench.answer(upload)
    assert answer.payload["Outcome"] == "retry"
    assert answer.payload["Error"] is None
    assert answer.payload["Result"]["ErrorMsg"] == "RuntimeError: no luck with <url>"
    assert bench.gateway.issued[-1] not in step.log_tail(100)
    assert step.metric("uploadpp_step_failures_total") == 1


async def test_work_is_ended_before_the_process(bench: StepBench) -> None:
    """SIGTERM: what was begun is answered, what comes now is for the next process."""
    step = bench.step(UNTIL_TOLD)
    await asyncio.to_thread(step.start)
    first = await bench.start("mine")
    await bench.until_begun()
    process = step.process
    assert process is not None
    process.send(signal.SIGTERM)
    await until(lambda: "finishing work in progress" in step.log.read_text())
    with pytest.raises(OSError, match="503"):
        get(f"{step.url}/readyz")
    get(f"{step.url}/healthz")
    second = await bench.start("mine")
    bench.tell()
    await until(lambda: step.process is None)
    assert len(await bench.answers(first)) == 1
    assert await bench.answers(second) == []
    await asyncio.to_thread(step.restart)
    await bench.answer(second)
    assert bench.runs() == [first, second]


async def test_work_that_takes_too_long_to_end_is_given_back(bench: StepBench) -> None:
    """Another process gets it at once, although the server would wait for an hour."""
    body = "if len(runs.read_text().split()) == 1: await asyncio.sleep(600)\nreturn Continue()"
    one, two = (
        bench.step(body, process=name, UPLOADPP_STEP_DRAIN="100ms", UPLOADPP_STEP_ACK_WAIT="1h")
        for name in ("one", "two")
    )
    await asyncio.to_thread(one.start)
    upload = await bench.start("mine")
    await bench.until_begun()
    await asyncio.to_thread(two.start)
    await asyncio.to_thread(one.stop)
    await bench.answer(upload)
    assert bench.runs() == [upload, upload]


async def test_processes_share_the_work(bench: StepBench) -> None:
    """Nobody hoards: a process takes no more than it works on, so an idle one gets the rest."""
    processes = [
        bench.step(UNTIL_TOLD, process=name, concurrency=1, UPLOADPP_STEP_ACK_WAIT="30s")
        for name in ("one", "two", "three")
    ]
    for process in processes:
        await asyncio.to_thread(process.start)
    for number in range(30):
        await bench.start("another" if number % 10 else "mine")
    await bench.until_begun(3)
    bench.tell()
    await bench.settled()
    assert len(await bench.answers()) == 3
    assert [process.metric("uploadpp_step_starts_total") for process in processes] == [1, 1, 1]


async def test_it_survives_everything_that_happens_to_nats(bench: StepBench) -> None:
    step = bench.step("return Continue()")
    await asyncio.to_thread(step.start)
    await bench.answer(await bench.start("mine"))
    await asyncio.to_thread(bench.server.restart, kill=True)
    await until(lambda: bench.client.is_connected)
    await bench.answer(await bench.start("mine"))
    await asyncio.to_thread(bench.server.restart_empty)
    await until(lambda: step.log.read_text().count("consumer created") == 2)
    await until(lambda: bench.client.is_connected)
    await bench.answer(await bench.start("mine"))
    await bench.client.jetstream().delete_consumer("main-queue", "uploadpp-step-mine")
    upload = await bench.start("mine")  # before the step can have noticed
    await bench.answer(upload)


async def test_junk_on_the_stream_stops_nobody(bench: StepBench) -> None:
    step = bench.step("return Continue()")
    await asyncio.to_thread(step.start)
    await bench.client.jetstream().publish("main-queue", b"\0 not an event")
    await bench.start("mine", Filesize="large")
    await bench.answer(await bench.start("mine"))
    await bench.settled()
    assert step.metric("uploadpp_step_bad_messages_total") == 2
    assert len(bench.runs()) == 1


@pytest.mark.parametrize(("start_with", "answered"), [("new", 0), ("all", 1), ("1h", 1), ("1ms", 0)])
async def test_the_first_process_begins_where_it_is_told(
    bench: StepBench, start_with: str, answered: int
) -> None:
    old = await bench.start("mine")
    await asyncio.sleep(0.1)
    step = bench.step("return Continue()", UPLOADPP_STEP_START_WITH=start_with)
    await asyncio.to_thread(step.start)
    await bench.answer(await bench.start("mine"))
    await bench.settled()
    assert len(await bench.answers(old)) == answered


async def test_a_step_that_exits_answers_and_lives_on(bench: StepBench) -> None:
    step = bench.step("import sys\nif len(runs.read_text().split()) == 1: sys.exit(3)\nreturn Continue()")
    await asyncio.to_thread(step.start)
    answer = await bench.answer(await bench.start("mine"))
    assert (answer.payload["Outcome"], answer.payload["Result"]) == ("retry", {"ErrorMsg": "SystemExit: 3"})
    assert (await bench.answer(await bench.start("mine"))).payload["Outcome"] == "continue"


async def test_the_announced_size_is_not_believed(bench: StepBench) -> None:
    step = bench.step("async with upload.open() as content: await content.read()\nreturn Continue()")
    await asyncio.to_thread(step.start)
    for announced, text in ((5, "has 11 bytes, the upload 5"), (12, "has 11 bytes, the upload 12")):
        answer = await bench.answer(await bench.start("mine", b"hello world", Filesize=announced))
        assert answer.payload["Outcome"] == "retry"
        assert text in answer.payload["Result"]["ErrorMsg"]


async def test_an_answer_that_the_stream_never_takes_becomes_a_retry(bench: StepBench) -> None:
    """`max_msg_size`: sent again without end it would keep its place at the step."""
    js = bench.client.jetstream()
    await js.update_stream((await js.stream_info("main-queue")).config.evolve(max_msg_size=20_000))
    step = bench.step('return Continue(result={"text": "x" * 50_000})')
    await asyncio.to_thread(step.start)
    answer = await bench.answer(await bench.start("mine"))
    assert answer.payload["Outcome"] == "retry"
    assert "larger than the stream accepts" in answer.payload["Result"]["ErrorMsg"]
    await bench.settled()
