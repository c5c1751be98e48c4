"""What the bucket may hold, and what may come between: each case by itself."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import nats as nats_client
import pytest
from cryptography.fernet import Fernet
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.demo.wire import STREAM, ensure_stream, read_all
from tests.adopting import PLAIN, SETTINGS, STEPS, Entries, Site, fill, record, records
from tests.driver import bytes_received
from tests.goservice import BUCKET, key_of
from uploadpp.kube.errors import UnavailableError
from uploadpp.kube.store import Store, Stored
from uploadpp.migration.report import Exit
from uploadpp.process.configuration import ConfigurationError
from uploadpp.testing.events import new_message, start_step, step_finished


@pytest.fixture
async def still(site: Site) -> AsyncIterator[Site]:
    """Nobody runs, and nobody answers."""
    site.operator.options = replace(site.operator.options, environment={**SETTINGS, **PLAIN})
    site.world.client = await nats_client.connect(site.world.url)
    await ensure_stream(site.world.js)
    config = ConsumerConfig(
        durable_name="postprocessing",
        deliver_group="postprocessing",
        deliver_subject="_INBOX.service",
        deliver_policy=DeliverPolicy.NEW,
        ack_policy=AckPolicy.EXPLICIT,
    )
    await site.world.js.add_consumer(STREAM, config)
    yield site
    await site.world.stop()


async def test_what_cannot_be_adopted_is_listed_and_the_rest_is_adopted(still: Site) -> None:
    entries: Entries = {
        "fine": record("fine"),
        "noisy": b"{",
        "unknown": record("unknown", Steps=["virusscan", "watermark"]),
        "twice": record("twice", Steps=["virusscan", "virusscan"]),
        "lost": record("lost", Status={"CurrentStep": "elsewhere", "Outcome": ""}),
        "ended": record("ended", Status={"CurrentStep": "finished", "Outcome": "abort"}, Finished=True),
        "no-url": record("no-url", URL=""),
    }
    await fill(still.world.js, entries)
    status, out, said = await still.command("adopt", "--wait", "60s", "-o", "json")
    assert not said
    report = json.loads(out)
    assert (status, report["exitCode"]) == (Exit.INCOMPLETE, 3)
    assert {each["id"]: each["stage"] for each in report["done"]} == {"fine": "Queued", "no-url": "Queued"}
    remarks = {each["id"] for each in report["done"] if "remark" in each}
    assert remarks == {"no-url"}
    assert {each["id"]: each["reason"] for each in report["left"]} == {
        key_of("noisy"): "Broken",
        "unknown": "UnknownStep",
        "twice": "BadSteps",
        "lost": "BadSteps",
        "ended": "Over",
    }
    assert "storage.test" not in out
    assert set(await still.resources()) == {"fine", "no-url"}


async def test_the_bucket_is_enough_where_the_stream_has_forgotten(still: Site) -> None:
    for name in ("a", "b"):
        await still.world.js.publish(STREAM, bytes_received(name))
    await still.world.js.purge_stream(STREAM)
    waiting = {"CurrentStep": "policies", "Outcome": "retry"}
    await fill(still.world.js, {"a": record("a"), "b": record("b", Status=waiting, Failures=2)})
    report = await still.adopt()
    assert {each["id"]: (each["step"], each["failures"]) for each in report.done} == {
        "a": ("virusscan", 0),
        "b": ("policies", 2),
    }


async def interrupted(*_: object) -> Stored:
    raise UnavailableError("interrupted")


async def test_what_exists_is_never_overwritten_and_what_is_unfinished_is_finished(
    still: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(still.world.js, {"half": record("half")})
    with monkeypatch.context() as patched:
        patched.setattr(Store, "write_status", interrupted)
        with pytest.raises(UnavailableError):
            await still.adopt()
    assert await asyncio.to_thread(names, still) == ["half"]
    await fill(still.world.js, {name: record(name) for name in ("mine", "new")})
    mine = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": "mine"},
        "spec": {"upload": {"id": "mine"}, "steps": [{"name": "policies"}]},
    }
    await asyncio.to_thread(still.kubectl, "apply", "-f", "-", stdin=json.dumps(mine))
    report = await still.adopt()
    assert {each["id"] for each in report.done} == {"half", "new"}
    assert {each["id"]: each["reason"] for each in report.left} == {"mine": "HasResource"}
    found = await still.resources()
    assert found == {"half": "Queued", "new": "Queued"}


async def test_what_an_earlier_run_has_made_otherwise_is_not_finished(still: Site) -> None:
    """A webhook had altered it: the operator would go on with a step that counts for nothing."""
    await fill(still.world.js, {"a": record("a")})
    with pytest.MonkeyPatch.context() as patched:
        create = Store.create

        async def altered(self: Store, resource: dict[str, Any]) -> Stored:
            spec = {
                **resource["spec"],
                "steps": [{**s, "onExhausted": "Continue"} for s in resource["spec"]["steps"]],
            }
            await create(self, {**resource, "spec": spec})
            raise UnavailableError("interrupted")

        patched.setattr(Store, "create", altered)
        with pytest.raises(UnavailableError):
            await still.adopt()
    status, out, _ = await still.command("adopt", "--wait", "60s", "-o", "json")
    left = json.loads(out)["left"]
    assert (status, [(each["id"], each["reason"]) for each in left]) == (Exit.INCOMPLETE, [("a", "Refused")])
    assert "delete the resource and adopt again" in left[0]["why"]
    await asyncio.to_thread(still.kubectl, "delete", "upp", "a")
    assert {each["id"] for each in (await still.adopt()).done} == {"a"}


async def test_an_upload_that_ended_is_not_adopted_again_when_its_resource_is_gone(still: Site) -> None:
    """The entry keeps what the service wrote, and a mark: a second run must not begin the upload again."""
    await fill(still.world.js, {"a": record("a")})
    await still.adopt()
    bucket = await still.world.js.key_value(BUCKET)
    value = (await bucket.get(key_of("a"))).value or b""
    assert json.loads(base64.b64decode(json.loads(value)["data"])) == record("a")
    await asyncio.to_thread(still.kubectl, "delete", "upp", "a")
    report = await still.adopt()
    assert (report.done, [each["reason"] for each in report.left]) == ([], ["AdoptedBefore"])
    await still.release()
    assert await records(still.world.js) == set()


async def test_a_release_that_was_interrupted_goes_on_from_the_same_place(
    still: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given back already is not left out, and nobody is nudged a second time."""
    await still.world.js.publish(STREAM, bytes_received("log"))
    await fill(still.world.js, {name: record(name) for name in ("a", "b", "c")})
    await still.adopt()
    delete, calls = Store.delete, 0

    async def interrupted(self: Store, name: str, uid: str, version: str = "") -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise UnavailableError("interrupted")
        await delete(self, name, uid, version)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "delete", interrupted)
        with pytest.raises(UnavailableError):
            await still.release()
    place = await still.world.js.consumer_info(STREAM, "postprocessing")
    assert set(await still.resources())
    await still.release()
    assert await still.resources() == {}
    assert await records(still.world.js) == {"a", "b", "c", "log"}
    again = await still.world.js.consumer_info(STREAM, "postprocessing")
    assert again.created == place.created
    resumes = [
        each.upload_id for each in await read_all(still.world.js) if each.type == "ResumePostprocessing"
    ]
    assert sorted(resumes) == ["a", "b", "c", "log"]


async def test_what_is_announced_is_not_given_back_with_the_steps_of_a_person(still: Site) -> None:
    """Nobody has read the announcement, which overrules the resource: the service would skip a step."""
    await fill(still.world.js, {"a": record("a")})
    await still.adopt()
    mine = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": "mine"},
        "spec": {"upload": {"id": "mine"}, "steps": [{"name": "policies"}]},
    }
    await asyncio.to_thread(still.kubectl, "apply", "-f", "-", stdin=json.dumps(mine))
    await still.world.js.publish(STREAM, bytes_received("mine"))
    report = await still.release()
    assert {each["id"] for each in report.done} == {"a", "mine"}
    assert await given(still, "mine") == (list(STEPS), "virusscan", "")
    assert await still.resources() == {}


async def test_what_was_asked_for_while_nobody_ran_counts_when_it_is_given_back(still: Site) -> None:
    await fill(still.world.js, {name: record(name) for name in ("cancelled", "twice")})
    await still.adopt()
    specs: dict[str, dict[str, object]] = {
        "mine": {"steps": [{"name": "policies"}], "desiredState": "Cancelled"},
        "aaa": {"steps": [{"name": "policies"}]},
    }
    for name, spec in specs.items():
        made = {
            "apiVersion": "uploadpp.io/v1alpha1",
            "kind": "UploadPostprocessing",
            "metadata": {"name": name},
            "spec": {"upload": {"id": "twice" if name == "aaa" else name}, **spec},
        }
        await asyncio.to_thread(still.kubectl, "apply", "-f", "-", stdin=json.dumps(made))
    wanted = json.dumps({"spec": {"desiredState": "Cancelled", "cancelPolicy": "Delete"}})
    await asyncio.to_thread(still.kubectl, "patch", "upp", "cancelled", "--type=merge", "-p", wanted)
    await still.world.js.publish(STREAM, bytes_received("mine"))
    status, out, _ = await still.command("release", "--wait", "60s", "-o", "json")
    report = json.loads(out)
    assert {each["id"] for each in report["done"]} == {"cancelled", "mine", "twice"}
    assert [(each["id"], each["reason"]) for each in report["left"]] == [("aaa", "Twice")]
    assert status == Exit.INCOMPLETE
    assert await given(still, "cancelled") == (list(STEPS), "finished", "delete")
    assert await given(still, "mine") == (list(STEPS), "finished", "abort")
    assert await given(still, "twice") == (list(STEPS), "virusscan", ""), "not by a person's resource"


async def given(site: Site, name: str) -> tuple[list[str], str, str]:
    """What the service finds of an upload: its steps, the current one, and the outcome."""
    bucket = await site.world.js.key_value(BUCKET)
    value = json.loads((await bucket.get(key_of(name))).value or b"")
    found = json.loads(base64.b64decode(value["data"]))
    return found["Steps"], found["Status"]["CurrentStep"], found["Status"]["Outcome"]


async def test_a_resource_that_is_left_alone_is_not_given_back(still: Site) -> None:
    """The upload may be over: the service would begin it again."""
    void = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": "aaa", "annotations": {"uploadpp.io/left-alone": "upload a has the resource a"}},
        "spec": {"upload": {"id": "a"}, "steps": [{"name": "policies"}]},
    }
    await fill(still.world.js, {"a": record("a")})
    await still.adopt()
    await asyncio.to_thread(still.kubectl, "apply", "-f", "-", stdin=json.dumps(void))
    report = await still.release()
    assert {each["id"] for each in report.done} == {"a"}
    assert [(each["id"], each["reason"], each["fine"]) for each in report.left] == [
        ("aaa", "LeftAlone", True)
    ]
    assert set(await asyncio.to_thread(names, still)) == {"aaa"}


def names(site: Site) -> list[str]:
    return [item["metadata"]["name"] for item in site.kubectl.json("get", "upp")["items"]]


async def test_the_sealing_key_must_be_the_operators(still: Site) -> None:
    await fill(still.world.js, {name: record(name) for name in ("a", "b")})
    await still.adopt()
    still.operator.sealing_key_file.write_bytes(Fernet.generate_key())
    with pytest.raises(ConfigurationError, match="is not the operator's key"):
        await still.release()
    still.operator.sealing_key_file.write_text("")
    with pytest.raises(ConfigurationError, match="UPLOADPP_SEALING_KEY_FILE"):
        await still.adopt()


async def test_in_and_at_once_back(still: Site) -> None:
    """What a resource has seen already must not be read by the service again."""
    await fill(still.world.js, {"a": record("a"), "b": record("b")})
    await still.adopt()
    await still.release()
    answer = step_finished("a", "virusscan", "continue")
    await still.world.js.publish(STREAM, new_message("StartPostprocessingStep", start_step("a", "virusscan")))
    await still.world.js.publish(STREAM, new_message("PostprocessingStepFinished", answer))
    await still.adopt()
    await still.release()
    state = (await still.world.js.stream_info(STREAM)).state
    resumes = sum(each.type == "ResumePostprocessing" for each in (await read_all(still.world.js))[-2:])
    assert resumes == 2
    async with asyncio.timeout(10):  # a server counts after it has confirmed a message
        while (place := await still.world.js.consumer_info(STREAM, "postprocessing")).num_pending != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert place.delivered is not None
    assert place.delivered.stream_seq == state.last_seq - 2
