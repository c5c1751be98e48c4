"""What a server says to a pull is read."""

import pytest

from uploadpp.wire.pulls import (
    CREDIT,
    LARGEST_BYTES,
    MOST_BYTES,
    OVERHEAD_BYTES,
    PULLS_AT_ONCE,
    Answer,
    Terms,
    judge,
    left_of,
    words,
)


@pytest.mark.parametrize(
    ("status", "description", "answer", "terms"),
    [
        ("409", "Exceeded MaxRequestBatch of 100", Answer.ADAPTED, Terms(batch=100)),
        ("409", "Exceeded MaxRequestBatch of 0", Answer.ADAPTED, Terms(batch=1)),
        ("409", "Exceeded MaxRequestBatch of 512", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxRequestExpires of 5s", Answer.ADAPTED, Terms(expires_seconds=5)),
        ("409", "Exceeded MaxRequestExpires of 1.5s", Answer.ADAPTED, Terms(expires_seconds=1.5)),
        ("409", "Exceeded MaxRequestExpires of 300ms", Answer.ADAPTED, Terms(expires_seconds=0.3)),
        ("409", "Exceeded MaxRequestExpires of 1ms", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxRequestBatch of 9999999999", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxRequestExpires of 1m0s", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxRequestExpires of 1h0m0s", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxWaiting", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxRequestMaxBytes of 100", Answer.AGAIN, Terms()),
        ("409", "Leadership Change", Answer.AGAIN, Terms()),
        ("409", "Server Shutdown", Answer.AGAIN, Terms()),
        ("409", "Something New", Answer.AGAIN, Terms()),
        ("409", "Consumer Deleted", Answer.OVER, Terms()),
        ("409", "Consumer is push based", Answer.OVER, Terms()),
        ("400", "Bad Request - heartbeat value too large", Answer.OVER, Terms()),
        ("404", "No Messages", Answer.OVER, Terms()),
        ("503", "", Answer.AGAIN, Terms()),
    ],
)
def test_statuses(status: str, description: str, answer: Answer, terms: Terms) -> None:
    assert judge(Terms(), status, description) == (answer, terms)
    assert status in words(status, description)
    assert description in words(status, description)


@pytest.mark.parametrize("terms", [Terms(), Terms(batch=1), Terms(expires_seconds=0.3)])
def test_terms_a_server_takes(terms: Terms) -> None:
    assert 2 * terms.heartbeat_seconds <= terms.expires_seconds
    assert terms.batch <= terms.credit <= 512


@pytest.mark.parametrize(("batch", "pulls"), [(CREDIT, 1), (100, 6), (1, PULLS_AT_ONCE)])
def test_what_is_asked_for_at_once_is_far_below_what_ends_a_connection(batch: int, pulls: int) -> None:
    terms = Terms(batch=batch)
    assert terms.bytes_of_a_pull(1000) == max(MOST_BYTES // pulls, 1000 + OVERHEAD_BYTES)
    assert 4 * pulls * terms.bytes_of_a_pull(1 << 20) <= 64 << 20
    assert terms.bytes_of_a_pull(8 << 20) > 8 << 20


def test_no_pull_grows_without_end() -> None:
    terms = Terms()
    for _ in range(10):
        terms = terms.larger
    assert terms.most_bytes == LARGEST_BYTES


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ({"Status": "408", "Nats-Pending-Messages": "7", "Nats-Pending-Bytes": "99"}, (7, 0)),
        ({"Status": "408"}, (0, 0)),
        (
            {"Status": "409", "Description": "Message Size Exceeds MaxBytes", "Nats-Pending-Messages": "3"}
            | {"Nats-Pending-Bytes": "99"},
            (3, 99),
        ),
        ({"Status": "409", "Description": "Batch Completed", "Nats-Pending-Bytes": "99"}, (0, 0)),
        ({"Status": "409", "Description": "Leadership Change"}, None),
        ({"Status": "408", "Nats-Pending-Messages": "-7"}, (0, 0)),
        ({"Status": "408", "Nats-Pending-Messages": "9" * 5000}, (0, 0)),
        ({"Status": "408", "Nats-Pending-Messages": "\u0667"}, (0, 0)),
        ({"Status": "100"}, None),
        ({}, None),
    ],
)
def test_what_a_pull_has_left(headers: dict[str, str], left: tuple[int, int] | None) -> None:
    assert left_of(headers) == left
