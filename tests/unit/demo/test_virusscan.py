"""The demo's step `virusscan`, without a clamd: what the stand-in finds, and faults switched on by hand."""

import pytest

from e2e.demo.steps.scanners import EICAR_SIGNATURE, STAND_IN, eicar
from e2e.demo.steps.virusscan import BUSY, virusscan
from uploadpp.core.states import Outcome
from uploadpp.steps import Upload
from uploadpp.steps.testing import Bench, Download, deliver


def test_the_stand_in_says_what_it_is() -> None:
    assert "NOT a virus scanner" in STAND_IN


def test_it_finds_the_test_file_and_nothing_else() -> None:
    clean, infected = deliver(virusscan(), b"%PDF-1.7"), deliver(virusscan(), eicar())
    assert (clean.outcome, infected.outcome) == (Outcome.CONTINUE, Outcome.DELETE)
    (answer,) = infected.published
    assert answer.payload["Result"]["Infected"] is True
    assert answer.payload["Result"]["Description"] == EICAR_SIGNATURE
    assert answer.payload["Error"] is None


@pytest.mark.parametrize("download", [Download.MISSING, Download.EXPIRED, Download.REFUSED, Download.CUT])
def test_a_failed_download_is_a_retry_and_never_clean(download: Download) -> None:
    assert deliver(virusscan(), b"x" * 100, download=download).outcome is Outcome.RETRY


async def test_a_fault_fails_as_often_as_it_says() -> None:
    step = virusscan(faults={"photo.jpg": 2})
    messages = []
    async with Bench(step) as bench:
        for name in ("photo.jpg", "other.jpg", "photo.jpg", "photo.jpg"):
            delivery = await bench.send(Upload.of(b"x", filename=name)).delivery()
            assert delivery.outcome is (Outcome.RETRY if delivery.message else Outcome.CONTINUE)
            messages.append(delivery.message)
    assert messages == [BUSY, "", BUSY, ""]
