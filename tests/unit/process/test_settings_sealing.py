"""The keys that seal resources: read from a file, or named with the remedy."""

from pathlib import Path

import pytest

from uploadpp.process.configuration import ConfigurationError, read_settings
from uploadpp.process.operator_config import sealing_keys


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is required: a file with a key from `uploadpp generate-key`"),
        (b"", "contains no key"),
        (b"\xff\xfe", "not a text file"),
    ],
)
def test_unusable_sealing_key(tmp_path: Path, content: bytes | None, words: str) -> None:
    environment = {}
    if content is not None:
        (tmp_path / "key").write_bytes(content)
        environment = {"UPLOADPP_SEALING_KEY_FILE": str(tmp_path / "key")}
    with pytest.raises(ConfigurationError, match=words):
        sealing_keys(read_settings({}, environment))


def test_sealing_keys_in_order(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("new\n\n old \n")
    settings = read_settings({}, {"UPLOADPP_SEALING_KEY_FILE": str(tmp_path / "key")})
    assert sealing_keys(settings) == ["new", "old"]
