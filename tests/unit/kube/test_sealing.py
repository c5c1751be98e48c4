"""Sealing: what comes out is what went in, with every key that is still known, and with no other."""

import orjson
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.model import Millis, Origin
from uploadpp.kube.sealing import Sealer, SealError

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
TEXT = st.text(st.characters(codec="utf-8"))
ORIGINS = st.builds(
    Origin,
    url=TEXT,
    url_received_at=st.integers(0, 2**53).map(Millis),
    url_expires_at=st.none() | st.integers(0, 2**53).map(Millis),
    filename=TEXT,
    filesize=TEXT,
    executing_user=TEXT,
    impersonating_user=TEXT,
    space_owner=TEXT,
    resource_id=TEXT,
    initiator_id=TEXT,
    extra_info=st.none() | TEXT,
    traceparent=TEXT,
    announced_at=st.none() | st.integers(0, 2**53).map(Millis),
)
ORIGIN = Origin(url='"https://gw/s3cr3t"', executing_user='{"mail":"mary"}')


@given(ORIGINS)
def test_round_trip(origin: Origin) -> None:
    assert Sealer([OLD]).open(Sealer([OLD]).seal(origin)) == origin


def test_what_older_versions_have_sealed_can_be_opened() -> None:
    """They knew neither that time nor a place for it."""
    before = ["url", "filename", "7", "null", "null", "null", "null", "web-1", None, "00-1"]
    sealed = Fernet(OLD.encode()).encrypt(orjson.dumps([1, None, *before])).decode()
    opened = Sealer([OLD]).open(sealed)
    assert (opened.url, opened.traceparent, opened.announced_at) == ("url", "00-1", None)
    assert len(Sealer([OLD]).seal(opened)) == len(sealed)


def test_rotation() -> None:
    before = Sealer([OLD]).seal(ORIGIN)
    rotating = Sealer([NEW, OLD])
    after = rotating.seal(ORIGIN)
    assert rotating.open(before) == rotating.open(after) == ORIGIN
    assert Sealer([NEW]).open(after) == ORIGIN
    with pytest.raises(SealError):
        Sealer([NEW]).open(before)
    with pytest.raises(SealError):
        Sealer([OLD]).open(after)


def test_damage_is_found_and_not_quoted() -> None:
    sealed = Sealer([OLD]).seal(ORIGIN)
    other = "y" if sealed[50] == "x" else "x"
    for damaged in (sealed[:-4], "", "\u00fc", f"{sealed[:50]}{other}{sealed[51:]}"):
        with pytest.raises(SealError) as caught:
            Sealer([OLD, OTHER]).open(damaged)
        assert sealed[:20] not in str(caught.value)


def test_nothing_shows() -> None:
    sealed = Sealer([OLD]).seal(ORIGIN)
    assert sealed.isascii()
    assert "s3cr3t" not in sealed
    assert "s3cr3t" not in repr(Sealer([OLD]))
    assert OLD not in repr(Sealer([OLD]))


@pytest.mark.parametrize("keys", [[], ["short"], ["ü"], [OLD, "x"]])
def test_unusable_keys(keys: list[str]) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        Sealer(keys)
