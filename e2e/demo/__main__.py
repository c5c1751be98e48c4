"""`make demo`: five uploads go through the operator, and the demo checks what it tells about them."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress

from e2e.cluster.binaries import resolve
from e2e.cluster.kubectl import KubectlError
from e2e.demo.claims import all_claims
from e2e.demo.findings import collect, report
from e2e.demo.screen import Screen
from e2e.demo.stage import FOLDER, NAMESPACE, Stage
from e2e.demo.storage import Storage
from e2e.demo.stories import CLEAN, DELAYED, FLAKY, ORPHAN, STORIES, USER, VIRUS, WAVES, Story, Wave
from e2e.operator_process import leave_out_ours, say_left_out
from e2e.paths import CacheUnwritableError
from uploadpp.process.loop import keep_cancellations

_REFRESH = 0.4
_PATIENCE = 30
_INTERRUPTED = 130


class Demo:
    """The play, once the stage is set."""

    def __init__(self, stage: Stage, storage: Storage, screen: Screen) -> None:
        self._stage = stage
        self._storage = storage
        self._screen = screen

    async def play(self) -> int:
        """Tell the five stories and check them; returns the exit status."""
        watching = asyncio.create_task(self._watch())
        try:
            await self._tell()
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        await self._draw()
        self._screen.settle()
        return await self._check()

    async def _tell(self) -> None:
        say = self._screen.say
        first, second, third = WAVES
        await self._operator(first)
        await self._upload(first)
        await self._wait_for("jsonpath={.status.retryCount}=2", [FLAKY])
        say("kill -9 of the operator, while photo.jpg waits for its last attempt")
        self._stage.operator.kill()
        await self._operator(second)
        await self._upload(second)
        await self._wait_for("condition=Finished", [CLEAN, VIRUS, FLAKY])
        say("Restarting the operator with other steps; slides.odp keeps those it arrived with")
        await asyncio.to_thread(self._stage.operator.stop)
        await self._operator(third)
        await self._upload(third)
        await self._wait_for("condition=Stalled", [ORPHAN])
        await self._quote_stall(ORPHAN)
        await self._wait_for("condition=Finished", [DELAYED])

    async def _operator(self, wave: Wave) -> None:
        settings = [f"steps {','.join(wave.steps)}", *(f"{k}={v}" for k, v in wave.settings.items())]
        self._screen.say(f"Starting the operator: {', '.join(settings)}")
        await asyncio.to_thread(self._stage.start_operator, wave)

    async def _upload(self, wave: Wave) -> None:
        for story in wave.stories:
            self._screen.say(f"Uploading {story.filename}: {story.plan}")
            await self._storage.upload(story.filename, story.content, user=USER, upload_id=story.id)
        await self._wait_for("create", wave.stories)

    async def _wait_for(self, what: str, stories: Iterable[Story]) -> None:
        """Wait, but not forever: what has not happened by then is a false claim at the end."""
        # One by one: asked for several that are not there yet, `kubectl wait --for=create` gives up at once.
        for name in [f"upp/{story.id}" for story in stories]:
            try:
                await asyncio.to_thread(
                    self._stage.kubectl, "wait", f"--for={what}", f"--timeout={_PATIENCE}s", name
                )
            except KubectlError as error:
                self._screen.say(f"No longer waiting for {name}: {error}")

    async def _quote_stall(self, story: Story) -> None:
        """Let the operator itself say what is missing."""
        path = 'jsonpath={.status.conditions[?(@.type=="Stalled")].message}'
        with suppress(KubectlError):
            message = await asyncio.to_thread(self._stage.kubectl, "get", "upp", story.id, f"--output={path}")
            self._screen.say(f"{story.filename} is Stalled: {message}")

    async def _watch(self) -> None:
        while True:
            await self._draw()
            await asyncio.sleep(_REFRESH)

    async def _draw(self) -> None:
        with suppress(KubectlError):
            self._screen.table(await asyncio.to_thread(self._stage.kubectl, "get", "uploadpostprocessings"))

    async def _check(self) -> int:
        facts = await collect(self._stage, self._storage, self._screen)
        self._screen.write(f"\n{report(facts)}\n")
        claims = all_claims(STORIES, facts)
        false = [claim for claim in claims if not claim.holds]
        for claim in false:
            self._screen.write(f"FALSE: {claim.text}")
        self._screen.say(f"{len(claims)} claims checked, {len(false)} false; logs and files: {FOLDER.name}/")
        return bool(false)


async def run(stage: Stage, screen: Screen) -> int:
    """Play on a set stage; with KEEP=1 everything stays up afterwards until Ctrl-C."""
    async with Storage(FOLDER / "storage", stage.nats.url) as storage:
        status = await Demo(stage, storage, screen).play()
        if os.environ.get("KEEP") in {None, "", "0"}:
            return status
        screen.write(_invitation(stage))
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return status


def _invitation(stage: Stage) -> str:
    restart = '{"spec":{"restart":{"token":"again","mode":"Resume"}}}'
    cancel = '{"spec":{"desiredState":"Cancelled"}}'
    return f"""
Everything keeps running until Ctrl-C. To look around, in another terminal:

  export KUBECONFIG={stage.cluster.kubeconfig}
  alias kubectl='{resolve("kubectl").path} --namespace {NAMESPACE}'
  kubectl get upp --watch
  kubectl get upp --output wide
  kubectl describe upp {VIRUS.id}
  kubectl patch upp {ORPHAN.id} --type merge --patch '{restart}'
  kubectl patch upp {ORPHAN.id} --type merge --patch '{cancel}'
"""


def main() -> int:
    """Set the stage, play, clear up."""
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.default_int_handler)
    keep_cancellations()  # or Ctrl-C is lost when it comes together with an answer of NATS
    say_left_out(leave_out_ours())
    screen = Screen()
    try:
        with Stage(screen) as stage:
            return asyncio.run(run(stage, screen))
    except CacheUnwritableError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.settle()
        screen.say("interrupted; everything is stopped")
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
