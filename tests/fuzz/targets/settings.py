"""The operator's settings: lines of NAME=VALUE, as variables or as flags (`--name=value`)."""

from contextlib import suppress
from typing import Any

from tests.fuzz.target import Target
from uploadpp.process.configuration import ConfigurationError, flag_of, read_settings, variables_of
from uploadpp.process.durations import format_duration, parse_duration
from uploadpp.process.listening import split_address
from uploadpp.process.operator_config import core_config, notes
from uploadpp.process.setting_types import read_boolean, read_collector, read_integer, read_list, read_steps
from uploadpp.process.settings import Settings
from uploadpp.storage.sources import SourceError, read_sources, read_url
from uploadpp.wire.addresses import Address, parse_address

FLAGS = {flag_of(name): name for name in Settings.model_fields}
LAST_PORT = 65_535


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    environment: dict[str, str] = {}
    flags: dict[str, Any] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        name, _, value = line.partition("=")
        value = value.replace("\0", "")  # nothing can hand over one
        if name in FLAGS:
            flags[FLAGS[name]] = [value] if "allowed" in name else value
        elif name:
            environment[name] = value
        check_value(value)
    check_settings(flags, environment)


def check_settings(flags: dict[str, Any], environment: dict[str, str]) -> None:
    """They are read, or a text says which of them cannot be."""
    try:
        settings = read_settings(flags, environment)
        config = core_config(settings)
    except ConfigurationError as error:
        said = str(error)
        assert said
        assert said.replace("\n", "").isprintable(), said
        assert len(said) < 1000 * (len(flags) + len(environment))
        return
    assert read_settings(flags, environment) == settings
    assert core_config(settings) == config
    assert all(note.isprintable() for note in notes(settings, environment))
    split_address(settings.debug_addr)
    for each in settings.events_endpoint:
        check_address(each)


def check_value(value: str) -> None:
    """Each kind of value says what it is not, and nothing else."""
    for reader in (read_boolean, read_integer, read_list, read_steps, read_sources, read_collector):
        with suppress(ValueError):
            assert reader(value) == reader(value)
    check_duration(value)
    check_address(value)
    with suppress(ValueError):
        host, port = split_address(value)
        assert 0 <= port <= LAST_PORT
        assert host.isprintable()
    with suppress(SourceError):
        url = read_url(value)
        assert read_url(str(url)) == url
    with suppress(ValueError):
        assert read_collector(read_collector(value)) == read_collector(value)


def check_duration(value: str) -> None:
    """A duration is written as one that means the same."""
    try:
        milliseconds = parse_duration(value)
    except ValueError:
        return
    assert 0 <= milliseconds < 2**63
    assert parse_duration(format_duration(milliseconds)) == milliseconds


def check_address(value: str) -> None:
    """What is said of an address of NATS has no secret in it."""
    try:
        address = parse_address(value)
    except ValueError as error:
        said = str(error)
    else:
        check_shown(address)
        return
    assert len(value) < 20 or value not in said


def check_shown(address: Address) -> None:
    """An address is shown without its login."""
    assert 0 < address.port <= LAST_PORT
    again = parse_address(address.url)
    assert (again.host, again.port, again.tls) == (address.host, address.port, address.tls)
    assert address.url.isprintable()
    assert not again.password
    assert not again.token


TARGET = Target(
    check,
    longest=3000,
    words=(
        *(f"{name}=" for each in Settings.model_fields for name in variables_of(each)),
        *(f"{flag}=" for flag in FLAGS),
        "1h30m", "ms", "nats://", "tls://", "[::1]", ":9255", '{"a":{', "maxInFlight", "0x", "user:pw@",
    ),
)  # fmt: skip
