"""Waiting for something to become so."""

import time
from collections.abc import Callable


def wait_until(
    check: Callable[[], bool], timeout: float, *, give_up: Callable[[], bool] = lambda: False
) -> bool:
    """Ask again and again until it is so; False after the timeout or when it became hopeless."""
    deadline = time.monotonic() + timeout
    pause = 0.01
    while not check():
        if give_up() or time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return True
