"""An UploadPostprocessing that nothing has validated: of an older CRD, a backup, a tool with more rights."""

from typing import Any

import orjson

from tests.fuzz.target import Target
from uploadpp.api.codec import (
    ALL_SHOWN,
    InvalidResourceError,
    control_of,
    from_resource,
    shown_unserved,
    to_resource,
    to_status,
)
from uploadpp.api.decode import is_of_another, is_ours
from uploadpp.core.inputs import (
    Absent,
    CleanUpload,
    Input,
    Resume,
    SpecChanged,
    StepFinished,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Origin, Upload
from uploadpp.core.rules.timers import wake_at
from uploadpp.testing.builders import ARRIVAL, CONFIG, NOW
from uploadpp.wire.encode import encode
from uploadpp.wire.origin import origin_from_spec

ORIGINS = (Origin(), ARRIVAL.origin)


def read(resource: dict[str, Any], origin: Origin) -> Upload | None:
    """The upload that a resource stands for; None where nobody can tell."""
    try:
        return from_resource(resource, CONFIG, origin)
    except InvalidResourceError:
        return None


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    try:
        resource = orjson.loads(data)
    except ValueError:
        return  # the API server writes JSON
    if not isinstance(resource, dict):
        return
    for question in (control_of, is_of_another, is_ours, shown_unserved):
        answers = [_asked(question, resource) for _ in range(2)]
        assert answers[0] == answers[1]
    for origin in ORIGINS:
        upload = read(resource, origin)
        assert upload == read(resource, origin)
        if upload is not None:
            check_upload(upload, resource, len(data))


def _asked(question: Any, resource: dict[str, Any]) -> object:  # noqa: ANN401 -- several functions
    try:
        return question(resource)
    except InvalidResourceError as error:
        return str(error)


def check_upload(upload: Upload, resource: dict[str, Any], size: int) -> None:
    """It can be stored again, as the same, and every input has an answer."""
    stored = orjson.loads(orjson.dumps(to_status(upload)))
    assert len(orjson.dumps(stored)) < 4 * size + 20_000
    made = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="x")
    again = read({**resource, **orjson.loads(orjson.dumps(made)), "status": stored}, upload.origin)
    if again is not None:
        assert to_status(again)["conditions"][0]["type"] == stored["conditions"][0]["type"]
    wake_at(upload, CONFIG)
    origin_from_spec(upload)
    control = _asked(control_of, resource)
    step = upload.plan[upload.cursor].name if upload.cursor < len(upload.plan) else "a"
    inputs: list[Input] = [
        Tick(),
        StepFinished(step, "continue"),
        StepFinished(step, "retry"),
        StepFinished(step, "abort"),
        UploadReady(failed=False),
        UploadReady(failed=True),
        Resume(),
        CleanUpload(),
        Absent(404, lasting=True),
        ARRIVAL,
    ]
    if isinstance(control, Control):
        inputs.append(SpecChanged(control))
    for each in inputs:
        done = decide(upload, upload.id, each, NOW, CONFIG)
        assert orjson.dumps(to_status(done.upload))
        for command in done.commands:
            assert encode(command, upload.id or "-", done.upload, NOW).body


TARGET = Target(check, is_json=True, longest=8192)
