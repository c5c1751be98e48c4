"""What the legacy service does wrong around its state machine (docs/findings.md).

Each test has the number of the finding; those of the state machine itself are in core/.
"""

import json
from base64 import b64decode
from pathlib import Path

import aiohttp
import pytest

from e2e.cluster.ports import free_port
from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.core.config import Config
from uploadpp.core.inputs import FinishedElsewhere, Resume, StepFinished
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import Stage
from uploadpp.process.configuration import ConfigurationError, read_settings
from uploadpp.process.health import HealthServer
from uploadpp.steps.clamd import ScanError, verdict
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.builders import ARRIVAL, URL, after, begun
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import KeptEvents, PipelineBench
from uploadpp.wire.decode import decode
from uploadpp.wire.encode import encode
from uploadpp.wire.envelope import BadMessageError

NOW = Millis(1_795_000_000_000)
DOCS = Path(__file__).resolve().parents[2] / "docs"


class Desk(PipelineBench):
    """A pipeline that acts."""

    def __init__(self) -> None:
        self.bus = KeptEvents()
        super().__init__(Config(steps=(StepPlan(name="a"),)), self.bus, lambda: NOW)
        self.act()


def test_f01_nothing_is_acknowledged_before_it_is_stored() -> None:
    desk = Desk()
    desk.read(1, message("BytesReceived", arrival()))
    desk.bus.on_stored[0](2)
    tracked = desk.uploads.by_id(UPLOAD)
    assert tracked is not None
    assert desk.acks.ack_floor == 0
    desk.uploads.saved(tracked, tracked.version)
    assert desk.acks.ack_floor == 1


def test_f23_nothing_is_stored_before_it_is_published() -> None:
    """So a crash in between repeats a command under the same id instead of forgetting it."""
    desk = Desk()
    desk.read(1, message("BytesReceived", arrival()))
    tracked = desk.uploads.by_id(UPLOAD)
    assert tracked is not None
    before = tracked.storable
    desk.bus.on_stored[0](2)
    assert (before, tracked.storable) == (False, True)
    again = Desk()
    again.read(1, message("BytesReceived", arrival()))
    assert again.bus.sent[0].event_id == desk.bus.sent[0].event_id


def test_f39_what_cannot_be_decoded_is_passed_over_for_good() -> None:
    desk = Desk()
    for sequence, data in enumerate([b"\x00", b"{}", message("UploadReady", "no JSON")], 1):
        desk.read(sequence, data)
    assert desk.acks.ack_floor == 3


def stored(upload: Upload, config: Config) -> Upload:
    """The upload as a new process reads it from its resource."""
    resource = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="sealed")
    resource["metadata"]["generation"] = 1
    resource["status"] = to_status(upload)
    return from_resource(json.loads(json.dumps(resource)), config, upload.origin)


@pytest.mark.parametrize("number", [3, 4])
def test_f03_f04_waits_survive_the_process(number: int) -> None:
    """A back-off and a delay are times in the status, not sleeping tasks."""
    delay = StepPlan(name="delay", delay=Millis(3_600_000))
    story = begun(delay) if number == 4 else begun("a", "b")
    if number == 3:
        story.answers("retry")
    stage = Stage.DELAYING if number == 4 else Stage.BACKING_OFF
    back = stored(story.upload, story.config)
    assert (back.stage, wake_at(back, story.config)) == (stage, wake_at(story.upload, story.config))
    assert back.current_step == story.upload.current_step


def test_f16_resume_with_an_id_and_a_step_means_the_id() -> None:
    event = decode(message("ResumePostprocessing", f'{{"UploadID":"{UPLOAD}","Step":"finished"}}'), 1, NOW)
    assert event is not None
    assert (event.upload_id, event.input) == (UPLOAD, Resume(""))


def test_f24_the_initiator_of_the_upload_is_on_everything_published_for_it() -> None:
    event = decode(message("BytesReceived", arrival(), initiatorid="web-1"), 1, NOW)
    assert event is not None
    config = Config(steps=(StepPlan(name="a"),))
    decision = decide(None, event.upload_id, event.input, NOW, config)
    outgoing = encode(decision.commands[0], event.upload_id, decision.upload, NOW)
    assert json.loads(outgoing.body)["Metadata"]["initiatorid"] == "web-1"


def test_f27_settings_of_another_service_are_not_ours() -> None:
    foreign = {"SEARCH_EVENTS_MAX_ACK_PENDING": "nonsense", "SEARCH_EVENTS_ACK_WAIT": "nonsense"}
    assert read_settings({}, foreign) == read_settings({}, {})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POSTPROCESSING_DELAY", "10"),
        ("POSTPROCESSING_WORKERS", "many"),
        ("POSTPROCESSING_STEPS", "virusscan, ,delay"),
    ],
)
def test_f28_a_value_that_cannot_be_used_stops_the_start(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        read_settings({}, {variable: value})


def test_f08_a_step_cannot_be_listed_twice() -> None:
    with pytest.raises(ConfigurationError, match="listed twice"):
        read_settings({}, {"POSTPROCESSING_STEPS": "virusscan,delay,virusscan"})


@pytest.mark.parametrize(
    "members",
    ['"Error":{}', '"Error":{"op":"dial"}', '"Error":"broken"', '"Error":null'],
)
def test_f29_a_result_with_an_error_is_understood(members: str) -> None:
    payload = f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"retry",{members}}}'
    event = decode(message("PostprocessingStepFinished", payload), 1, NOW)
    assert event is not None
    assert isinstance(event.input, StepFinished)
    assert (event.input.step, event.input.outcome) == ("a", "retry")


@pytest.mark.parametrize("result", ["[]", '"clean"', "7", "true"])
def test_f30_a_virusscan_result_that_is_no_object_is_understood(result: str) -> None:
    payload = f'{{"UploadID":"{UPLOAD}","FinishedStep":"virusscan","Outcome":"continue","Result":{result}}}'
    event = decode(message("PostprocessingStepFinished", payload), 1, NOW)
    assert event is not None
    assert event.input == StepFinished("virusscan", "continue")


def test_f31_the_documentation_names_the_event_that_a_step_answers_with() -> None:
    assert "answers with `PostprocessingStepFinished`" in " ".join((DOCS / "steps.md").read_text().split())
    foreign = message("PostprocessingFinished", f'{{"UploadID":"{UPLOAD}","Outcome":"continue"}}')
    event = decode(foreign, 1, NOW)
    assert event is not None
    assert event.input == FinishedElsewhere("continue", 1), (
        "the storage has heard it too: it is not an answer"
    )


def test_f32_no_url_and_no_user_is_readable_in_a_resource() -> None:
    upload = after(ARRIVAL)
    resource = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="sealed")
    text = json.dumps([resource, to_status(upload)])
    assert json.loads(URL) not in text
    assert json.loads(upload.origin.url) not in text
    assert upload.origin.url not in repr(upload)


@pytest.mark.parametrize("reply", ["INSTREAM size limit exceeded. ERROR", "stream: broken ERROR", ""])
def test_f35_what_clamd_does_not_call_clean_is_not_clean(reply: str) -> None:
    with pytest.raises(ScanError):
        verdict(reply, complete=True)


async def test_f37_probes_say_what_is_wrong() -> None:
    port = free_port()
    server = HealthServer(
        f"127.0.0.1:{port}", "", Metrics(), lambda: "stuck", lambda: "NATS is not connected"
    )
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            for path, problem in (("healthz", "stuck"), ("readyz", "NATS is not connected")):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as response:
                    assert (response.status, await response.text()) == (503, f"{problem}\n")
    finally:
        await server.stop()


def test_f40_a_file_found_on_disk_is_no_upload() -> None:
    assert decode(message("UploadReady", '{"UploadID":"","Failed":false}'), 1, NOW) is None
    with pytest.raises(BadMessageError):
        decode(message("UploadReady", '{"UploadID":7}'), 1, NOW)


def test_f42_no_upload_waits_for_those_before_it() -> None:
    desk = Desk()
    for number in range(100):
        desk.read(number + 1, message("BytesReceived", arrival(UploadID=f'"bulk-{number}"')))
    desk.read(101, message("BytesReceived", arrival()))
    assert len(desk.bus.sent) == 101, "although nothing is answered, acknowledged or stored"


def test_f43_the_order_names_the_storage_it_is_for() -> None:
    resource_id = '{"storage_id":"st-1","space_id":"s-1","opaque_id":"o-1"}'
    event = decode(message("BytesReceived", arrival(ResourceID=resource_id)), 1, NOW)
    assert event is not None
    decision = decide(None, event.upload_id, event.input, NOW, Config())
    outgoing = encode(decision.commands[0], event.upload_id, decision.upload, NOW)
    envelope = json.loads(outgoing.body)
    assert envelope["Metadata"]["eventtype"] == "events.PostprocessingFinished"
    assert json.loads(b64decode(envelope["Payload"]))["ResourceID"] == json.loads(resource_id)
