"""Addresses to listen on mean what they mean to services in Go."""

import socket
from contextlib import closing

import pytest

from uploadpp.process.listening import explain, listen, split_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        (":9255", ("", 9255)),
        ("0.0.0.0:9255", ("0.0.0.0", 9255)),  # noqa: S104 -- read only
        ("[::]:9255", ("::", 9255)),
        ("[::1]:0", ("::1", 0)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("[127.0.0.1]:9255", ("127.0.0.1", 9255)),
        ("localhost:65535", ("localhost", 65535)),
        (":http", ("", 80)),
        (":00000000080", ("", 80)),
    ],
)
def test_an_address_is_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("9255", "is only a port; write :9255"),
        ("", "has no port"),
        ("localhost", "has no port"),
        ("tcp://0.0.0.0:9255", "is a URL"),
        ("http://:9255", "is a URL"),
        ("localhost:", "not a number"),
        ("[::1]", "brackets"),
        ("::1:9255", "brackets"),
        ("::", "brackets|not a number"),
        ("[::1:9255", "brackets"),
        ("::1]:9255", "brackets"),
        ("[[::1]]:9255", "is not an address"),
        ("http://localhost:9255", "is a URL"),
        ("localhost:9255/", "not a number"),
        (":65536", "above 65535"),
        (":00000065536", "above 65535"),
        (":" + "9" * 5000, "above 65535"),
        (":-1", "not a number"),
        (":٩", "not a number"),
        ("a b:1", "is not an address"),
        ("a\n:1", "is not an address"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        split_address(address)


@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_without_a_host_all_families_are_served(address: str) -> None:
    (server,) = listen(address)
    with closing(server):
        port = server.getsockname()[1]
        hosts = ["127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() and has_loopback() else [])]
        for host in hosts:
            socket.create_connection((host, port), timeout=10).close()


def has_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_without_ipv6_it_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    (server,) = listen(":0")
    with closing(server):
        assert server.family == socket.AF_INET


def test_a_family_that_is_absent_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name localhost has two addresses in most containers, of which one may not be there."""
    absent = ("2001:db8::1", 0, 0, 0)
    places = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", absent),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    servers = listen("localhost:0")
    assert [server.family for server in servers] == [socket.AF_INET]
    for server in servers:
        server.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places[:1])
    with pytest.raises(OSError):  # noqa: PT011 -- the words are the system's
        listen("localhost:0")


def test_an_address_in_use_is_an_error_and_leaves_nothing_open() -> None:
    (server,) = listen("127.0.0.1:0")
    with closing(server), pytest.raises(OSError, match="in use"):
        listen(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    ("address", "why", "remedy"),
    [
        ("192.0.2.1:0", "Cannot assign requested address", "choose an address of this machine"),
        ("nowhere.invalid:0", "unknown host", "omit it, as in :9255"),
        ("busy", "Address already in use", "stop the process that listens there"),
    ],
)
def test_an_address_that_cannot_be_used_is_said_with_the_remedy(address: str, why: str, remedy: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        taken = f"127.0.0.1:{busy.getsockname()[1]}"
        with pytest.raises(OSError, match=r"^.") as error:
            listen(taken if address == "busy" else address)
    assert why in explain(error.value)
    assert remedy in explain(error.value)
    assert "attempting" not in explain(error.value)


def test_an_ipv4_address_in_the_form_of_ipv6_is_served() -> None:
    """As in Go; the kernel refuses it on a socket for IPv6 only."""
    (found,) = listen("[::ffff:127.0.0.1]:0")
    with closing(found):
        assert found.getsockname()[0] == "127.0.0.1"
