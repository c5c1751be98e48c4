"""Starts in which anything may stand: whoever may publish on the stream writes them."""

import pytest

from uploadpp.steps import Continue, Upload, User, Verdict, step
from uploadpp.steps.testing import deliver


@step("mine")
async def mine(upload: Upload) -> Verdict:
    async with upload.open() as content:
        return Continue(f"{len(await content.read())} {upload.traceparent}")


@pytest.mark.parametrize(
    "text",
    [
        "00-x\r\nHost: other",
        "\n",
        "\0",
        "\x7f",
        "x" * 100_000,
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "\u202e",
    ],
)
def test_s4_what_is_no_traceparent_is_no_header_of_the_download(text: str) -> None:
    """The HTTP library refuses some: the upload would have been tried again and again, and aborted."""
    delivery = deliver(mine, Upload.of(b"hello", traceparent=text))
    assert (delivery.outcome, delivery.message, delivery.failed) == ("continue", "5 ", False)


@pytest.mark.parametrize("text", ["", "-rf", "../../etc/passwd", "a\nb\0c", "\u202e\x1b[2J", "\ufffd" * 5000])
def test_s4_whatever_stands_in_a_start_the_work_is_done(text: str) -> None:
    user = User(id=text, username=text, mail=text)
    upload = Upload.of(b"hello", text, user, space_id=text, resource_id=text, storage_id=text)
    delivery = deliver(mine, upload)
    assert (delivery.outcome, delivery.failed) == ("continue", False)
