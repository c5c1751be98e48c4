"""Files with credentials: what is wrong with one is said, with its name and nothing of what is in it."""

import time
from pathlib import Path

import pytest

from tests.natsauth import Authority
from uploadpp.process.configuration import ConfigurationError, nats_options, read_settings
from uploadpp.wire.credentials import CredentialsError, CredsFile, NkeyFile, read_token

GOOD = Authority().creds()
SEED = next(line for line in GOOD.splitlines() if line.startswith("SU"))
JWT = next(line for line in GOOD.splitlines() if line.startswith("ey"))


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "user.creds"
    path.write_text(GOOD)
    file = CredsFile(str(path))
    file.check()
    assert file.jwt().decode() == JWT
    assert file.expired() == ""
    path.write_text(GOOD.replace("\n", "\r\n"))
    assert file.jwt().decode() == JWT


@pytest.mark.parametrize("length", [0, 5, 28, 40, 300, *range(-110, -30, 7)])
def test_a_file_cut_off_anywhere(tmp_path: Path, length: int) -> None:
    path = tmp_path / "user.creds"
    path.write_text(GOOD[:length])
    with pytest.raises(CredentialsError) as caught:
        CredsFile(str(path)).check()
    assert str(path) in str(caught.value)
    assert SEED[:10] not in str(caught.value)
    with pytest.raises(ConfigurationError, match="UPLOADPP_NATS_CREDS_FILE="):
        nats_options(read_settings({}, {"UPLOADPP_NATS_CREDS_FILE": str(path)}), "me")


DAMAGES = {
    "another letter in the seed": (SEED, SEED[:20] + ("A" if SEED[20] != "A" else "B") + SEED[21:]),
    "half a seed": (SEED, SEED[:20]),
    "the beginning of a seed": (SEED, "SU"),
    "no seed": (SEED, "hunter2"),
    "letters of another alphabet": (SEED, "ü" * 20),
    "half a JWT": (JWT, JWT[:50]),
    "a JWT of nothing": (JWT, "a.b.c"),
    "a JWT that is a list": (JWT, "a.W10.c"),
    "no second block": ("BEGIN USER NKEY SEED", "BEGIN"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "user.creds"
    path.write_text(GOOD.replace(*DAMAGES[damage]))
    with pytest.raises(CredentialsError) as caught:
        CredsFile(str(path)).check()
    assert str(path) in str(caught.value)
    said = str(caught.value).replace(str(path), "")
    assert not {SEED[:10], JWT[:10], "hunter2"} & set(said.split())
    assert caught.value.__cause__ is None


def test_an_expired_one_is_called_expired(tmp_path: Path) -> None:
    path = tmp_path / "user.creds"
    path.write_text(Authority().creds(expires=time.time() - 5))
    assert "expired" in CredsFile(str(path)).expired()
    assert str(path) in CredsFile(str(path)).expired()


@pytest.mark.parametrize("text", [b"", b"SUX", b"nothing", b"\xff\xfe"])
def test_an_nkey_file(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "seed"
    path.write_bytes(text)
    with pytest.raises(CredentialsError, match=str(path)):
        NkeyFile(str(path)).sign("nonce")
    with pytest.raises(ConfigurationError, match="UPLOADPP_NATS_NKEY_FILE="):
        nats_options(read_settings({}, {"UPLOADPP_NATS_NKEY_FILE": str(path)}), "me")


def test_an_nkey_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "seed"
    path.write_text(f"# a comment\n{SEED}\n")
    first = NkeyFile(str(path)).public_key()
    other = Authority().creds()
    path.write_text(next(line for line in other.splitlines() if line.startswith("SU")))
    assert NkeyFile(str(path)).public_key() != first
    with pytest.raises(CredentialsError):
        read_token(str(tmp_path / "missing"))
