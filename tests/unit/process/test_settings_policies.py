"""The settings of policies and of their webhook."""

import pytest

from uploadpp.process.configuration import ConfigurationError, read_settings
from uploadpp.process.operator_config import notes
from uploadpp.process.setting_types import Policies

FILES = {"UPLOADPP_WEBHOOK_CERT_FILE": "/a.crt", "UPLOADPP_WEBHOOK_KEY_FILE": "/a.key"}


def test_policies_are_off() -> None:
    settings = read_settings({}, {})
    assert settings.policies is Policies.DISABLED
    assert settings.webhook_cert_file is None


@pytest.mark.parametrize("only", FILES)
def test_a_certificate_needs_its_key(only: str) -> None:
    with pytest.raises(ConfigurationError, match="must be set together"):
        read_settings({}, {only: "/a"})


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="UPLOADPP_POLICIES='on'"):
        read_settings({}, {"UPLOADPP_POLICIES": "on"})


def test_a_webhook_without_policies_is_said() -> None:
    assert any("UPLOADPP_WEBHOOK_CERT_FILE has no effect" in each for each in notes(read_settings({}, FILES)))
    enabled = read_settings({}, FILES | {"UPLOADPP_POLICIES": "enabled"})
    assert not any("WEBHOOK" in each for each in notes(enabled))
