"""Chooses the proxy for a server, by the rules of Go's net/http, as kubectl and the services of ocis do.

For the API server, `proxy-url` of the kubeconfig always counts. Otherwise HTTPS_PROXY or HTTP_PROXY do,
unless NO_PROXY names the server: by address, range of addresses, domain, or any of those with a port.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

import aiohttp
from yarl import URL

from uploadpp.http.hosts import is_encodable

Address = IPv4Address | IPv6Address
SUPPORTED = ("http", "https")
PORTS = {"http": "80", "https": "443"}


class ProxyError(ValueError):
    """A proxy that cannot be used; the text names the setting and the remedy, and not the proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, without the password that its address may hold."""

    url: URL
    connect_headers: dict[str, str] = field(repr=False)
    """Of the request that opens a tunnel; empty for a server without TLS, to which there is none."""
    request_headers: dict[str, str] = field(repr=False)
    """Of each request for a server without TLS, which the proxy reads itself."""


def proxy_to(server: str, proxy_url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy to a server; None when there is none.

    Raises:
        ProxyError: it is of a kind that is not supported.
    """
    if proxy_url:
        return _parsed(proxy_url, "proxy-url of the kubeconfig", urlsplit(server).scheme)
    asked = urlsplit(server)
    name = f"{asked.scheme}_proxy".upper()
    if name == "HTTP_PROXY" and environment.get("REQUEST_METHOD"):
        return None  # a CGI program's HTTP_PROXY comes from the request
    value = environment.get(name) or environment.get(name.lower())
    if not value:
        return None
    port = str(asked.port) if asked.port else PORTS.get(asked.scheme, "")
    exceptions = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if is_excepted(asked.hostname or "", port, exceptions):
        return None
    return _parsed(value, name, asked.scheme)


def _parsed(value: str, source: str, scheme: str) -> Proxy:
    wrong = ProxyError(f"{source}: is not the address of a proxy; use one such as http://proxy:3128")
    try:
        found = urlsplit(value if _has_host(value) else f"http://{value}")
        host, port = found.hostname or "", found.port
    except ValueError:
        raise wrong from None
    if not is_encodable(host) or not host:
        raise wrong
    if found.scheme not in SUPPORTED:
        kinds = " or ".join(f"{kind}://" for kind in SUPPORTED)
        raise ProxyError(f"{source}: a proxy must begin with {kinds}, not {found.scheme}://")
    headers = {}
    try:
        url = URL.build(scheme=found.scheme, host=host, port=port)
        if found.username or found.password:
            user, password = unquote(found.username or ""), unquote(found.password or "")
            headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(user, password)
    except ValueError:
        raise wrong from None
    in_requests = scheme == "http"
    return Proxy(
        url,
        connect_headers={} if in_requests else headers,
        request_headers=headers if in_requests else {},
    )


def _has_host(value: str) -> bool:
    return "://" in value and bool(urlsplit(value).hostname)


def is_excepted(host: str, port: str, exceptions: str) -> bool:
    """Whether a server is reached without a proxy. This computer never needs one."""
    host = _ascii(host.strip().lower())
    if is_this_computer(host):
        return True
    address = _address(host)
    for term in (part.strip().lower() for part in exceptions.split(",")):
        if term == "*" or (term and _matches(term, host, port, address)):
            return True
    return False


def is_this_computer(host: str) -> bool:
    """Whether a host in lower case is reached without a network."""
    address = _address(host)
    return host == "localhost" or (address is not None and _plain(address).is_loopback)


def _matches(term: str, host: str, port: str, address: Address | None) -> bool:
    if "/" in term:
        return address is not None and _in_range(address, term)
    named, wanted = _split(term)
    if not named or (wanted and wanted != port):
        return False
    other = _address(named)
    if other is not None:
        return address is not None and _plain(other) == _plain(address)
    if address is not None:
        return False  # 1.2.3 is not a domain of 10.1.2.3
    named = _ascii(named.removeprefix("*") if named.startswith("*.") else named)
    if named.startswith("."):
        return host.endswith(named)
    return host == named or host.endswith(f".{named}")


def _in_range(address: Address, term: str) -> bool:
    if not term.rpartition("/")[2].isdecimal():
        return False  # Go knows no 10.0.0.0/255.0.0.0
    try:
        network = ip_network(term, strict=False)
        if isinstance(network.network_address, IPv6Address) and network.network_address.ipv4_mapped:
            network = ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    except ValueError:
        return False
    plain = _plain(address)
    return plain.version == network.version and plain in network


def _split(term: str) -> tuple[str, str]:
    """Host and port of an exception; the port is empty where none is named. Brackets need one."""
    if term.startswith("["):
        host, colon, port = term[1:].partition("]:")
        return (host, port) if colon else ("", "")
    if term.count(":") == 1:
        host, _, port = term.partition(":")
        return host, port
    return term, ""


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """Go takes ::ffff:10.0.0.1 for 10.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _ascii(name: str) -> str:
    """A name in the form in which it is looked up. A dot before it stays as it is."""
    if name.isascii():
        return name
    dot = "." if name.startswith(".") else ""
    try:
        return dot + (URL.build(scheme="http", host=name.removeprefix(".")).raw_host or "")
    except ValueError:
        return name
