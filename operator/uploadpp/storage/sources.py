"""Where files may be downloaded from: URL prefixes, compared after both sides were parsed alike.

URLs are read by yarl, which is also what the HTTP client connects by: two readers would not always
agree about where a URL leads.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from yarl import URL

SCHEMES = {"http", "https"}
MAX_DECODINGS = 8
UNREADABLE = (ValueError, TypeError, LookupError)
"""What yarl raises about a text that is not a URL; the last one for brackets in the wrong order."""


class SourceError(ValueError):
    """A URL that must not be used. The text does not contain it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Scheme, host, port and the beginning of the path."""

    scheme: str
    host: str
    port: int
    path: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Source":
        """A prefix such as `https://storage.example.org:9200/data/`.

        Raises:
            ValueError: it is not one; the text says why.
        """
        example = "such as https://storage.example.org:9200/data/"
        if ";" in text or len(text.split()) > 1:
            raise ValueError(f"{text!r} is not a prefix of URLs {example}: commas separate several of them")
        try:
            url = read_url(text.strip())
        except SourceError as error:
            raise ValueError(f"{text!r} is not a prefix of URLs {example}: {error}") from None
        if url.raw_query_string or url.raw_fragment:
            raise ValueError(f"{text!r} is not a prefix of URLs {example}: it has a query or a fragment")
        if "*" in (url.host or ""):
            raise ValueError(f"{text!r} is not a prefix of URLs {example}: a star is not the name of a host")
        return cls.of(url)

    @classmethod
    def of(cls, url: URL) -> "Source":
        """Where a URL leads.

        Raises:
            SourceError: its path can be read in more than one way.
        """
        return cls(url.scheme, _host(url), url.port or 0, _segments(url))

    def allows(self, other: "Source") -> bool:
        """Whether a URL begins like this. Whole segments count: /data is not the beginning of /database."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same and self.path == other.path[: len(self.path)]


def read_url(text: str) -> URL:
    """A URL that can be downloaded from.

    Raises:
        SourceError: it is none.
    """
    if "\\" in text or not text.isprintable() or " " in text:
        raise SourceError("it has characters that no URL has")
    try:
        url = URL(text)
        port = url.port
    except UNREADABLE:
        raise SourceError("it cannot be read") from None
    if url.scheme not in SCHEMES:
        raise SourceError("it is neither http nor https")
    if not url.raw_host or not port:
        raise SourceError("it has no host, or no port that can be used")
    if url.raw_user is not None or url.raw_password is not None:
        raise SourceError("it has a user or a password")
    return url


def check_source(url: URL, sources: Sequence[Source]) -> None:
    """Check where a URL leads; without sources everywhere is allowed.

    Raises:
        SourceError: not to where it may.
    """
    if not sources:
        return
    target = Source.of(url)
    if not any(source.allows(target) for source in sources):
        raise SourceError("it is not among those that are allowed")


def redirected(url: URL, location: str) -> URL:
    """Where a redirect leads; the caller checks whether it may.

    Raises:
        SourceError: nowhere, or out of TLS.
    """
    try:
        joined = str(url.join(URL(location)))
    except UNREADABLE:
        raise SourceError("it cannot be read") from None
    target = read_url(joined)
    if url.scheme == "https" and target.scheme != "https":
        raise SourceError("it leads from https to http")
    return target


def read_sources(value: object) -> object:
    """Prefixes of URLs between commas, or several such texts."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    words = [word for item in value for word in (item.split(",") if isinstance(item, str) else [item])]
    found = tuple(
        Source.parse(word) if isinstance(word, str) else word
        for word in words
        if not isinstance(word, str) or word.strip()
    )
    if not found and any(value):  # everywhere would be allowed
        raise ValueError("has commas and no prefix; name one, or leave it empty to allow every address")
    return found


def _host(url: URL) -> str:
    host = (url.raw_host or "").casefold()
    try:
        return ipaddress.ip_address(host.partition("%")[0]).compressed
    except ValueError:
        return host


def _segments(url: URL) -> tuple[str, ...]:
    """The path in its parts; a slash at its end makes no difference."""
    path = url.raw_path
    for _ in range(MAX_DECODINGS):
        if (decoded := unquote(path)) == path:
            break
        if decoded.count("/") != path.count("/") or "\\" in decoded:
            raise SourceError("its path has an encoded slash")
        path = decoded
    else:
        raise SourceError("its path is encoded too often")
    parts = path.removeprefix("/").split("/")
    if not parts[-1]:
        parts.pop()
    if "." in parts or ".." in parts or "" in parts:
        raise SourceError("its path has dots or empty parts")
    return tuple(parts)
