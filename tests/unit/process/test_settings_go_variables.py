"""Our variables against what the Go sources of the legacy service make of them.

The column "Go" was printed by the decoder of the service itself, `pkg/config/envdecode` of OpenCloud at
ebba8614 (13 February 2025) with the `Config` of its `services/postprocessing`, compiled with Go 1.26.8. The
decoder of OpenCloud in 2026 (98db9655) differs only in fields that are marked `,file`, of which this service
has none. ocis 5 and later have the same decoder. ocis 2 split lists at semicolons, as comments of the decoder
still say. Addresses were given to nats.go 1.38.0 as the event stream gives them, split at each comma.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from uploadpp.process.configuration import ConfigurationError, nats_options, read_settings
from uploadpp.process.operator_config import core_config
from uploadpp.process.settings import Settings
from uploadpp.wire.addresses import parse_address


@dataclass(frozen=True)
class Refused:
    """The start ends with words that name the variable and what to write."""

    words: str


SECOND = 1000
SAME = object()
"""We make of it what Go makes of it."""
COMMAS = Refused("separate steps with commas, as in virusscan,policies")
NAMES = Refused("contains quotation marks or brackets; write only names")
NONE = Refused("has commas and names no step; name one, or leave it empty to have no steps")
EMPTY = Refused("has an empty name between its commas; remove the comma, or name the step")
UNIT = Refused("is not a duration such as 5s or 1h30m")
SWITCH = Refused("is not a boolean; use true or false")
NUMBER = Refused("valid integer")

TABLE: list[tuple[str, str, Any, Any]] = [
    # variable, value, Go, we
    ("POSTPROCESSING_STEPS", "virusscan,policies", ["virusscan", "policies"], SAME),
    ("POSTPROCESSING_STEPS", " virusscan , policies ", ["virusscan", "policies"], SAME),
    ("POSTPROCESSING_STEPS", "virusscan,", ["virusscan"], SAME),
    ("POSTPROCESSING_STEPS", "", [], SAME),
    ("POSTPROCESSING_STEPS", " ", [""], []),
    ("POSTPROCESSING_STEPS", "VirusScan", ["VirusScan"], SAME),
    ("POSTPROCESSING_STEPS", "my.step_1-b", ["my.step_1-b"], SAME),
    ("POSTPROCESSING_STEPS", "virusscan;policies", ["virusscan;policies"], COMMAS),
    ("POSTPROCESSING_STEPS", "virusscan; policies", ["virusscan; policies"], COMMAS),
    ("POSTPROCESSING_STEPS", "virusscan\uff0cpolicies", ["virusscan\uff0cpolicies"], COMMAS),
    ("POSTPROCESSING_STEPS", "virusscan policies", ["virusscan policies"], COMMAS),
    ("POSTPROCESSING_STEPS", "virusscan\npolicies\n", ["virusscan\npolicies"], COMMAS),
    ("POSTPROCESSING_STEPS", "virus\u00a0scan", ["virus\u00a0scan"], COMMAS),
    ("POSTPROCESSING_STEPS", '"virusscan,policies"', ['"virusscan', 'policies"'], NAMES),
    ("POSTPROCESSING_STEPS", "'virusscan'", ["'virusscan'"], NAMES),
    ("POSTPROCESSING_STEPS", "[virusscan]", ["[virusscan]"], NAMES),
    ("POSTPROCESSING_STEPS", "virusscan,,policies", ["virusscan", "policies"], EMPTY),
    ("POSTPROCESSING_STEPS", "virusscan, ,policies", ["virusscan", "", "policies"], EMPTY),
    ("POSTPROCESSING_STEPS", ",virusscan", ["virusscan"], EMPTY),
    ("POSTPROCESSING_STEPS", ",", [], NONE),
    ("POSTPROCESSING_STEPS", ",,,", [], NONE),
    ("POSTPROCESSING_STEPS", " , ", ["", ""], NONE),
    ("POSTPROCESSING_STEPS", "a,a", ["a", "a"], Refused("'a' is listed twice")),
    ("POSTPROCESSING_DELAY", "5s", 5 * SECOND, SAME),
    ("POSTPROCESSING_DELAY", "1h30m", 5400 * SECOND, SAME),
    ("POSTPROCESSING_DELAY", ".5m", 30 * SECOND, SAME),
    ("POSTPROCESSING_DELAY", "0", 0, SAME),
    ("POSTPROCESSING_DELAY", "", 0, SAME),
    ("POSTPROCESSING_DELAY", "1\u00b5s", 0.001, 1),
    ("POSTPROCESSING_DELAY", " 5s", 0, 5 * SECOND),
    ("POSTPROCESSING_DELAY", "30", 0, Refused("a unit such as s, m or h is missing")),
    ("POSTPROCESSING_DELAY", "1d", 0, UNIT),
    ("POSTPROCESSING_DELAY", "5 s", 0, UNIT),
    ("POSTPROCESSING_DELAY", "5S", 0, UNIT),
    ("POSTPROCESSING_DELAY", '"5s"', 0, UNIT),
    ("POSTPROCESSING_DELAY", "-5s", -5 * SECOND, Refused("must not be negative")),
    ("POSTPROCESSING_RETRY_BACKOFF_DURATION", "1m", 60 * SECOND, SAME),
    ("POSTPROCESSING_RETRY_BACKOFF_DURATION", "0s", 0, SAME),
    ("POSTPROCESSING_RETRY_BACKOFF_DURATION", "", 5 * SECOND, SAME),
    ("POSTPROCESSING_RETRY_BACKOFF_DURATION", "5", 5 * SECOND, UNIT),
    ("POSTPROCESSING_MAX_RETRIES", "0", 0, SAME),
    ("POSTPROCESSING_MAX_RETRIES", "+3", 3, SAME),
    ("POSTPROCESSING_MAX_RETRIES", "010", 8, SAME),
    ("POSTPROCESSING_MAX_RETRIES", "0x10", 16, SAME),
    ("POSTPROCESSING_MAX_RETRIES", "1_000", 1000, SAME),
    ("POSTPROCESSING_MAX_RETRIES", "", 14, SAME),
    ("POSTPROCESSING_MAX_RETRIES", " 3", 14, 3),
    ("POSTPROCESSING_MAX_RETRIES", "3.0", 14, NUMBER),
    ("POSTPROCESSING_MAX_RETRIES", "-1", -1, Refused("greater than or equal to 0")),
    ("POSTPROCESSING_MAX_RETRIES", "5000", 5000, Refused("less than or equal to 1000")),
    ("POSTPROCESSING_WORKERS", "8", 8, SAME),
    ("POSTPROCESSING_WORKERS", "", 3, SAME),
    ("POSTPROCESSING_WORKERS", "0", 0, Refused("greater than or equal to 1")),
    ("POSTPROCESSING_WORKERS", "many", 3, NUMBER),
    ("OC_EVENTS_ENABLE_TLS", "true", True, SAME),
    ("OC_EVENTS_ENABLE_TLS", "1", True, SAME),
    ("OC_EVENTS_ENABLE_TLS", "T", True, SAME),
    ("OC_EVENTS_ENABLE_TLS", "0", False, SAME),
    ("OC_EVENTS_ENABLE_TLS", "", False, SAME),
    ("OC_EVENTS_ENABLE_TLS", " true", False, True),
    ("OC_EVENTS_ENABLE_TLS", "yes", False, SWITCH),
    ("OC_EVENTS_ENABLE_TLS", "on", False, SWITCH),
    ("OC_EVENTS_ENABLE_TLS", "tRUE", False, SWITCH),
    ("OC_INSECURE", "true", True, SAME),
]  # fmt: skip
FIELDS = {
    "POSTPROCESSING_STEPS": "steps",
    "POSTPROCESSING_DELAY": "delay",
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "retry_backoff_duration",
    "POSTPROCESSING_MAX_RETRIES": "max_retries",
    "POSTPROCESSING_WORKERS": "workers",
    "OC_EVENTS_ENABLE_TLS": "events_enable_tls",
    "OC_INSECURE": "events_tls_insecure",
}


def _found(environment: dict[str, str], field: str) -> object:
    settings = read_settings({}, environment)
    core_config(settings)
    value = getattr(settings, field)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("variable", "text", "go", "we"), TABLE)
def test_what_go_makes_of_a_variable_and_what_we_do(variable: str, text: str, go: object, we: object) -> None:
    if isinstance(we, Refused):
        with pytest.raises(ConfigurationError, match=variable) as caught:
            _found({variable: text}, FIELDS[variable])
        assert we.words in str(caught.value)
        return
    assert _found({variable: text}, FIELDS[variable]) == (go if we is SAME else we)


def test_what_is_not_set_is_what_go_has() -> None:
    found: Settings = read_settings({}, {})
    assert (found.steps, found.delay, found.retry_backoff_duration) == ((), 0, 5 * SECOND)
    assert (found.max_retries, found.workers, found.events_endpoint) == (14, 3, ("127.0.0.1:9233",))
    assert (found.events_enable_tls, found.events_tls_insecure) == (False, False)


@pytest.mark.parametrize(
    ("environment", "field", "value"),
    [
        # The variable that the Go sources name last counts.
        ({"OC_EVENTS_ENDPOINT": "a:1", "POSTPROCESSING_EVENTS_ENDPOINT": "b:1"}, "events_endpoint", ["b:1"]),
        ({"OCIS_EVENTS_ENDPOINT": "a", "POSTPROCESSING_EVENTS_ENDPOINT": "b"}, "events_endpoint", ["b"]),
        ({"OC_EVENTS_ENABLE_TLS": "1", "POSTPROCESSING_EVENTS_ENABLE_TLS": "0"}, "events_enable_tls", False),
        ({"OC_INSECURE": "true", "POSTPROCESSING_EVENTS_TLS_INSECURE": "0"}, "events_tls_insecure", False),
        # Go dials 127.0.0.1:4222, because the last one is there and says nothing.
        ({"OC_EVENTS_ENDPOINT": "a:1", "POSTPROCESSING_EVENTS_ENDPOINT": ""}, "events_endpoint", ["a:1"]),
        # Names that only an old or another service reads stop nothing.
        ({"OC_EVENTS_CLUSTER": "main;x", "POSTPROCESSING_EVENTS_CLUSTER": ""}, "steps", []),
        ({"SEARCH_EVENTS_MAX_ACK_PENDING": "many", "SEARCH_EVENTS_ACK_WAIT": "x"}, "steps", []),
    ],
)  # fmt: skip
def test_which_variable_counts(environment: dict[str, str], field: str, value: object) -> None:
    assert _found(environment, field) == value


BRACKETS = Refused("an IPv6 address is written in brackets, as in [::1]:4222")
ONE_BRACKET = Refused("has only one bracket; an IPv6 address is written as in [::1]:4222")
NO_HOST = Refused("names no host; write host:port, such as nats:9233")
ODD_HOST = Refused("names a host that cannot be: between dots stand 1 to 63 characters")
BEHIND = Refused("has text after its port; write host:port")
BAD_PORT = Refused("has a port that is not a number; write host:port")
SCHEME = Refused("its scheme must be nats or tls, as in nats://host:4222")
ADDRESSES: list[tuple[str, list[str], Any]] = [
    # addresses, what nats.go dials (nothing where it refuses them), we
    ("127.0.0.1:9233", ["127.0.0.1:9233"], SAME),
    ("host", ["host:4222"], SAME),
    ("localhost:", ["localhost:4222"], SAME),
    ("[::1]", ["[::1]:4222"], SAME),
    ("[::1]:", ["[::1]:4222"], SAME),
    ("[::1]:4222", ["[::1]:4222"], SAME),
    ("a:1,b:2", ["a:1", "b:2"], SAME),
    ("a:1, b:2", [], ["a:1", "b:2"]),
    ("a:1,,b:2", ["a:1", ":4222", "b:2"], ["a:1", "b:2"]),
    ("host:1/", ["host:1"], SAME),
    ("me:p%40ss@host:1", ["host:1"], SAME),
    ("token@host", ["host:4222"], SAME),
    ("tls://host", ["host:4222"], SAME),
    ("nats://me:p/ss@host:1", [], ["host:1"]),
    ("::1", ["::1"], BRACKETS),
    ("2001:db8::1:4222", ["2001:db8::1:4222"], BRACKETS),
    ("fe80::1%eth0", [], BRACKETS),
    ("a:1,::1", ["a:1", "::1"], BRACKETS),
    ("host:1:2", ["host:1:2"], BRACKETS),
    ("[::1", [], ONE_BRACKET),
    ("::1]:4222", [], ONE_BRACKET),
    ("[host]:1", ["[host]:1"], Refused("is not host:port; write host:port")),
    (":4222", [":4222"], NO_HOST),
    ("a..b:4222", ["a..b:4222"], ODD_HOST),
    ("tls://.a", [".a:4222"], ODD_HOST),
    (f"{'a' * 64}.b:1", [f"{'a' * 64}.b:1"], ODD_HOST),
    (f"{'a' * 63}.b.:1", [f"{'a' * 63}.b.:1"], SAME),
    ("nats_1:1", ["nats_1:1"], SAME),
    ("nats://", [":4222"], NO_HOST),
    ("me:pw@", [":4222"], NO_HOST),
    ("@host", ["host:4222"], Refused("has no user or token in front of its @")),
    ("a:1;b:2", ["a:1;b:2"], Refused("contains a semicolon; separate addresses with commas")),
    ("a:1 b:2", [], Refused("contains a space or a line break; separate addresses with commas")),
    ('"host:1"', [], Refused("write it without quotation marks")),
    ("host:port", [], BAD_PORT),
    ("host:99999", ["host:99999"], Refused("between 1 and 65535")),
    ("host:9999999", ["host:9999999"], Refused("between 1 and 65535")),
    ("host:1/path", ["host:1"], BEHIND),
    ("nats:/host:1", ["nats:"], BEHIND),
    ("ws://host", ["host:80"], SCHEME),
    ("http://host:1", ["host:1"], SCHEME),
]


@pytest.mark.parametrize(("text", "go", "we"), ADDRESSES)
def test_what_nats_go_dials_and_what_we_do(text: str, go: list[str], we: object) -> None:
    environment = {"POSTPROCESSING_EVENTS_ENDPOINT": text}
    if isinstance(we, Refused):
        with pytest.raises(ConfigurationError, match=r"^POSTPROCESSING_EVENTS_ENDPOINT: address") as caught:
            read_settings({}, environment)
        assert we.words in str(caught.value)
        assert "%2C" not in str(caught.value), "there is no comma that it could be about"
        return
    settings = read_settings({}, environment)
    assert [parse_address(each).shown for each in settings.events_endpoint] == (go if we is SAME else we)
    assert nats_options(settings, "me").shown == ",".join(go if we is SAME else we)  # type: ignore[arg-type]


def test_a_comma_in_a_password_is_said_where_it_can_be_the_reason() -> None:
    with pytest.raises(ConfigurationError, match=r"address 1 of 2.*a comma inside a password is written %2C"):
        read_settings({}, {"OC_EVENTS_ENDPOINT": "nats://me:hun,ter2@host:1"})
