"""Download URLs as the data gateway hands them out: whoever has one may read the file until it expires."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any


class TokenError(Exception):
    """The token was not made here, was changed, or has expired."""


class Signer:
    """Makes and checks HS256 JSON web tokens that name a target."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def sign(self, target: str, lifetime: float) -> str:
        """A token for a target. No two are alike, so a renewed URL is always a new one."""
        header = {"alg": "HS256", "typ": "JWT"}
        claims = {
            "aud": "reva",
            "exp": int(time.time() + lifetime),
            "target": target,
            "jti": secrets.token_hex(4),  # the real ones have none: two of one second are the same
        }
        signed = f"{_encode(header)}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def target(self, token: str) -> str:
        """The target of a token that is valid now.

        Raises:
            TokenError: it is not.
        """
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(signed).encode(), signature.encode()):
            raise TokenError("wrong signature")
        claims = json.loads(_unpack(signed.partition(".")[2]))
        if time.time() >= claims["exp"]:
            raise TokenError("expired")
        return str(claims["target"])

    def _signature(self, signed: str) -> str:
        return _pack(hmac.digest(self._secret, signed.encode(), hashlib.sha256))


def _encode(part: dict[str, Any]) -> str:
    return _pack(json.dumps(part, separators=(",", ":")).encode())


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
