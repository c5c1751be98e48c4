"""The settings of a step that make uploads wait for it."""

import pytest

from uploadpp.core.shares import FairShare, SharePolicy
from uploadpp.process.configuration import ConfigurationError, read_settings
from uploadpp.process.operator_config import core_config


def test_slots_at_steps() -> None:
    own = '{"a":{"maxInFlight":8},"b":{"maxRetries":1}}'
    settings = read_settings(
        {}, {"POSTPROCESSING_STEPS": "a,b", "UPLOADPP_STEP_SETTINGS": own, "UPLOADPP_SHARDS": "8"}
    )
    assert core_config(settings).max_in_flight == {"a": 8}
    assert core_config(settings).min_in_flight == {}
    assert core_config(read_settings({}, {})).max_in_flight == {}


def test_floors_of_adaptive_limits() -> None:
    own = '{"a":{"maxInFlight":8,"minInFlight":8},"b":{"maxInFlight":1}}'
    settings = read_settings({}, {"POSTPROCESSING_STEPS": "a,b", "UPLOADPP_STEP_SETTINGS": own})
    assert core_config(settings).min_in_flight == {"a": 8}


def test_breakers_of_steps() -> None:
    own = '{"a":{"breakerAfter":8},"b":{"maxRetries":1}}'
    environment = {"POSTPROCESSING_STEPS": "a,b", "UPLOADPP_STEP_SETTINGS": own, "UPLOADPP_SHARDS": "9"}
    assert core_config(read_settings({}, environment)).breaker_after == {"a": 8}
    assert core_config(read_settings({}, {})).breaker_after == {}


def test_a_step_that_a_policy_lists_has_its_configured_settings() -> None:
    own = '{"a":{"maxRetries":1}}'
    environment = {
        "POSTPROCESSING_STEPS": "a",
        "UPLOADPP_STEP_SETTINGS": own,
        "POSTPROCESSING_MAX_RETRIES": "9",
        "POSTPROCESSING_DELAY": "3s",
    }
    config = core_config(read_settings({}, environment))
    assert [config.defaults_of(name).max_retries for name in ("a", "delay", "c")] == [1, 9, 9]
    assert config.defaults_of("delay").delay == 3000
    assert config.defaults_of("c").delay == 0


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ('{"delay":{"breakerAfter":1}}', "'delay' cannot have breakerAfter: it has no service"),
        ('{"a":{"minInFlight":2}}', "minInFlight of 'a' needs a maxInFlight of at least 2"),
        ('{"a":{"minInFlight":3,"maxInFlight":2}}', "minInFlight of 'a' needs a maxInFlight of at least 3"),
        ('{"delay":{"minInFlight":1}}', "'delay' cannot have minInFlight: it has no service"),
        ('{"a":{"breakerAfter":0}}', r"UPLOADPP_STEP_SETTINGS\.a\.breakerAfter"),
    ],
)
def test_what_cannot_be_stops_the_start(own: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_settings({}, {"POSTPROCESSING_STEPS": "a,delay", "UPLOADPP_STEP_SETTINGS": own})


def test_shares_and_classes() -> None:
    environment = {
        "UPLOADPP_FAIR_SHARE": "space",
        "UPLOADPP_SHARE_WEIGHTS": '{"team": 2}',
        "UPLOADPP_PRIORITY_CLASSES": '{"normal": 2, "bulk": 1}',
        "UPLOADPP_SMALL_FIRST": "3",
    }
    expected = SharePolicy(
        by=FairShare.SPACE, weights={"team": 2}, classes={"normal": 2, "bulk": 1}, small_first=3
    )
    assert core_config(read_settings({}, environment)).shares == expected
    assert core_config(read_settings({}, {})).shares == SharePolicy()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("UPLOADPP_PRIORITY_CLASSES", '{"high": 2}', "UPLOADPP_PRIORITY_CLASSES: 'normal' is missing"),
        ("UPLOADPP_PRIORITY_CLASSES", '{"normal": 0}', r"UPLOADPP_PRIORITY_CLASSES\.normal"),
        ("UPLOADPP_SHARE_WEIGHTS", '{"mary": 101}', r"UPLOADPP_SHARE_WEIGHTS\.mary"),
        ("UPLOADPP_SHARE_WEIGHTS", "mary", "UPLOADPP_SHARE_WEIGHTS: is not a JSON object"),
        ("UPLOADPP_FAIR_SHARE", "group", "UPLOADPP_FAIR_SHARE"),
        ("UPLOADPP_SMALL_FIRST", "-1", "UPLOADPP_SMALL_FIRST"),
    ],
)
def test_shares_that_cannot_be_stop_the_start(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_settings({}, {variable: value})
