"""Credentials of NATS in files. They are read at each connection: files are renewed while we run."""

import binascii
import time
from base64 import b32decode, b64encode, urlsafe_b64decode
from datetime import UTC, datetime

import nkeys
import orjson
from nats.errors import Error as NatsError

from uploadpp.http.files import read_regular

JWT_BEGIN, JWT_END = "-----BEGIN NATS USER JWT-----", "------END NATS USER JWT------"
SEED_BEGIN, SEED_END = "-----BEGIN USER NKEY SEED-----", "------END USER NKEY SEED------"
JWT_PARTS = 3


class CredentialsError(NatsError):
    """A file cannot be used; the text names it and quotes nothing of it."""


class CredsFile:
    """A `.creds` file: a JWT and the seed that goes with it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def jwt(self) -> bytearray:
        """The JWT as it is in the file now.

        Raises:
            CredentialsError: there is none.
        """
        text = _block(self._path, JWT_BEGIN, JWT_END)
        claims(self._path, text)
        return bytearray(text.encode())

    def sign(self, nonce: str) -> bytes:
        """The server's nonce, signed with the seed as it is in the file now.

        Raises:
            CredentialsError: there is none, or it is damaged.
        """
        self.jwt()  # the first thing that is wrong with the file is what a person should read
        return _sign(self._path, _block(self._path, SEED_BEGIN, SEED_END), nonce)

    def expired(self) -> str:
        """That the JWT has expired, in words; empty when it has not, or cannot be read."""
        try:
            until = claims(self._path, _block(self._path, JWT_BEGIN, JWT_END)).get("exp")
        except CredentialsError as error:
            return str(error)
        if not isinstance(until, int | float) or isinstance(until, bool) or not 0 < until < time.time():
            return ""
        return f"{self._path}: the JWT has expired at {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%SZ}"

    def check(self) -> None:
        """Make sure that both parts can be used.

        Raises:
            CredentialsError: they cannot.
        """
        self.sign("nonce")


class NkeyFile:
    """A file with an nkey seed."""

    def __init__(self, path: str) -> None:
        self._path = path

    def _seed(self) -> str:
        lines = [line.strip() for line in _read(self._path).splitlines()]
        return next((line for line in lines if line.startswith("S")), "")

    def sign(self, nonce: str) -> bytes:
        """The server's nonce, signed with the seed as it is in the file now.

        Raises:
            CredentialsError: there is none, or it is damaged.
        """
        return _sign(self._path, self._seed(), nonce)

    def public_key(self) -> str:
        """The user's name.

        Raises:
            CredentialsError: as for `sign`.
        """
        return str(_pair(self._path, self._seed()).public_key.decode())


def read_token(path: str) -> str:
    """A token as it is in its file now.

    Raises:
        CredentialsError: it cannot be read, or there is none.
    """
    token = _read(path).strip()
    if not token:
        raise CredentialsError(f"{path}: contains no token")
    return token


def claims(path: str, jwt: str) -> dict[str, object]:
    """What a JWT says. Its signature is the server's to check.

    Raises:
        CredentialsError: it is damaged.
    """
    parts = jwt.split(".")
    try:
        if len(parts) == JWT_PARTS and parts[2]:
            found = orjson.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
            if isinstance(found, dict):
                return found
    except (binascii.Error, ValueError):
        pass
    raise CredentialsError(f"{path}: the JWT is damaged or cut off")


def _block(path: str, begin: str, end: str) -> str:
    """What stands between two marks."""
    what = begin.strip("- ").removeprefix("BEGIN ")
    lines = [line.strip() for line in _read(path).splitlines()]
    starts = [number for number, line in enumerate(lines) if begin.strip("-") in line]
    if not starts:
        raise CredentialsError(f"{path}: does not contain {begin.strip('-')!r}")
    rest = lines[starts[0] + 1 :]
    stop = next((number for number, line in enumerate(rest) if end.strip("-") in line), None)
    found = "".join(rest[:stop])
    if stop is None or not found:
        raise CredentialsError(f"{path}: is cut off: the {what} does not end")
    return found


def _read(path: str) -> str:
    try:
        return read_regular(path).decode()
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{path}: is not a text file") from None


def _pair(path: str, seed: str) -> nkeys.KeyPair:
    try:
        raw = b32decode(seed + "=" * (-len(seed) % 8))
        if nkeys.crc16(bytearray(raw[:-2])) != int.from_bytes(raw[-2:], "little"):
            raise ValueError("checksum")  # noqa: TRY301 -- the library does not look at it
        return nkeys.from_seed(bytearray(seed.encode()))
    except Exception:  # noqa: BLE001 -- the library raises whatever its parts do; the seed must not be quoted
        raise CredentialsError(f"{path}: the seed is damaged or cut off") from None


def _sign(path: str, seed: str, nonce: str) -> bytes:
    pair = _pair(path, seed)
    try:
        return b64encode(pair.sign(nonce.encode()))
    except Exception:  # noqa: BLE001 -- as above: a seed may be short and still be taken
        raise CredentialsError(f"{path}: the seed is damaged or cut off") from None
    finally:
        pair.wipe()
