"""The settings of a step that make uploads wait for it."""

import pytest

from uploadpp.process.configuration import ConfigurationError, read_settings
from uploadpp.process.operator_config import core_config


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
        ('{"a":{"breakerAfter":0}}', r"UPLOADPP_STEP_SETTINGS\.a\.breakerAfter"),
    ],
)
def test_what_cannot_be_stops_the_start(own: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_settings({}, {"POSTPROCESSING_STEPS": "a,delay", "UPLOADPP_STEP_SETTINGS": own})
