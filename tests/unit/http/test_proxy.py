"""Proxies by the rules of Go's net/http."""

import pytest

from uploadpp.http.proxy import ProxyError, proxy_to

SERVER = "https://api.example.com:6443"


@pytest.mark.parametrize(
    ("server", "exceptions", "used"),
    [
        ("https://10.1.2.3:6443", "", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "192.168.0.0/16, 10.0.0.0/8", False),
        ("https://11.1.2.3:6443", "10.0.0.0/8", True),
        ("https://10.1.2.3:6443", "10.0.0.0/255.0.0.0", True),
        ("https://10.1.2.3:6443", "10.1.2.3", False),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", False),
        ("https://10.1.2.3:6443", "10.1.2.3:443", True),
        ("https://10.1.2.3", "10.1.2.3:443", False),
        ("https://[fd00::1]:6443", "fd00::/8", False),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", False),
        ("https://[fd00::1]:6443", "fd00::1", False),
        ("https://[fd00::1]:6443", "[fd00::1]", True),
        ("https://10.1.2.3:6443", "1.2.3", True),
        ("https://10.1.2.3:6443", "::ffff:10.1.2.0/120", False),
        ("https://[::ffff:10.1.2.3]:6443", "::/0", True),
        ("https://[::ffff:10.1.2.3]:6443", "10.0.0.0/8", False),
        ("https://[fe00::1]:6443", "fd00::/8", True),
        ("https://[::ffff:10.0.0.1]", "10.0.0.1", False),
        (SERVER, "example.com", False),
        (SERVER, ".example.com", False),
        (SERVER, "*.example.com", False),
        (SERVER, "EXAMPLE.com ", False),
        (SERVER, "ample.com", True),
        (SERVER, "example.com:6443", False),
        (SERVER, "example.com:443", True),
        ("https://example.com", ".example.com", True),
        ("https://example.com", "example.com", False),
        (SERVER, "*", False),
        (SERVER, " , *", False),
        (SERVER, "api.example.com.evil,,", True),
        (SERVER, "example.com/24,:6443,[", True),
        ("https://b\u00fccher.test:6443", "b\u00fccher.test", False),
        ("https://b\u00fccher.test:6443", "xn--bcher-kva.test", False),
        ("https://xn--bcher-kva.test:6443", "b\u00fccher.test", False),
        ("https://a.b\u00fccher.test:6443", ".b\u00fccher.test", False),
        ("https://a.b\u00fccher.test:6443", "*.b\u00fccher.test", False),
        ("https://a.xn--bcher-kva.test:6443", ".b\u00fccher.test:6443", False),
        ("https://b\u00fccher.test:6443", ".b\u00fccher.test", True),
        ("https://xn--strae-oqa.test:6443", "stra\u00dfe.test", False),
        ("https://b\u00fccher.test:6443", "..,.\u00fc..x," + "\u00fc" * 70, True),
        ("https://localhost:6443", "", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://127.9.9.9", "", False),
        ("https://[::1]:6443", "", False),
    ],
)
def test_which_servers_need_no_proxy(server: str, exceptions: str, *, used: bool) -> None:
    for spelt in (str.upper, str.lower):
        found = proxy_to(
            server, "", {spelt("HTTPS_PROXY"): "http://proxy:3128", spelt("NO_PROXY"): exceptions}
        )
        assert (str(found.url) if found else "") == ("http://proxy:3128" if used else "")


@pytest.mark.parametrize(
    ("server", "environment", "proxy"),
    [
        (SERVER, {"HTTP_PROXY": "http://a:1"}, ""),
        (SERVER, {"ALL_PROXY": "http://a:1"}, ""),
        (SERVER, {"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, "http://a:1"),
        (SERVER, {"HTTPS_PROXY": "", "https_proxy": "http://b:1"}, "http://b:1"),
        (SERVER, {"HTTPS_PROXY": "a:3128"}, "http://a:3128"),
        (SERVER, {"HTTPS_PROXY": "https://a"}, "https://a"),
        ("http://api.example.com", {"HTTP_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "http://a:1"),
        ("http://api.example.com", {"HTTP_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, ""),
    ],
)
def test_which_variable_counts(server: str, environment: dict[str, str], proxy: str) -> None:
    found = proxy_to(server, "", environment)
    assert (str(found.url).rstrip("/") if found else "") == proxy


def test_the_proxy_of_a_kubeconfig_always_counts() -> None:
    found = proxy_to("https://10.0.0.1", "http://own:1", {"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"})
    assert found is not None
    assert str(found.url) == "http://own:1"


def test_a_password_is_sent_and_never_shown() -> None:
    found = proxy_to(SERVER, "", {"HTTPS_PROXY": "http://mary:s3cr%40t%2F@proxy:3128"})
    assert found is not None
    assert found.connect_headers == {"Proxy-Authorization": "Basic bWFyeTpzM2NyQHQv"}
    assert found.request_headers == {}
    assert "s3cr" not in f"{found!r} {found.url}"


def test_without_tls_each_request_has_the_password_because_there_is_no_tunnel() -> None:
    for by, variable in (("", "http://mary:s3cret@proxy:3128"), ("http://mary:s3cret@proxy:3128", "")):
        found = proxy_to("http://api.example.com", by, {"HTTP_PROXY": variable})
        assert found is not None
        assert found.connect_headers == {}
        assert found.request_headers == {"Proxy-Authorization": "Basic bWFyeTpzM2NyZXQ="}


@pytest.mark.parametrize(
    "address",
    [
        "socks5://p4ss:w0rd@a:1",
        "ftp://u:w0rd@a",
        "http://u:w0rd@a:99999",
        "http://u:w0rd@pro xy:3128",
        "http://u:w0rd@pro\0xy:3128",
        "http://u:w0rd@a..b:3128",
        f"http://u:w0rd@{'x' * 70}:3128",
        "http://u:w0rd\udcff@proxy:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(address: str) -> None:
    with pytest.raises(ProxyError, match="HTTPS_PROXY") as caught:
        proxy_to(SERVER, "", {"HTTPS_PROXY": address})
    assert "w0rd" not in str(caught.value)
