"""Addresses of NATS: read once, and shown as host:port only. They may hold a user, a password or a token."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from uploadpp.http.hosts import is_encodable

DEFAULT_PORT = 4222
SCHEMES = ("nats", "tls", "tcp")
"""tcp is an old word for nats, which clients in Go still take."""
_HOST = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._%-]+)?\]|[A-Za-z0-9._-]+")
_PORT = re.compile(r":([0-9]*)", re.ASCII)
_PLACE = "write host:port, such as nats:9233"
_ODD = {
    " \t\r\n": "contains a space or a line break; separate addresses with commas",
    ";": "contains a semicolon; separate addresses with commas",
    "\"'": "contains a quotation mark; write it without quotation marks",
}
"""Characters that people use as separators, and quotes that a shell would have removed."""


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
        """The address as a person may see it."""
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
        raise ValueError("its scheme must be nats or tls, as in nats://host:4222")
    login, at, place = rest.rpartition("@")
    host, port = _split(place)
    user, colon, password = login.partition(":")
    if at and not user:
        raise ValueError("has no user or token in front of its @")
    return Address(
        host,
        port,
        scheme.lower() == "tls",
        user=unquote(user) if colon else "",
        password=unquote(password),
        token="" if colon else unquote(user),
    )


def _split(place: str) -> tuple[str, int]:
    """Host and port, read as clients in Go read them: without a port, or with an empty one, it is 4222.

    Raises:
        ValueError: it is not that, and what to write.
    """
    for odd, text in _ODD.items():
        if any(char in odd for char in place):
            raise ValueError(text)
    place = place.removesuffix("/")
    if any(char in place for char in "/?#"):
        raise ValueError(f"has text after its port; {_PLACE}")
    if ("[" in place) != ("]" in place):
        raise ValueError("has only one bracket; an IPv6 address is written as in [::1]:4222")
    if not place.startswith("[") and place.count(":") > 1:
        raise ValueError("has several colons; an IPv6 address is written in brackets, as in [::1]:4222")
    if not place or place.startswith(":"):
        raise ValueError(f"names no host; {_PLACE}")
    host = _HOST.match(place)
    rest = place[host.end() :] if host else ""
    if host is None or (rest and not rest.startswith(":")):
        raise ValueError(f"is not host:port; {_PLACE}")
    if not host[0].startswith("[") and not is_encodable(host[0]):
        raise ValueError("names a host that cannot be: between dots stand 1 to 63 characters")
    port = _PORT.fullmatch(rest or ":")
    if port is None:
        raise ValueError(f"has a port that is not a number; {_PLACE}")
    number = int(port[1][:6] or DEFAULT_PORT)
    if not 0 < number < 65536:  # noqa: PLR2004 -- ports have 16 bits
        raise ValueError("has a port that is not between 1 and 65535")
    return host[0], number


def check_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses that a person has given.

    Raises:
        ValueError: which of them is none.
    """
    for number, each in enumerate(value, start=1):
        if not each:
            raise ValueError("must list NATS addresses such as nats:9233, without empty entries")
        try:
            parse_address(each)
        except ValueError as error:
            # A password with a comma looks like two addresses, and only the second one has the @.
            torn = "@" not in each and any("@" in other for other in value[number:])
            hint = " (a comma inside a password is written %2C)" if torn else ""
            raise ValueError(f"address {number} of {len(value)}: {error}{hint}") from None
    return value
