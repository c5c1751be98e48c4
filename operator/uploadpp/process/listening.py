"""Addresses to listen on, read as services in Go read them: `:9255`, `[::]:9255`, `localhost:9255`."""

import contextlib
import errno
import ipaddress
import socket

BACKLOG = 4096
"""Maximum backlog of connections; the kernel may allow fewer. A probe beyond it fails."""
LAST_PORT = 65_535
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
"""Errors that mean that this machine has no such address family or address."""

_REMEDIES = {
    errno.EADDRINUSE: "stop the process that listens there, or choose another port",
    errno.EACCES: "choose port 1024 or higher",
    **dict.fromkeys(
        _NOT_HERE, "choose an address of this machine, or omit it, as in :9255, to listen on all addresses"
    ),
}


def explain(error: Exception) -> str:
    """Why an address cannot be listened on, and what to do about it."""
    if not isinstance(error, OSError):
        return str(error)
    if isinstance(error, socket.gaierror):
        return f"unknown host ({error.strerror}); use an IP address, or omit it, as in :9255"
    why = error.strerror.partition(" (")[0] if error.strerror else str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{why}; {remedy}" if remedy else why


def split_address(address: str) -> tuple[str, int]:
    """Host and port; the host is empty for all addresses, and in brackets when it holds colons.

    Raises:
        ValueError: it is not host:port.
    """
    if "://" in address:
        raise ValueError("is a URL; an address such as :9255 or 127.0.0.1:9255 is needed")
    host, colon, port = address.rpartition(":")
    if not colon:
        if _is_port(address):
            raise ValueError(f"is only a port; write :{address} to listen on all addresses")
        raise ValueError("has no port; an address such as :9255 or 127.0.0.1:9255 is needed")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("holds an IPv6 address, which must be in brackets, as in [::1]:9255")
    if any(char in host for char in "[]/@ ") or not host.isprintable():
        raise ValueError("is not an address such as :9255, 127.0.0.1:9255 or [::1]:9255")
    return host, _port(port)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _port(text: str) -> int:
    if _is_port(text):
        number = int(text.lstrip("0")[:6] or "0")
        if number > LAST_PORT:
            raise ValueError(f"has a port above {LAST_PORT}")
        return number
    with contextlib.suppress(OSError, ValueError):
        return socket.getservbyname(text, "tcp")
    raise ValueError("has a port that is not a number; an address such as :9255 is needed")


def listen(address: str) -> list[socket.socket]:
    """Sockets that listen there.

    Without a host, and on `[::]`, it is one for IPv4 and IPv6 together, as far as the machine has them.

    Raises:
        OSError: nothing of it can be listened on.
    """
    host, port = split_address(address)
    host = _without_prefix(host)
    if host in {"", "::"}:
        return [_listen_everywhere(port)]
    found: list[socket.socket] = []
    failed: OSError | None = None
    for family, _, _, _, place in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        try:
            # Port 0 is any port, but the same one for each address of a name.
            wanted = (place[0], found[0].getsockname()[1] if found else place[1], *place[2:])
            found.append(socket.create_server(wanted, family=family, backlog=BACKLOG))
        except OSError as error:
            failed = failed or error
            if error.errno not in _NOT_HERE:
                for each in found:
                    each.close()
                raise
    if not found:
        raise failed or OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    return found


def _without_prefix(host: str) -> str:
    """To Go, [::ffff:127.0.0.1] is 127.0.0.1; no kernel listens there for IPv6 only."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(plain or host)


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104 -- asked for
