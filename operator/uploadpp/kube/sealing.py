"""Sealing: URL, users, trace and plan of an upload as one encrypted string.

Fernet with rotation: the first key seals, every key opens. Nothing in here is logged. What is
sealed is compressed first: users with many groups shrink to a fifth. What older versions have
sealed is plain JSON, which begins with a bracket; zlib's first byte is another one.

In front of the Fernet token stands the fingerprint of its key: `k1a2b3c4d.gAAAA…`. So a resource
that another key has sealed is told apart from a damaged one. Older versions wrote the token alone.

The upload's id is sealed as well and compared when the text is opened: anybody who may edit resources
could copy it to another one (docs/adr/0024). What older versions have sealed says no id and opens
for any upload, until the operator writes it anew.

Behind the id follows an object with what an earlier version can do without: the plan (`core.plan_text`).
"""

import re
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import NamedTuple

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from uploadpp.api.field_types import MAX_SEALED
from uploadpp.core.model import Millis, Origin

_FIELDS = (
    "url",
    "filename",
    "filesize",
    "executing_user",
    "impersonating_user",
    "space_owner",
    "resource_id",
    "initiator_id",
    "extra_info",
    "traceparent",
    "announced_at",
    "by_hand",
)
_OPTIONAL = 2
"""How many of the last fields may be missing in data that earlier versions sealed. The id follows them."""

LEAST_COMPRESSED = 1024
"""Bytes. Below that some hundred bytes of etcd would cost a tenth of the operator's CPU for a write."""

LEVEL = 1
"""The fastest: twice as fast as zlib's default, and as good on texts of this kind."""

WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""Tables of 20 KB. Those of 270 KB, which are the default, would be mapped anew for each upload."""

MAX_OPENED = 8 * 1024 * 1024
"""Most bytes that a sealed part may expand to. A real one comes from one message of NATS, 1 MB by default."""


_SEALED = re.compile(r"(?:(k[0-9a-f]{8})\.)?(gAAAA[\w-]+={0,2})", re.ASCII)
_LEAST_TOKEN = 73
"""Bytes: version, time, initialization vector, one block, signature."""
_BLOCK = 16


class SealError(Exception):
    """The sealed part of a resource cannot be opened."""


class UnknownKeyError(SealError):
    """It is a whole token, but of none of our keys; `fingerprint` is that of its key, if it says so."""

    def __init__(self, fingerprint: str) -> None:
        of = f"the key {fingerprint}, which is not among" if fingerprint else "none of"
        super().__init__(f"spec.sealed is sealed with {of} the configured sealing keys")
        self.fingerprint = fingerprint


class UnknownContentError(SealError):
    """One of our keys has sealed it, and its content is of another version of the operator."""

    def __init__(self) -> None:
        super().__init__("spec.sealed was sealed with our key, but its content cannot be read")


class ForeignSealError(SealError):
    """It was sealed for another upload."""

    def __init__(self) -> None:
        super().__init__(
            "spec.sealed was sealed for another upload; restore the value that the operator wrote, or "
            "delete this resource and have the storage announce the upload again"
        )


class TooLargeError(ValueError):
    """An upload is announced with more than a resource can hold."""


class Opened(NamedTuple):
    """What a sealed part contains."""

    origin: Origin
    plan: Mapping[str, object] = MappingProxyType({})
    """What it says of the plan (`core.plan_text.plan_to_seal`); an earlier version has sealed none."""


class Sealer:
    """Seals and opens origins with the keys of one installation."""

    def __init__(self, keys: list[str]) -> None:
        """Take the keys, the current one first.

        Raises:
            ValueError: there is none, or one is not a Fernet key.
        """
        if not keys:
            raise ValueError("no sealing key")
        self._fernet = MultiFernet([Fernet(key.encode()) for key in keys])
        self._by_fingerprint = {fingerprint(key): Fernet(key.encode()) for key in keys}
        self.fingerprints = tuple(self._by_fingerprint)
        """What may be shown of the keys, in their order: the first seals."""

    def seal(
        self, origin: Origin, upload_id: str, plan: Mapping[str, str | int] = MappingProxyType({})
    ) -> str:
        """Encrypt the origin of an upload, and its plan.

        Raises:
            TooLargeError: it does not fit into a resource.
        """
        values = [getattr(origin, name) for name in _FIELDS]
        added = [dict(plan)] if plan else []
        body = orjson.dumps([origin.url_received_at, origin.url_expires_at, *values, upload_id, *added])
        if len(body) > MAX_OPENED:
            raise TooLargeError(f"the data of the upload has {len(body)} bytes, more than {MAX_OPENED}")
        sealed = f"{self.fingerprints[0]}.{self._fernet.encrypt(_pack(body)).decode()}"
        if len(sealed) > MAX_SEALED:
            text = f"the data of the upload has {len(sealed)} characters when sealed, more than {MAX_SEALED}"
            raise TooLargeError(text)
        return sealed

    def open(self, sealed: str, upload_id: str) -> Opened:
        """Decrypt the origin of an upload, and its plan.

        Raises:
            UnknownKeyError: another key has sealed it.
            ForeignSealError: it was sealed for another upload.
            UnknownContentError: another version of the operator has sealed it.
            SealError: it is damaged.
        """
        packed = self._decrypt(sealed)
        try:
            received, expires, *values = orjson.loads(_unpack(packed))
            has_plan = len(values) == len(_FIELDS) + 2 and isinstance(values[-1], dict)
            plan = values.pop() if has_plan else {}  # a later version may say more in it
            sealed_for = values.pop() if len(values) > len(_FIELDS) else upload_id
            names = _FIELDS[: max(len(values), len(_FIELDS) - _OPTIONAL)]
            fields = dict(zip(names, values, strict=True))
            origin = Origin(url_received_at=Millis(received), url_expires_at=expires, **fields)
        except (ValueError, TypeError) as error:
            raise UnknownContentError from error
        if sealed_for != upload_id:
            raise ForeignSealError
        return Opened(origin, plan)

    def _decrypt(self, sealed: str) -> bytes:
        found = _SEALED.fullmatch(sealed)
        if found is None:
            raise SealError("spec.sealed is damaged: it is not what the operator writes")
        mark, token = found.groups(default="")
        own = self._by_fingerprint.get(mark)
        try:
            return (own or self._fernet).decrypt(token)
        except InvalidToken:
            if own is None and _is_whole(token):
                raise UnknownKeyError(mark) from None
            raise SealError("spec.sealed is damaged: our key has sealed it and cannot open it") from None


def sealed_with(sealed: str) -> str:
    """The fingerprint that a sealed part bears; empty when it bears none."""
    found = _SEALED.match(sealed)
    return (found[1] or "") if found is not None else ""


def fingerprint(key: str) -> str:
    """What may be shown of a key: it names the key and does not help to find it."""
    return "k" + sha256(b"uploadpp sealing key " + key.strip().encode()).hexdigest()[:8]


def _is_whole(token: str) -> bool:
    """Whether a token has the form and a length that Fernet makes: only its key can tell more."""
    try:
        length = len(urlsafe_b64decode(token))
    except ValueError:
        return False
    return length >= _LEAST_TOKEN and (length - _LEAST_TOKEN) % _BLOCK == 0


def _pack(body: bytes) -> bytes:
    """Compress a text if that makes it shorter."""
    if len(body) < LEAST_COMPRESSED:
        return body
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
    packed = packer.compress(body) + packer.flush()
    return packed if len(packed) < len(body) else body


def _unpack(packed: bytes) -> bytes:
    """What was packed.

    Raises:
        ValueError: it is damaged, or would expand to more than we ever seal.
    """
    if packed.startswith(b"["):
        return packed
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(packed, MAX_OPENED)
    except zlib.error as error:
        raise ValueError("not compressed by zlib") from error
    if not unpacker.eof:
        raise ValueError("incomplete, or too large when decompressed")
    return body
