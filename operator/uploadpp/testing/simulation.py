"""One simulated world with its operators, from the first start to the last rest."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from random import Random

from uploadpp.core.commands import Kind
from uploadpp.core.config import Config
from uploadpp.core.model import Upload
from uploadpp.core.plan_text import plan_text
from uploadpp.core.policy import PolicyAction
from uploadpp.core.slots import holds_slot
from uploadpp.ownership.ownership import Ownership
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.apiserver import ApiServer
from uploadpp.testing.breaker_checks import BreakerChecks
from uploadpp.testing.file_order import overtaken
from uploadpp.testing.final_checks import check_end, unrest
from uploadpp.testing.host import SimulatedHost
from uploadpp.testing.invariants import Checks, ExternalActions, Invariant, Violation
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.policies import Policies
from uploadpp.testing.policy_checks import PolicyChecks
from uploadpp.testing.services import FakeServices
from uploadpp.testing.share_checks import ShareChecks
from uploadpp.testing.stream import Stream
from uploadpp.testing.stream_recorder import Record, StreamRecorder
from uploadpp.testing.trace import Trace
from uploadpp.testing.virtual_loop import RunawayError, VirtualScheduler

REST_STEP_SECONDS = 10.0
REST_SECONDS = 45.0
LONGEST_SECONDS = 1_200.0
LONGEST_WITH_BREAKERS_SECONDS = 6_000.0
"""Twenty probes of a breaker. They go out every five minutes in the end, and meet bad answers by chance."""
NOTHING = -1_000_000


@dataclass(slots=True)
class Result:
    """How a run went."""

    violations: list[Violation]
    trace: Trace
    seconds: float
    boundaries: int
    messages: int
    was_cut_off: bool
    """Whether a process had something on its way to NATS when it was killed."""

    def report(self) -> str:
        """What is wrong, and all that led to it."""
        return "\n".join([self.trace.text(), *map(str, self.violations)])


class Simulation:
    """One world with its operators."""

    def __init__(self, seed: int, config: Config) -> None:
        self.seed = seed
        self.kernel = VirtualScheduler()
        self.random = Random(seed)  # noqa: S311 -- a game of dice, not a secret
        self.shared_file = "shared" if seed % 2 else ""
        """The file of all uploads in a run by chance; by default each has its own."""
        self.trace = Trace(self.kernel)
        self.stream = Stream(self.kernel)
        self.server = ApiServer(self.kernel)
        self.journal = StreamRecorder(self.stream, self.trace)
        self.world = FakeServices(self.kernel, self.trace, self.journal, self.random)
        self.config = config
        self.configs: Sequence[Config] = (config,)
        """How a process is configured that is started: like one of these, by chance."""
        self.policies: Policies | None = None
        self.doings = ExternalActions()
        self.checks = Checks(self.stream, self.server, self.journal, self.trace, config, self.doings)
        self.processes: list[OperatorProcess] = []
        self.shards: Sequence[int] = (1,)
        """How many shards a process has that is started: one of these, by chance."""
        self.pod = ""
        """The Pod that all processes are in, one after another; none by default."""
        self._disturbed_until = 0.0
        breakers = BreakerChecks(self.checks, self.server, self.journal, lambda: self._ownerships)
        shares = ShareChecks(self.checks, config.shares, lambda: self._ownerships)
        self.journal.listeners += [self._count_places, self._check_order, breakers.look, shares.look]

    def govern(self, policies: Policies) -> None:
        """Have policies from the beginning on, which are edited at their times."""
        self.policies = policies
        checks = PolicyChecks(self.checks, self.journal, policies, self.configs)
        self.journal.listeners.append(checks.look)
        self.server.checks.append(checks.stored)
        for at in policies.changes:
            self.kernel.after(at, policies.change)

    def restart_after(self, seconds: float) -> None:
        """Start another process later."""
        self.disturb(seconds)
        self.kernel.after(seconds, self.start)

    def disturb(self, seconds: float) -> None:
        """Something goes on for so long: there is no rest before."""
        self._disturbed_until = max(self._disturbed_until, self.kernel.now + seconds)

    def start(self, faults: ApiFaults | None = None) -> OperatorProcess:
        """Start an operator process, with an API server that fails it so often."""
        machine = SimulatedHost(f"operator-{len(self.processes) + 1}", self.kernel, self.trace, self.random)
        config = self.configs[0] if len(self.configs) == 1 else self.random.choice(self.configs)
        process = OperatorProcess(machine, self.stream, self.server, faults or ApiFaults(), config)
        if config is not self.config:
            self.trace.add(machine.name, f"has the steps {plan_text(config.steps) or 'none'}")
        process.shards = self.shards[0] if len(self.shards) == 1 else self.random.choice(self.shards)
        process.pod = self.pod
        process.ask = partial(self._ask, machine)
        if self.policies is not None:
            process.choose = self.policies.of(machine.name, deaf=len(self.processes) % 3 == 1).choose
        self.processes.append(process)
        if len(self.processes) % 2 == 0:
            process.soon_read = NOTHING  # as where very many are kept that are over
        process.start()
        return process

    async def _ask(self, machine: SimulatedHost, url: str) -> int | None:
        await machine.travel()
        status = self.world.status_of(url)
        if status == HTTPStatus.NOT_FOUND:
            self.checks.gone.add(self.world.urls.get(url, ""))
        return status

    @property
    def running(self) -> list[OperatorProcess]:
        """The processes that are alive."""
        return [p for p in self.processes if p.machine.alive and not p.stopped]

    def _count_places(self, record: Record) -> None:
        """Nobody publishes a start while all known places are taken."""
        step = record.mark.detail if record.mark and record.mark.kind is Kind.START else ""
        limit = self.config.max_in_flight.get(step)
        if limit is None:
            return
        for ownership in self._ownerships:
            taken = [u.id for u in ownership.uploads if u.current_step == step and holds_slot(u)]
            floor, present, ceiling = ownership.slot_limits.get(step, (0, limit, limit))
            if not floor <= present <= ceiling <= limit:
                text = f"{step} has {present} slots, not {floor} to {ceiling}"
                self.checks.broken(Invariant.SLOTS_KEPT, text)
            if len(taken) > limit:
                self.checks.broken(Invariant.SLOTS_KEPT, f"{taken} are at {step}, which has {limit}")

    @property
    def _ownerships(self) -> list[Ownership]:
        found = [each.ownership for process in self.running for each in process.candidates]
        return [ownership for ownership in found if ownership is not None]

    def _check_order(self, record: Record) -> None:
        """Nobody releases a file ahead of an earlier upload of it, unless that takes too long."""
        others = (self.journal, self.world, self.checks, self.config, self.shards)
        earlier = overtaken(record, *others) if not self.stream.lost else []
        if not earlier:
            return
        known = {upload.id: upload for ownership in self._ownerships for upload in ownership.uploads}
        released = known.get(record.upload)
        if released is not None and released.order.left:
            return
        # Some ends are not in the stream: nobody has answered. Those in memory need not be stored yet.
        # What a policy holds is in no line until it begins, which a replay knows before it publishes.
        passed_by = (each.id for each in known.values() if each.stage.ended or self._is_held_first(each))
        # When the owner was killed while it published, only its rules tell what it held.
        unknown = (each for each in earlier if each not in known and self._may_be_held(each))
        over = {*passed_by, *unknown, *self.checks.stored_ends}
        for each in earlier:
            if each not in over:
                self.checks.broken(Invariant.RELEASED_IN_ORDER, f"{record.text()} ahead of {each}")

    def _is_held_first(self, upload: Upload) -> bool:
        """Whether the rule of an upload holds it until a person lets it begin."""
        if self.policies is None or upload.policy is None:
            return False
        rule = self.policies.rule(upload.policy)
        return rule is not None and rule.action is PolicyAction.HOLD

    def _may_be_held(self, upload_id: str) -> bool:
        """Whether there ever is a rule that holds an upload."""
        if self.policies is None:
            return False
        rules = self.policies.rules_of(self.world.sessions[upload_id].user)
        return any(rule.action is PolicyAction.HOLD for rule in rules)

    def settle(self, longest_seconds: float = LONGEST_SECONDS) -> None:
        """Let everything come to rest, and see that it stays there."""
        end = self.kernel.now + longest_seconds
        while self.kernel.now < end and not self.checks.violations:
            self.kernel.run_until(self.kernel.now + REST_STEP_SECONDS)
            quiet = self.kernel.now - max(self.checks.written_at, self._disturbed_until) >= REST_SECONDS
            if quiet and not unrest(self.server, self.checks):
                return
        if not self.checks.violations and self.kernel.now - self.checks.written_at < REST_SECONDS:
            self.checks.broken(Invariant.QUIET_AT_REST, "the API server is still written to")

    def result(self) -> Result:
        """End everything and look at what has become of it."""
        if not self.checks.violations:
            check_end(self.checks, self.stream, self.server, self.journal, self.world)
        for failure in self.kernel.failures:
            self.checks.broken(Invariant.NO_EXCEPTION, failure)
        boundaries = sum(process.machine.boundaries for process in self.processes)
        was_cut_off = any(process.client.was_cut_off for process in self.processes)
        for process in self.processes:
            process.machine.loop.kill()
        with suppress(RunawayError):  # which has been noted
            self.kernel.run_until(self.kernel.now)
        return Result(
            self.checks.violations,
            self.trace,
            self.kernel.now,
            boundaries,
            len(self.journal.records),
            was_cut_off,
        )
