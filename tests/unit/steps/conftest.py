"""What the tests of steps share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """A program that is tried here may set levels, and tests of other folders listen to the same loggers."""
    loggers = logging.getLogger(), logging.getLogger("uploadpp")
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
