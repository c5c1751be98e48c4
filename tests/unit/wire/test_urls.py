"""When a download URL expires, whatever its token says."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.api.timestamps import format_time
from uploadpp.core.model import Millis, Origin
from uploadpp.kube.sealing import Sealer
from uploadpp.wire.urls import expiry_of

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
LAST = 253_402_300_799_999


def url(claims: bytes) -> str:
    return f"https://storage.test/data/e30.{urlsafe_b64encode(claims).decode().rstrip('=')}.sig"


@pytest.mark.parametrize(
    ("claims", "expiry"),
    [
        (b'{"exp": 1764300000}', 1_764_300_000_000),
        (b'{"exp": 1764300000.5}', 1_764_300_000_500),
        (b'{"exp": 99999999999999}', LAST),
        (b'{"exp": 9223372036854775807}', LAST),
        (b'{"exp": 123456789012345678901234567890}', LAST),
        (b'{"exp": 1e308}', LAST),
        (b'{"exp": -1}', 0),
        (b'{"exp": -1e308}', 0),
        (b'{"exp": "tomorrow"}', None),
        (b'{"exp": true}', None),
        (b'{"exp": null}', None),
        (b"[]", None),
    ],
)
def test_an_expiry_is_a_moment_that_a_date_can_hold(claims: bytes, expiry: int | None) -> None:
    assert expiry_of(url(claims)) == expiry


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_whatever_number_a_token_holds_can_be_sealed_and_written(number: float) -> None:
    expiry = expiry_of(url(b'{"exp": %s}' % repr(number).encode()))
    origin = Origin(url='"https://x"', url_received_at=Millis(5), url_expires_at=expiry)
    sealer = Sealer([KEY])
    assert sealer.open(sealer.seal(origin, "u1"), "u1").origin == origin
    assert format_time(expiry or Millis(0)).endswith("Z")
    origin.needs_renewal(Millis(10), Millis(10))
