"""Writes the status of policies: whether they are in force, and how many uploads each rule has matched.

Every process adds the uploads that it has counted itself, over the version that it has read (compare and
set), so several shards and replicas never undo each other's counts. The condition is written by the owner of
the first shard only: during a rollout, two configurations may judge a policy differently.

Counts are kept in memory for up to `PAUSE_SECONDS`. A process that is killed loses those; nothing depends on
them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from uploadpp.api.timestamps import format_time
from uploadpp.core.model import Millis
from uploadpp.kube.errors import ApiError, ConflictError, NotFoundError
from uploadpp.pipeline.ports import Json
from uploadpp.resources.policy_counts import Matched, PolicyCounts
from uploadpp.resources.policy_watch import Policies

log = logging.getLogger(__name__)

READY = "Ready"
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 10.0
"""Between two writes of the status of one policy."""
MOST_MATCHED = 2**53
"""Above this, not every program that reads JSON can count."""


class Judgement(NamedTuple):
    """Whether a policy is in force as it is written, for the condition Ready."""

    generation: int
    ready: bool
    reason: str
    message: str


class PolicyStatusWriter:
    """Writes what has changed."""

    def __init__(
        self,
        store: Policies,
        counts: PolicyCounts,
        judge: Callable[[str], Judgement | None],
        leads: Callable[[], bool],
        clock: Callable[[], Millis],
    ) -> None:
        """Prepare.

        Args:
            store: where the policies are.
            counts: what is not written yet.
            judge: what is to be said of the policy of this name; None when it is not known.
            leads: whether this process writes the conditions.
            clock: of the wall.
        """
        self._store = store
        self._counts = counts
        self._judge = judge
        self._leads = leads
        self._clock = clock
        self._resources: dict[str, Json] = {}
        self._due: dict[str, float] = {}
        """When the status of a policy may be written again, on the clock of the loop."""
        self._said = ""

    def take(self, resources: Iterable[Json]) -> None:
        """The policies as they are now."""
        self._resources = {each["metadata"]["name"]: each for each in resources}
        self._due = {name: due for name, due in self._due.items() if name in self._resources}
        self._counts.keep_only(self._resources)

    async def run(self) -> None:
        """Write until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name in list(self._resources):
                await asyncio.sleep(0)  # most have nothing to write, and there may be hundreds
                if self._due.get(name, 0.0) <= loop.time():
                    await self._write(name)

    async def _write(self, name: str) -> None:
        resource = self._resources.get(name)
        if resource is None:
            return
        counts = self._counts.of(name)
        status = self.status_of(resource, counts)
        if status is None:
            return
        now = asyncio.get_running_loop().time()
        try:
            written = await self._store.write_status(name, resource["metadata"]["resourceVersion"], status)
        except ConflictError:
            await self._reread(name)  # and written in the next round
            return
        except NotFoundError:
            self._resources.pop(name, None)
            return
        except ApiError as error:
            if str(error) != self._said:
                log.warning("cannot write the status of a policy, retrying: %s", error)
            self._said = str(error)
        else:
            self._said = ""
            self._counts.written(name, counts)
            self._took(name, written)
        self._due[name] = now + PAUSE_SECONDS

    async def _reread(self, name: str) -> None:
        try:
            current = await self._store.get(name)
        except ApiError as error:
            log.debug("cannot read a policy again: %s", error)
            return
        if current is not None:
            self._took(name, current)

    def _took(self, name: str, resource: Json) -> None:
        """A newer version of a policy; unless its spec has changed, which the watch tells."""
        known = self._resources.get(name)
        if known is None or known["metadata"]["uid"] != resource["metadata"]["uid"]:
            return
        self._resources[name] = resource

    def status_of(self, resource: Json, counts: dict[str, Matched]) -> Json | None:
        """What the status should be; None when it is so already."""
        before = _part(resource, "status")
        leads = self._leads()
        status = _counted(resource, before, counts) if counts or leads else {}
        if leads:
            status |= self._judged(resource, before)
        changed = {name: value for name, value in status.items() if before.get(name) != value}
        return changed or None

    def _judged(self, resource: Json, before: Json) -> Json:
        meta = resource["metadata"]
        judgement = self._judge(meta["name"])
        generation = meta.get("generation", 1)
        if judgement is None or judgement.generation != generation:
            return {}  # the watch has not told of the present generation yet
        said = [each for each in _list(before, "conditions") if isinstance(each, dict)]
        old = next((each for each in said if each.get("type") == READY), {})
        value = "True" if judgement.ready else "False"
        same = old.get("status") == value and isinstance(old.get("lastTransitionTime"), str)
        condition = {
            "type": READY,
            "status": value,
            "reason": judgement.reason,
            "message": judgement.message,
            "observedGeneration": generation,
            "lastTransitionTime": old["lastTransitionTime"] if same else format_time(self._clock()),
        }
        others = [each for each in said if each.get("type") != READY]
        return {"observedGeneration": generation, "conditions": [condition, *others]}


def _counted(resource: Json, before: Json, counts: dict[str, Matched]) -> Json:
    """The counts of all rules that the policy has."""
    stored = {each.get("name"): each for each in _list(before, "rules") if isinstance(each, dict)}
    rules: list[Json] = []
    for rule in _list(_part(resource, "spec"), "rules"):
        name = rule.get("name") if isinstance(rule, dict) else None
        if not isinstance(name, str):
            continue
        was, new = stored.get(name, {}), counts.get(name)
        matched, last = was.get("matched"), was.get("lastMatchedTime") or ""
        total = (matched if isinstance(matched, int) else 0) + (new.uploads if new else 0)
        entry: Json = {"name": name, "matched": min(total, MOST_MATCHED)}
        last = max(last, format_time(new.last)) if new else last  # clocks of replicas differ
        rules.append(entry | ({"lastMatchedTime": last} if last else {}))
    return {"rules": rules, "matched": min(sum(each["matched"] for each in rules), MOST_MATCHED)}


def _part(resource: Json, name: str) -> Json:
    found = resource.get(name)
    return found if isinstance(found, dict) else {}


def _list(part: Json, name: str) -> list[Any]:
    found = part.get(name)
    return found if isinstance(found, list) else []
