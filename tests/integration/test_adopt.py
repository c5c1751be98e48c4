"""Uploads go from the legacy service to the operator, back, and to the operator again."""

import asyncio
import json
from collections import Counter, defaultdict

import pytest

from e2e.cluster.natsversions import OLDEST
from e2e.demo.wire import Event, read_all
from tests.adopting import (
    FIRST,
    OURS,
    PATIENCE,
    PER_KIND,
    PER_PERIOD,
    VERDICTS,
    Site,
    kind_of,
    records,
    uploads,
)
from uploadpp.migration.report import RefusedToRunError

ONLY_OURS = uploads(2, PER_KIND * len(OURS), OURS)
EVERY = [
    *uploads(0, FIRST),
    *(each for period in (1, 2, 3) for each in uploads(period, PER_PERIOD)),
    *ONLY_OURS,
]


@pytest.mark.each_nats
async def test_there_and_back_and_there_again(site: Site, nats_version: str) -> None:
    """With the oldest server the service is an old one too; the newer one pulls."""
    site.service.pulls = nats_version != OLDEST
    world = site.world
    await world.start()
    # The service drives hundreds of uploads, and is killed in the middle of its work.
    await site.service.start()
    await world.announce(uploads(0, FIRST), 1.5)
    with pytest.raises(RefusedToRunError, match="OCIS_EXCLUDE_RUN_SERVICES"):
        await site.adopt(wait_seconds=0)
    await world.announce(uploads(1, PER_PERIOD), 2.0)
    await site.service.kill()
    await adopt_and_look(site)
    await asyncio.to_thread(site.operator.start)
    await hold_some(site)
    await world.announce(uploads(2, PER_PERIOD), 1.5)
    with pytest.raises(RefusedToRunError, match="stop it first"):
        await site.release(wait_seconds=0)
    await asyncio.to_thread(site.operator.kill)
    await release_and_look(site)
    await world.renew_all()
    await site.service.start()
    await world.announce(uploads(3, PER_PERIOD), 1.5)
    await site.service.kill()
    assert (await site.adopt()).done
    await asyncio.to_thread(site.operator.start)
    await until_reached(site, {"held": "Held"})  # it was tried once more, and no retry is left
    await world.answer_all()
    await patch_all(site, "held", {"restart": {"token": "1", "mode": "Resume"}})
    await until_all_have_ended(site)
    await asyncio.sleep(0.5)  # whatever is sent twice has arrived by then
    check(await read_all(world.js))
    await asyncio.to_thread(site.operator.stop)
    await world.stop()


async def hold_some(site: Site) -> None:
    """Uploads that only the operator can have: held, suspended, and cancelled by a person."""
    await site.world.announce(ONLY_OURS, 0.5)
    await until_reached(site, {"held": "Held", "suspended": "Running", "cancelled": "Running"})
    for kind, wanted in (("suspended", "Suspended"), ("cancelled", "Cancelled")):
        await patch_all(site, kind, {"desiredState": wanted})
    await until_reached(site, {"cancelled": "AwaitingReady"})
    await site.world.answer_step_of("suspended")
    await until_reached(site, {"suspended": "Suspended"})


async def patch_all(site: Site, kind: str, spec: dict[str, object]) -> None:
    """What a person asks for, of all uploads of a kind."""
    names = [each for each in ONLY_OURS if kind_of(each) == kind]
    patch = json.dumps({"spec": spec})
    await asyncio.to_thread(site.kubectl, "patch", "upp", *names, "--type=merge", f"--patch={patch}")


async def until_reached(site: Site, wanted: dict[str, str]) -> None:
    """Wait until all uploads of a kind are in a stage."""
    expected = {each: wanted[kind_of(each)] for each in ONLY_OURS if kind_of(each) in wanted}
    async with asyncio.timeout(PATIENCE):
        while not expected.items() <= (await site.resources()).items():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.2)


async def adopt_and_look(site: Site) -> None:
    """A dry run changes nothing and says the same; a second run changes nothing."""
    before = await site.at_rest()
    planned = await site.adopt(dry_run=True)
    assert await site.snapshot() == before
    adopted = await site.adopt()
    assert {each["id"] for each in planned.done} == {each["id"] for each in adopted.done}
    stages = {each["stage"] for each in adopted.done}
    assert {"Running", "BackingOff", "Delaying", "AwaitingReady", "ReleaseBackOff"} <= stages
    after = await site.snapshot()
    assert (await site.adopt()).done == []
    assert await site.snapshot() == after


async def release_and_look(site: Site) -> None:
    """The service gets what is under way and nothing else; a second run changes nothing."""
    before = await site.at_rest()
    await site.release(dry_run=True)
    assert await site.snapshot() == before
    given = (await site.release()).done
    under_way = {each["id"] for each in given}
    ours = {(kind_of(each["id"]), each["stage"]) for each in given}
    assert {("held", "Held"), ("suspended", "Suspended"), ("cancelled", "AwaitingReady")} <= ours
    assert {("condemned", "AwaitingReady"), ("expired", "AwaitingURL"), ("slow", "Running")} <= ours
    assert not under_way & set(await site.resources())
    assert await records(site.world.js) == under_way
    after = await site.snapshot()
    assert (await site.release()).done == []
    assert await site.snapshot() == after


async def until_all_have_ended(site: Site) -> None:
    """Wait until the storage has answered for each upload, in its last word."""
    missing = EVERY
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while missing and loop.time() < end:
        await asyncio.sleep(0.3)
        last = site.world.last
        missing = [each for each in EVERY if last.get(each) is not (kind_of(each) in VERDICTS)]
    assert not missing, f"{len(missing)}: {missing[:20]}\n{await site.resources()}"


def check(events: list[Event]) -> None:
    """Nothing is lost, nothing is started twice, and nothing is ended twice."""
    open_steps: dict[str, Counter[str]] = defaultdict(Counter)
    verdicts: dict[str, list[str]] = defaultdict(list)
    wrong: list[str] = []
    for event in events:
        steps = open_steps[event.upload_id]
        match event.type:
            case "BytesReceived" if not steps["over"]:  # the service begins again with the first step
                steps.clear()
            case "StartPostprocessingStep" if event.payload["StepToStart"] != "delay":
                step = event.payload["StepToStart"]
                steps[step] += 1
                if steps[step] > 1 or steps["over"] or steps[f"passed {step}"]:
                    wrong.append(f"{event.upload_id}: {step} is started although it runs or is over")
            case "PostprocessingStepFinished":
                steps[event.payload["FinishedStep"]] -= 1
                if event.payload["Outcome"] != "retry":
                    steps[f"passed {event.payload['FinishedStep']}"] += 1
            case "PostprocessingFinished":
                steps["over"] += 1
                verdicts[event.upload_id].append(event.payload["Outcome"])
    for upload in EVERY:
        kind, found = kind_of(upload), verdicts[upload]
        expected = [VERDICTS.get(kind, "continue")] * (2 if kind == "unreleased" else 1)
        if found != expected:
            wrong.append(f"{upload}: {found} instead of {expected}")
    assert not wrong, f"{len(wrong)}: {wrong[:20]}"
