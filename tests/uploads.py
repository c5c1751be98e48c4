"""Uploads in states that really occur: made by sending messages through the machine."""

from uploadpp.core.config import Config
from uploadpp.core.inputs import BytesReceived, Input, Published, StepFinished, UploadReady
from uploadpp.core.model import FileInfo, Millis, Origin, StepPlan, Upload
from uploadpp.core.replay import Position, apply

ID = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
SPACE = "4c510ada-c86b-4815-8820-42cdf82c3d51"
STREAM = "main-queue/2026-10-02T08:15:30.120045001Z"
NOW = Millis(1_795_000_000_123)
CONFIG = Config(steps=(StepPlan(name="virusscan"), StepPlan(name="policies")))
FILE = FileInfo(
    filename="report.pdf",
    filesize=48_213,
    user_id=SPACE,
    space_id=SPACE,
    storage_id=SPACE,
    opaque_id=SPACE,
)
ARRIVAL = BytesReceived(Origin(url='"https://a"'), FILE)
PASSED: tuple[Input, ...] = (
    ARRIVAL,
    StepFinished("virusscan", "continue"),
    StepFinished("policies", "continue"),
    UploadReady(failed=False),
)


def after(*events: Input, upload_id: str = ID, config: Config = CONFIG) -> Upload:
    """The upload after some messages a second apart, each command of ours echoed at once."""
    upload, sequence = None, 100
    for second, event in enumerate(events):
        now = Millis(NOW + 1000 * second)
        decision = apply(upload, upload_id, event, Position(STREAM, sequence), now, config)
        upload, sequence = decision.upload, sequence + 1
        for command in decision.commands:
            echo = Published(command.mark, sequence)
            upload = apply(upload, upload_id, echo, Position(STREAM, sequence), now, config).upload
            sequence += 1
    if upload is None:
        raise ValueError("these messages make no upload")
    return upload
