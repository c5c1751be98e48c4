"""Users of NATS in its decentralised form: an operator, an account and credentials files of users."""

import json
import os
import time
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

import nkeys


class Signer:
    """A key of some kind that signs JWTs."""

    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), kind)
        self.pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self.pair.public_key.decode()

    def jwt(self, subject: str, name: str, nats: Mapping[str, object], expires: float | None = None) -> str:
        body: dict[str, object] = {"iat": int(time.time()), "iss": self.public, "name": name, "sub": subject}
        if expires is not None:
            body["exp"] = int(expires)
        body["nats"] = {"version": 2, **nats}
        body["jti"] = b32encode(sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        head = _encoded({"typ": "JWT", "alg": "ed25519-nkey"})
        text = f"{head}.{_encoded(body)}"
        return f"{text}.{_base64(self.pair.sign(text.encode()))}"


class Authority:
    """Whoever makes users."""

    def __init__(self) -> None:
        self.operator = Signer(nkeys.PREFIX_BYTE_OPERATOR)
        self.account = Signer(nkeys.PREFIX_BYTE_ACCOUNT)
        self.system = Signer(nkeys.PREFIX_BYTE_ACCOUNT)

    @property
    def config(self) -> str:
        """What the server has to be told."""
        limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        stores = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        limits["wildcards"] = True
        files: dict[str, object] = {"type": "account", "limits": {**limits, **stores}}
        accounts = {
            self.account.public: self.operator.jwt(self.account.public, "files", files),
            self.system.public: self.operator.jwt(
                self.system.public, "system", {"type": "account", "limits": limits}
            ),
        }
        operator = self.operator.jwt(
            self.operator.public, "operator", {"type": "operator", "system_account": self.system.public}
        )
        preload = "\n".join(f"  {key}: {jwt}" for key, jwt in accounts.items())
        return f"operator: {operator}\nresolver: MEMORY\nresolver_preload: {{\n{preload}\n}}\n"

    def creds(self, expires: float | None = None) -> str:
        """The text of a credentials file."""
        user = Signer(nkeys.PREFIX_BYTE_USER)
        limits = {"subs": -1, "data": -1, "payload": -1}
        jwt = self.account.jwt(user.public, "operator", {"type": "user", **limits}, expires)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _encoded(part: dict[str, object]) -> str:
    return _base64(json.dumps(part).encode())
