"""Addresses of NATS: a password in one is never shown, whatever characters it has."""

import logging

import pytest

from uploadpp.process.configuration import ConfigurationError, read_settings
from uploadpp.process.settings import Settings
from uploadpp.wire.addresses import Address, parse_address
from uploadpp.wire.connection import NatsOptions


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("nats:9233", Address("nats", 9233)),
        ("tcp://nats:9233", Address("nats", 9233)),
        ("host", Address("host", 4222)),
        ("TLS://host:1/", Address("host", 1, tls=True)),
        ("[::1]:4222", Address("[::1]", 4222)),
        ("nats://me:pw@host:1", Address("host", 1, user="me", password="pw")),
        ("nats://me:p@ss@host:1", Address("host", 1, user="me", password="p@ss")),
        ("nats://me:p/ss@host:1", Address("host", 1, user="me", password="p/ss")),
        ("nats://me:p#s?s:x@host:1", Address("host", 1, user="me", password="p#s?s:x")),
        ("me:p%40s%2Fs%2Cx@host:1", Address("host", 1, user="me", password="p@s/s,x")),
        ("nats://s3cr%20t@host:1", Address("host", 1, token="s3cr t")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert address.url.endswith(f"://{address.host}:{address.port}")
    for secret in filter(None, (address.password, address.token)):
        assert secret not in repr(address)
        assert secret not in address.shown


@pytest.mark.parametrize(
    "text",
    [
        "nats://me:hunter2@host:port",
        "nats://me:hunter2@host:99999",
        "nats://me:hunter2@ho st:1",
        "nats://me:hunter2@",
        "ws://me:hunter2@host:1",
        "nats://me:hunter2,x@host:1",
        "nats://me:hunter2",
        "nats://me:hunter2@host:1/path",
        "nats://me:hunter2@host:1#x",
        "nats://:hunter2@host:1",
        "nats://me:hunter2@host\x1b[31m:1",
    ],
)
def test_what_is_no_address_is_not_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings({}, {"POSTPROCESSING_EVENTS_ENDPOINT": text})
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith("POSTPROCESSING_EVENTS_ENDPOINT: ")
    chain = caught.value.__cause__
    assert chain is None, "a traceback would show it"


def test_settings_and_options_do_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    settings = read_settings({}, {"OC_EVENTS_ENDPOINT": "a:1,nats://me:hunter2@b:2"})
    options = NatsOptions(servers=settings.events_endpoint)
    assert options.shown == "a:1,b:2"
    logging.getLogger("x").warning("%r %r %s", settings, options, options.shown)
    assert "hunter2" not in caplog.text
    assert isinstance(settings, Settings)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (NatsOptions(servers=("nats://a:1",)), False),
        (NatsOptions(servers=("nats://a:1",), tls=True), True),
        (NatsOptions(servers=("nats://a:1", "tls://b:1")), True),
        (NatsOptions(servers=("a:1",), tls_ca_file="ca.pem"), True),
        (NatsOptions(servers=("a:1",), tls_cert_file="cert.pem"), True),
        (NatsOptions(servers=("a:1",), tls_handshake_first=True), True),
        (NatsOptions(servers=("a:1",), tls_insecure=True), False),
    ],
)
def test_when_tls_is_asked_for(options: NatsOptions, *, wanted: bool) -> None:
    assert options.wants_tls is wanted
