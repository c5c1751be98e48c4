"""Sealing: what comes out is what went in, with every key that is still known, and with no other."""

import random
import tracemalloc
import zlib
from base64 import b64encode

import orjson
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.api.field_types import MAX_SEALED
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, Origin
from uploadpp.kube.sealing import (
    MAX_OPENED,
    ForeignSealError,
    Opened,
    Sealer,
    SealError,
    TooLargeError,
    UnknownContentError,
    UnknownKeyError,
    fingerprint,
)

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
ID = "5d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
ORIGIN = Origin(url='"https://gw/s3cr3t"', executing_user='{"mail":"mary"}')


@given(ORIGINS)
def test_round_trip(origin: Origin) -> None:
    assert Sealer([OLD]).open(Sealer([OLD]).seal(origin, ID), ID).origin == origin


def test_what_older_versions_have_sealed_can_be_opened() -> None:
    """They knew neither that time nor a place for it."""
    before = ["url", "filename", "7", "null", "null", "null", "null", "web-1", None, "00-1"]
    sealed = Fernet(OLD.encode()).encrypt(orjson.dumps([1, None, *before])).decode()
    opened = Sealer([OLD]).open(sealed, ID).origin
    assert (opened.url, opened.traceparent, opened.announced_at) == ("url", "00-1", None)
    with_time = Fernet(OLD.encode()).encrypt(orjson.dumps([1, None, *before, 5])).decode()
    for any_upload in (ID, "other", ""):  # nor the upload: until they are written anew
        assert Sealer([OLD]).open(with_time, any_upload).origin == evolve(opened, announced_at=5)


PLAN = {"plan": "virusscan/t=300 policies", "policy": "default/3/big"}


def test_the_plan_is_sealed_behind_the_id() -> None:
    """Where an earlier version passes over what it does not know."""
    sealed = Sealer([OLD]).seal(ORIGIN, ID, PLAN)
    assert Sealer([OLD]).open(sealed, ID) == Opened(ORIGIN, PLAN)
    body = orjson.loads(Fernet(OLD.encode()).decrypt(sealed.partition(".")[2]))
    assert body[-2:] == [ID, PLAN]
    assert len(body) == len(orjson.loads(Fernet(OLD.encode()).decrypt(WITHOUT_PLAN.partition(".")[2]))) + 1
    with pytest.raises(ForeignSealError):
        Sealer([OLD]).open(sealed, "other")


WITHOUT_PLAN = Sealer([OLD]).seal(ORIGIN, ID)


def test_what_a_later_version_adds_behind_the_id_is_passed_over() -> None:
    sealed = Sealer([OLD]).seal(ORIGIN, ID)
    body = orjson.loads(Fernet(OLD.encode()).decrypt(sealed.partition(".")[2]))
    for added, expected in (({"colour": "green"}, None), ({}, None), (["green"], UnknownContentError)):
        later = Fernet(OLD.encode()).encrypt(orjson.dumps([*body, added])).decode()
        if expected is None:
            assert Sealer([OLD]).open(later, ID).origin == ORIGIN
            with pytest.raises(ForeignSealError):
                Sealer([OLD]).open(later, "other")
        else:
            with pytest.raises(expected):
                Sealer([OLD]).open(later, ID)


@given(ORIGINS, TEXT, TEXT)
def test_what_was_sealed_for_one_upload_opens_for_no_other(origin: Origin, mine: str, other: str) -> None:
    sealed = Sealer([NEW]).seal(origin, mine)
    assert Sealer([NEW]).open(sealed, mine).origin == origin
    if mine != other:
        with pytest.raises(ForeignSealError, match=r"spec\.sealed.*another upload.*delete this resource"):
            Sealer([OLD, NEW]).open(sealed, other)


def test_rotation() -> None:
    before = Sealer([OLD]).seal(ORIGIN, ID)
    rotating = Sealer([NEW, OLD])
    after = rotating.seal(ORIGIN, ID)
    assert rotating.open(before, ID) == rotating.open(after, ID) == Opened(ORIGIN)
    assert Sealer([NEW]).open(after, ID).origin == ORIGIN
    with pytest.raises(SealError):
        Sealer([NEW]).open(before, ID)
    with pytest.raises(SealError):
        Sealer([OLD]).open(after, ID)


def test_damage_is_found_and_not_quoted() -> None:
    sealed = Sealer([OLD]).seal(ORIGIN, ID)
    other = "y" if sealed[50] == "x" else "x"
    for damaged in (sealed[:-4], "", "\u00fc", f"{sealed[:50]}{other}{sealed[51:]}"):
        with pytest.raises(SealError) as caught:
            Sealer([OLD, OTHER]).open(damaged, ID)
        assert sealed[:20] not in str(caught.value)


def test_nothing_shows() -> None:
    sealed = Sealer([OLD]).seal(ORIGIN, ID)
    assert sealed.isascii()
    assert "s3cr3t" not in sealed
    assert "s3cr3t" not in repr(Sealer([OLD]))
    assert OLD not in repr(Sealer([OLD]))


@pytest.mark.parametrize("keys", [[], ["short"], ["ü"], [OLD, "x"]])
def test_unusable_keys(keys: list[str]) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        Sealer(keys)


GROUPS = ",".join(f'"group-{number:06d}-of-the-university"' for number in range(1300))


@pytest.mark.parametrize(
    ("name", "text", "most"),
    [
        ("executing_user", f'{{"groups":[{GROUPS}]}}', 12_000),
        ("url", '"https://gw/' + random.Random(1).randbytes(30_000).hex() + '"', 62_000),  # noqa: S311
        ("extra_info", "x" * 700_000, 6_000),
        # The longest that a message of NATS holds by default, of text that cannot shrink much.
        ("space_owner", b64encode(random.Random(2).randbytes(585_000)).decode(), MAX_SEALED),  # noqa: S311
    ],
    ids=["many groups", "long URL", "long and dull", "long and random"],
)
def test_what_the_bus_carries_can_be_sealed(name: str, text: str, most: int) -> None:
    origin = evolve(ORIGIN, **{name: text})
    sealed = Sealer([OLD]).seal(origin, ID)
    assert len(sealed) < most
    assert Sealer([OLD]).open(sealed, ID).origin == origin


@pytest.mark.parametrize("size", [1_000_000, MAX_OPENED + 1])
def test_what_no_resource_can_hold_is_said_when_it_is_sealed(size: int) -> None:
    text = b64encode(random.Random(3).randbytes(size)).decode()  # noqa: S311
    with pytest.raises(TooLargeError, match="more than") as caught:
        Sealer([OLD]).seal(evolve(ORIGIN, executing_user=text), ID)
    assert text[:20] not in str(caught.value)


@pytest.mark.parametrize("body", [b"[" + b" " * 100, b"[1,2]", b"{}", b"[1,null" + b',"x"' * 30 + b"]", b""])
@pytest.mark.parametrize("packed", [False, True])
def test_sealed_nonsense_is_a_seal_error(body: bytes, *, packed: bool) -> None:
    sealed = Fernet(OLD.encode()).encrypt(zlib.compress(body) if packed else body).decode()
    with pytest.raises(SealError, match="cannot be read"):
        Sealer([OLD]).open(sealed, ID)


def test_a_bomb_does_not_expand() -> None:
    """A gigabyte of zeros in a megabyte, sealed by someone who has the key."""
    bomb = zlib.compressobj()
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(200)) + bomb.flush()
    sealed = Fernet(OLD.encode()).encrypt(packed).decode()
    tracemalloc.start()
    with pytest.raises(SealError, match="cannot be read"):
        Sealer([OLD]).open(sealed, ID)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_OPENED


def test_cut_off_after_sealing_is_a_seal_error() -> None:
    whole = zlib.compress(b"[1,2]" * 1000)
    for packed in (whole[:-1], whole[:2], b"\x78\x9c", b"\x78"):
        with pytest.raises(SealError):
            Sealer([OLD]).open(Fernet(OLD.encode()).encrypt(packed).decode(), ID)


def test_another_key_is_told_apart_from_damage() -> None:
    sealed = Sealer([OLD]).seal(ORIGIN, ID)
    mark, _, token = sealed.partition(".")
    assert mark == fingerprint(OLD) == Sealer([OLD]).fingerprints[0]
    for known, text in ((mark, sealed), ("", token)):  # an older version wrote the token alone
        with pytest.raises(UnknownKeyError) as caught:
            Sealer([NEW, OTHER]).open(text, ID)
        assert caught.value.fingerprint == known
    for damaged in (sealed[:-5], f"{mark}.", mark, "sealed", f"{mark}.gAAAA=", f"{sealed}\n"):
        with pytest.raises(SealError) as caught_damage:
            Sealer([NEW]).open(damaged, ID)
        assert not isinstance(caught_damage.value, UnknownKeyError)


def test_a_fingerprint_names_a_key_and_not_its_spelling() -> None:
    assert fingerprint(f" {OLD}\n") == fingerprint(OLD) != fingerprint(NEW)
    assert OLD[:8] not in fingerprint(OLD)
    assert Sealer([NEW, OLD]).fingerprints == (fingerprint(NEW), fingerprint(OLD))
