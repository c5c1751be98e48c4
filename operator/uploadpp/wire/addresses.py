"""Addresses of NATS: read once, and shown as host:port only. They may hold a user, a password or a token."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

DEFAULT_PORT = 4222
SCHEMES = ("nats", "tls", "tcp")
"""tcp is an old word for nats, which clients in Go still take."""
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?")


@dataclass(frozen=True, slots=True)
class Address:
    """One server."""

    host: str
    port: int
    tls: bool = False
    user: str = field(repr=False, default="")
    password: str = field(repr=False, default="")
    token: str = field(repr=False, default="")

    @property
    def shown(self) -> str:
        """What a person may read."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """What the client is given: nothing secret."""
        return f"{'tls' if self.tls else 'nats'}://{self.shown}"


def parse_address(text: str) -> Address:
    """An address such as nats:9233, tls://host:4222 or nats://user:password@host:4222.

    What stands before the last `@` is the login, in which %40 and the like are decoded, as in Go.

    Raises:
        ValueError: it is none. The text never quotes it, because a password may be in it.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "nats", text.strip()
    if scheme.lower() not in SCHEMES:
        raise ValueError("its scheme must be nats or tls")
    login, at, place = rest.rpartition("@")
    match = _HOST_PORT.fullmatch(place)
    if match is None:
        raise ValueError("is not host:port (a comma inside a password is written %2C)")
    port = int(match[2]) if match[2] else DEFAULT_PORT
    if not 0 < port < 65536:  # noqa: PLR2004 -- ports have 16 bits
        raise ValueError("its port is not between 1 and 65535")
    user, colon, password = login.partition(":")
    if at and not user:
        raise ValueError("has nothing in front of the @")
    return Address(
        match[1],
        port,
        scheme.lower() == "tls",
        user=unquote(user) if colon else "",
        password=unquote(password),
        token="" if colon else unquote(user),
    )


def check_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses that a person has given.

    Raises:
        ValueError: which of them is none.
    """
    for number, each in enumerate(value, start=1):
        if not each:
            raise ValueError("needs addresses of NATS such as nats:9233, without empty ones")
        try:
            parse_address(each)
        except ValueError as error:
            raise ValueError(f"address {number} of {len(value)}: {error}") from None
    return value
