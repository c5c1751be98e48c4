"""The step `policies`: no programs, and nothing that is too big. Deny means delete, as in ocis."""

import asyncio
import sys
from pathlib import PurePath
from typing import Any

from e2e.demo.steps.service import Answer, serve_forever, set_up_logging
from e2e.demo.wire import Event

STEP = "policies"
FORBIDDEN = frozenset({".bat", ".cmd", ".exe", ".scr"})
MAX_SIZE = 1 << 30


def allowed(start: dict[str, Any]) -> bool:
    """The rule: file name and size."""
    return PurePath(start["Filename"]).suffix.lower() not in FORBIDDEN and start["Filesize"] <= MAX_SIZE


async def check(event: Event) -> Answer:
    """Answer one start."""
    return Answer("continue" if allowed(event.payload) else "delete")


if __name__ == "__main__":
    set_up_logging()
    asyncio.run(serve_forever(sys.argv[1], STEP, check))
