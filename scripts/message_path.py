"""Prints how many files one message passes, from the reader until NATS has its acknowledgement.

The message is the answer of a step. It is followed through the whole operator in virtual time, so the result
is the same on each machine. With `--files` it prints the files, in the order in which they are reached.
"""

import sys
from collections import Counter
from types import FrameType

from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.router import Router
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation

ANSWER = b"events.PostprocessingStepFinished"
PACKAGE = "/uploadpp/"
DOUBLES = "testing/"


class Follower:
    """Notes each file of the operator that runs while the message is on its way."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}
        self._sequence = 0

    def on_event(self, frame: FrameType, event: str, result: object) -> None:
        """Called by the interpreter for each call and each return of a function (`sys.setprofile`)."""
        code = frame.f_code
        if event == "call" and code is Router.on_message.__code__ and not self._sequence:
            raw = frame.f_locals["raw"]
            self._sequence = raw.sequence if ANSWER in raw.data else 0
        if not self._sequence:
            return
        if event == "call":
            _, package, name = code.co_filename.partition(PACKAGE)
            if package and not name.startswith(DOUBLES):
                self.files.setdefault(name)
        elif (
            code is AckTracker.take_ack.__code__ and isinstance(result, tuple) and result[0] >= self._sequence
        ):
            sys.setprofile(None)


def files_of_one_message() -> list[str]:
    """The files, in the order in which the message reaches them."""
    simulation = Simulation(1, config(step("virusscan")))
    simulation.world.script = ["continue"]
    simulation.start()
    simulation.kernel.run_until(1.0)
    follower = Follower()
    sys.setprofile(follower.on_event)
    try:
        simulation.world.upload("up-1")
        simulation.settle()
    finally:
        sys.setprofile(None)
    simulation.result()
    return list(follower.files)


def main() -> None:
    """One line: how many there are in all, and in each folder."""
    files = files_of_one_message()
    folders = Counter(name.partition("/")[0] for name in files)
    parts = ", ".join(f"{count} in {folder}" for folder, count in folders.items())
    print(f"one message passes {len(files)} files: {parts}")
    if "--files" in sys.argv[1:]:
        print(*files, sep="\n")


if __name__ == "__main__":
    main()
