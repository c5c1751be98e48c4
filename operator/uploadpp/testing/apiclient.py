"""One process' way to the API server: requests that fail in every way, and its watch."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uploadpp.kube.errors import ApiError, Refusal, RefusedError, UnavailableError
from uploadpp.resources.watch.kopf_handlers import Sink
from uploadpp.testing.apiserver import LEASES, RESOURCES, ApiServer, Change, Json, Verb
from uploadpp.testing.host import SimulatedHost

TIMEOUT_SECONDS = 15.0
Reply = tuple[Json, ApiError | None]


@dataclass(slots=True, kw_only=True)
class ApiFaults:
    """How often requests and watch events go wrong (shares from 0 to 1)."""

    away: bool = False
    stuck: str = ""
    """The one resource for which every write fails."""
    stuck_answered: bool = False
    """Whether a proxy says so, which has not handed the request on; otherwise nobody answers."""
    unreadable: str = ""
    """The one resource of which no GET is answered."""
    refused: str = ""
    """What the API server refuses of resources: a method, or a method and `status`; several with commas."""
    too_many: float = 0.0
    failed: float = 0.0
    """Answered 500, not carried out."""
    unanswered: float = 0.0
    """Carried out, and the answer is lost."""
    slow_lists: float = 0.0
    watch_dropped: float = 0.0
    watch_twice: float = 0.0
    watch_late: float = 0.0


class SimulatedApi:
    """Requests of one process (stands for `kube.api.Api`)."""

    def __init__(self, machine: SimulatedHost, server: ApiServer, faults: ApiFaults) -> None:
        self._machine = machine
        self._server = server
        self._faults = faults

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "",
        params: dict[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 -- the real one's
    ) -> Json:
        """Send a request.

        Raises:
            ApiError: as the real one does.
        """
        del content_type
        machine, faults, random = self._machine, self._faults, self._machine.random
        writes = method != "GET" and not path.startswith(LEASES)
        what = f"{method} {path.removeprefix(RESOURCES).removeprefix(LEASES) or '/'}"
        if writes:
            machine.boundary(f"before {what}")
        if faults.away:
            await asyncio.sleep(min(1.0, timeout))
            raise UnavailableError(f"{what}: no route")
        if (
            writes
            and faults.stuck
            and faults.stuck in {path.removesuffix("/status").rpartition("/")[2], _name(body)}
        ):
            raise UnavailableError(f"{what}: 503 for this one", answered=faults.stuck_answered)
        if method == "GET" and faults.unreadable and faults.unreadable == _name_in(path):
            await machine.travel()
            raise UnavailableError(f"{what}: 500 for this one")
        verb = f"{method}{' status' if path.endswith('/status') else ''}"
        if writes and verb in faults.refused.split(","):
            await machine.travel()
            raise RefusedError(f"{what}: 422 ValidatingAdmissionPolicy denied request", Refusal.POLICY)
        dice = random.random()
        if dice < faults.too_many:
            raise UnavailableError(f"{what}: 429", retry_after=1.0)
        if dice < faults.too_many + faults.failed:
            await machine.travel()
            raise UnavailableError(f"{what}: 500")
        arrived: asyncio.Future[Reply] = machine.loop.create_future()
        machine.kernel.after(machine.delay(), self._arrive, arrived, method, path, body, params)
        answer, error = await arrived
        if writes:
            machine.boundary(f"after {what}, unanswered")
        if dice > 1 - faults.unanswered:
            await asyncio.sleep(min(1.0, timeout))
            raise UnavailableError(f"{what}: TimeoutError")
        if method == "GET" and path == RESOURCES and random.random() < faults.slow_lists:
            await asyncio.sleep(random.uniform(0.1, 5.0))
        await machine.travel()
        if error is not None:
            raise error
        return answer

    def _arrive(
        self,
        arrived: asyncio.Future[Reply],
        method: str,
        path: str,
        body: object,
        params: dict[str, str] | None,
    ) -> None:
        """At the server: what is on its way gets there, even if its sender is paused by now."""
        machine, error, answer = self._machine, None, {}
        if not machine.alive:
            return
        try:
            answer = self._server.request(machine.name, method, path, body, params)
        except ApiError as failure:
            error = failure
        if method != "GET" and not path.startswith(LEASES):
            what = f"{method} {path.removeprefix(RESOURCES) or '/'}"
            machine.trace.add(machine.name, f"{what}: {error or _summary(body)}")
        machine.loop.call_soon(_settle, arrived, (answer, error))


def _settle(future: asyncio.Future[Reply], reply: Reply) -> None:
    """The answer is there, unless nobody waits for it any more."""
    if not future.done():
        future.set_result(reply)


def _name_in(path: str) -> str:
    """Which resource a path is about."""
    return path.removesuffix("/status").rpartition("/")[2]


def _name(body: object) -> str:
    """Which resource is to be made."""
    return str(body.get("metadata", {}).get("name", "")) if isinstance(body, dict) else ""


def _summary(body: Any) -> str:  # noqa: ANN401 -- JSON
    """What a write says, short."""
    if isinstance(body, list):
        value = body[1]["value"]
        if isinstance(value, dict) and "conditions" in value:
            steps = ", ".join(
                f"{s['name']} {s['state']} a{s.get('attempts', 0)} r{s.get('retries', 0)}"
                for s in value.get("steps", [])
            )
            log = value.get("log", {})
            return (
                f"{value['conditions'][0]['reason']} run {value.get('run', 0)} [{steps}] "
                f"finishes {value.get('finishes', 0)} log {log.get('sequence', 0)}/{log.get('start')}"
            )
        return f"{body[1]['path']}"
    return "ok"


class SimulatedWatch:
    """Watch events of one ownership (stands for `resources.watch.kopf_thread.Watch`)."""

    def __init__(self, machine: SimulatedHost, server: ApiServer, faults: ApiFaults, sink: Sink) -> None:
        self._machine = machine
        self._server = server
        self._faults = faults
        self._sink = sink
        self._at = 0.0
        self.ended: asyncio.Future[None] = machine.loop.create_future()
        self.opened = asyncio.Event()
        self.ready = False

    @property
    def problem(self) -> str:
        """As the real one says it."""
        return "" if self.ready else "the watch has not started"

    def take_kind_was_missing(self) -> bool:
        """It never is."""
        return False

    def start(self) -> None:
        """Every change from now on."""
        self._server.listeners.append(self._on_change)
        self._server.on_put_back.append(self._begin_anew)
        self.ready = True
        self.opened.set()

    async def stop(self) -> None:
        """Tell nothing more."""
        self.ready = False
        if self._on_change in self._server.listeners:
            self._server.listeners.remove(self._on_change)
            self._server.on_put_back.remove(self._begin_anew)
        if not self.ended.done():
            self.ended.set_result(None)

    def _begin_anew(self) -> None:
        if self._machine.alive:
            self.opened.set()

    def _on_change(self, change: Change) -> None:
        faults, random = self._faults, self._machine.random
        if not self._machine.alive or faults.away or random.random() < faults.watch_dropped:
            return
        verb = str(change.verb)
        self._tell(verb, change.resource)
        if change.verb is not Verb.DELETED and random.random() < faults.watch_twice:
            self._tell(verb, change.resource)

    def _tell(self, verb: str | None, resource: Json) -> None:
        machine, random = self._machine, self._machine.random
        late = random.uniform(0, 10) if random.random() < self._faults.watch_late else 0.0
        self._at = max(self._at, machine.kernel.now + machine.delay() + late)
        machine.loop.call_at(self._at, self._hand_over, verb, resource)

    def _hand_over(self, verb: str | None, resource: Json) -> None:
        if self.ready:
            self._sink(verb, resource)


WatchFactory = Callable[[Sink, str], SimulatedWatch]
