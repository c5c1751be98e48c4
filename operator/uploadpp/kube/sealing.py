"""Sealing: URL, users and trace of an upload as one encrypted string (architecture 5).

Fernet with rotation: the first key seals, every key opens. Nothing in here is logged.
"""

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

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
)
_OPTIONAL = 1
"""How many of the last are left out when they say nothing, as in what older versions have sealed."""


class SealError(Exception):
    """The sealed part of a resource cannot be opened with any key we have."""


class Sealer:
    """Seals and opens origins with the keys of one installation."""

    def __init__(self, keys: list[str]) -> None:
        """Take the keys, the current one first.

        Raises:
            ValueError: there is none, or one is no Fernet key.
        """
        if not keys:
            raise ValueError("no sealing key")
        self._fernet = MultiFernet([Fernet(key.encode()) for key in keys])

    def seal(self, origin: Origin) -> str:
        """Encrypt an origin."""
        names = _FIELDS[:-_OPTIONAL] if origin.announced_at is None else _FIELDS
        values = [getattr(origin, name) for name in names]
        body = orjson.dumps([origin.url_received_at, origin.url_expires_at, *values])
        return self._fernet.encrypt(body).decode()

    def open(self, sealed: str) -> Origin:
        """Decrypt an origin.

        Raises:
            SealError: wrong key or damaged text.
        """
        try:
            received, expires, *values = orjson.loads(self._fernet.decrypt(sealed.encode()))
        except (InvalidToken, ValueError) as error:
            raise SealError("spec.sealed cannot be opened with the configured sealing keys") from error
        return Origin(
            url_received_at=Millis(received),
            url_expires_at=expires,
            **dict(zip(_FIELDS[: max(len(values), len(_FIELDS) - _OPTIONAL)], values, strict=True)),
        )
