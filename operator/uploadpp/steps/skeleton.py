"""The files of a new step, for one named `no-programs`; `uploadpp step new` puts another name into them."""

NAME, MODULE, OBJECT, VERSION = "no-programs", "no_programs", "step-object", "0.0"
"""What is replaced: the step's name, its module and function, its object in Kubernetes, our version."""

STEP = '''\
"""The step no-programs: looks at an upload before its file is released."""

from uploadpp.steps import Continue, Delete, Upload, Verdict, step


@step("no-programs", concurrency=8, timeout=600)
async def no_programs(upload: Upload) -> Verdict:
    """Delete programs of Linux; what begins like one is one."""
    async with upload.open() as content:
        if await content.read(4) == b"\\x7fELF":
            return Delete("programs are not wanted here")
    return Continue()


if __name__ == "__main__":
    no_programs.run()
'''

TEST = '''\
"""What the step no-programs answers. No NATS, no storage and no cluster is needed."""

from uploadpp.steps import Upload, User
from uploadpp.steps.testing import Download, deliver

from no_programs import no_programs

PROGRAM = b"\\x7fELF" + bytes(1000)


def test_a_program_is_deleted() -> None:
    delivery = deliver(no_programs, Upload.of(PROGRAM, "setup"))
    assert (delivery.outcome, delivery.message) == ("delete", "programs are not wanted here")
    assert delivery.event.payload["FinishedStep"] == "no-programs"


def test_everything_else_goes_on() -> None:
    notes = Upload.of(b"hello", "notes.txt", User(id="u-1", mail="mary@example.org"))
    assert deliver(no_programs, notes).outcome == "continue"
    assert deliver(no_programs, b"").outcome == "continue"


def test_a_file_that_does_not_come_is_tried_again() -> None:
    delivery = deliver(no_programs, PROGRAM, download=Download.MISSING)
    assert (delivery.outcome, delivery.failed) == ("retry", True)


def test_the_same_event_twice_is_one_piece_of_work() -> None:
    delivery = deliver(no_programs, PROGRAM, copies=2)
    assert (delivery.runs, len(delivery.published)) == (1, 1)
'''

REQUIREMENTS = """\
# What the step needs where it runs; pytest is for its tests only.
uploadpp~=0.0
"""

DOCKERFILE = """\
# docker build --tag registry.example.org/step-object:1 .
FROM docker.io/library/python:3.13-slim-bookworm
COPY requirements.txt /tmp/
RUN python -m pip install --no-cache-dir --root-user-action=ignore -r /tmp/requirements.txt
COPY no_programs.py /app/
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65533:65533
ENTRYPOINT ["python", "/app/no_programs.py"]
"""

VALUES = """\
# For the chart upload-postprocessing, beside the values that you have:
#   helm upgrade … --values values.yaml
# A list takes the place of the one before it: if you have other steps, name all of them.
steps:
  - name: "no-programs"
stepServices:
  "step-object":
    step: "no-programs"
    image:
      repository: registry.example.org/step-object
      tag: "1"
    program: {}
"""

README = """\
# no-programs

A step of the postprocessing of ocis and OpenCloud uploads: `no_programs.py` says what it does with a file.

    uv venv && uv pip install -r requirements.txt pytest
    .venv/bin/pytest
    .venv/bin/python no_programs.py --try FILE
    docker build --tag registry.example.org/step-object:1 .
    helm upgrade … --values values.yaml
"""
