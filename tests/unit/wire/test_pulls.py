"""What a server says to a pull is read."""

import pytest

from uploadpp.wire.pulls import Answer, Terms, judge, words


@pytest.mark.parametrize(
    ("status", "description", "answer", "terms"),
    [
        ("409", "Exceeded MaxRequestBatch of 100", Answer.ADAPTED, Terms(batch=100)),
        ("409", "Exceeded MaxRequestBatch of 0", Answer.ADAPTED, Terms(batch=1)),
        ("409", "Exceeded MaxRequestBatch of 512", Answer.AGAIN, Terms()),
        ("409", "Exceeded MaxRequestExpires of 5s", Answer.ADAPTED, Terms(expires_seconds=5)),
        ("409", "Exceeded MaxRequestExpires of 1.5s", Answer.ADAPTED, Terms(expires_seconds=1.5)),
        ("409", "Exceeded MaxRequestExpires of 300ms", Answer.ADAPTED, Terms(expires_seconds=0.3)),
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
        ("503", "", Answer.OVER, Terms()),
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
