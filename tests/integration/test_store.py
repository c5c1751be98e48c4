"""The store against a real API server: compare-and-set, and which error means what."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.commands import Notice, NoticeType
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import find_credentials
from uploadpp.kube.errors import ConflictError, NotFoundError, RefusedError, UnavailableError
from uploadpp.kube.events import EventLog
from uploadpp.kube.store import Store, stored
from uploadpp.resources.relist import NEEDED
from uploadpp.testing.builders import PASSED, after

UPLOAD = after(*PASSED[:1])
DONE = after(*PASSED)


def resource(namespace: str, upload_id: str = UPLOAD.id, sealed: str = "sealed") -> dict[str, Any]:
    upload = after(*PASSED[:1], upload_id=upload_id)
    return to_resource(upload, namespace=namespace, shown=ALL_SHOWN, sealed=sealed)


async def connect(kubeconfig: Path) -> Api:
    return Api(find_credentials({"KUBECONFIG": str(kubeconfig)}))


@pytest.fixture
async def api(cluster: LocalCluster) -> AsyncIterator[Api]:
    async with await connect(cluster.kubeconfig) as api:
        yield api


@pytest.fixture
def store(api: Api, namespace: str) -> Store:
    return Store(api, namespace)


async def test_life_of_a_resource(store: Store, namespace: str) -> None:
    made = await store.create(resource(namespace))
    first = await store.write_status(UPLOAD.id, made.version, to_status(UPLOAD))
    sealed = await store.write_sealed(UPLOAD.id, first.version, "fresh")
    last = await store.write_status(UPLOAD.id, sealed.version, to_status(DONE))
    assert len({made.version, first.version, sealed.version, last.version}) == 4
    assert {made.uid} == {first.uid, sealed.uid, last.uid}
    assert (made.generation, first.generation, sealed.generation) == (1, 1, 2)
    found = await store.get(UPLOAD.id)
    assert found is not None
    assert found["spec"]["sealed"] == "fresh"
    assert found["status"] == to_status(DONE)
    assert stored(found) == last
    await store.delete(UPLOAD.id, last.uid, last.version)
    assert await store.get(UPLOAD.id) is None
    await store.delete(UPLOAD.id, last.uid)  # gone already is fine


@pytest.mark.parametrize("annotations", [{}, {"team": "blue"}])
async def test_annotations_are_replaced(store: Store, namespace: str, annotations: dict[str, str]) -> None:
    made = resource(namespace)
    made["metadata"]["annotations"] = annotations
    first = await store.create(made)
    wanted = {**annotations, "uploadpp.io/left-alone": "why"}
    second = await store.write_annotations(UPLOAD.id, first.version, wanted)
    found = await store.get(UPLOAD.id)
    assert found is not None
    assert (found["metadata"]["annotations"], stored(found)) == (wanted, second)
    assert second.generation == first.generation
    with pytest.raises(ConflictError):
        await store.write_annotations(UPLOAD.id, first.version, {})


async def test_the_past_is_not_written_over_the_present(store: Store, namespace: str) -> None:
    made = await store.create(resource(namespace))
    now = await store.write_status(UPLOAD.id, made.version, to_status(DONE))
    for write in (
        store.write_status(UPLOAD.id, made.version, to_status(UPLOAD)),
        store.write_sealed(UPLOAD.id, made.version, "old"),
        store.delete(UPLOAD.id, made.uid, made.version),
        store.delete(UPLOAD.id, "1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
        store.create(resource(namespace)),
    ):
        with pytest.raises(ConflictError):
            await write
    found = await store.get(UPLOAD.id)
    assert found is not None
    assert stored(found) == now


async def test_gone(store: Store) -> None:
    for write in (
        store.write_status(UPLOAD.id, "1", to_status(UPLOAD)),
        store.write_sealed(UPLOAD.id, "1", "x"),
    ):
        with pytest.raises(NotFoundError):
            await write


async def test_refused_for_good(store: Store, namespace: str) -> None:
    """The words name the field and quote nothing of it."""
    with pytest.raises(RefusedError, match=r"spec\.sealed") as caught:
        await store.create(resource(namespace, sealed="s3cr3t" * 300_000))
    assert "s3cr3ts3cr3t" not in str(caught.value)
    made = await store.create(resource(namespace))
    with pytest.raises(RefusedError, match=r"status\.outcome"):
        await store.write_status(UPLOAD.id, made.version, {**to_status(UPLOAD), "outcome": "perhaps"})
    with pytest.raises(RefusedError, match=r"spec\.sealed"):
        await store.write_sealed(UPLOAD.id, made.version, "s3cr3t" * 300_000)


async def test_missing_namespace_and_permission_are_no_fault_of_the_upload(
    cluster: LocalCluster, api: Api, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match="namespace"):
        await Store(api, "no-such-namespace").create(resource("no-such-namespace"))
    kubectl("create", "serviceaccount", "nobody")
    token = kubectl("create", "token", "nobody").strip()
    config = kubectl("config", "view", "--raw", "--output=json").replace(cluster.apiserver.token, token)
    (tmp_path / "config").write_text(config)
    async with await connect(tmp_path / "config") as powerless:
        store = Store(powerless, namespace)
        with pytest.raises(UnavailableError, match=r"403 .*nobody.*cannot create"):
            await store.create(resource(namespace))
        with pytest.raises(UnavailableError, match=r"403 .*cannot list"):
            await anext(store.list_all())
    (tmp_path / "config").write_text(config.replace(token, "expired"))
    async with await connect(tmp_path / "config") as unknown:
        with pytest.raises(UnavailableError, match="401"):
            await Store(unknown, namespace).create(resource(namespace))


async def test_nobody_there(cluster: LocalCluster, kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    config = kubectl("config", "view", "--raw", "--output=json").replace(
        cluster.apiserver.url, "https://127.0.0.1:9"
    )
    (tmp_path / "config").write_text(config)
    async with await connect(tmp_path / "config") as api:
        with pytest.raises(UnavailableError, match="ClientConnector"):
            await Store(api, namespace).create(resource(namespace))


async def test_list_is_whole(store: Store, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploadpp.kube.store.PAGE", 3)
    names = {f"upload-{number}" for number in range(10)}
    for name in names:
        await store.create(resource(namespace, name))
    assert {item["metadata"]["name"] async for item in store.list_all()} == names
    assert [item async for item in store.list_all("uploadpp.io/shard=7")] == []


async def test_events(api: Api, kubectl: Kubectl, store: Store, namespace: str) -> None:
    """The same words about the same resource are one Event with a count."""
    made = await store.create(resource(namespace))
    events = EventLog(api, namespace, "operator-1")
    notice = Notice(NoticeType.WARNING, "RetryScheduled", "scanner down")
    for _ in range(3):
        await events._write(UPLOAD.id, made.uid, notice)
    await events._write(UPLOAD.id, made.uid, Notice(NoticeType.NORMAL, "Restarted", "by hand"))
    found = {item["reason"]: item for item in kubectl.json("get", "events")["items"]}
    assert found.keys() == {"RetryScheduled", "Restarted"}
    event = found["RetryScheduled"]
    assert (event["count"], event["type"], event["message"]) == (3, "Warning", "scanner down")
    assert event["involvedObject"]["uid"] == made.uid
    assert "scanner down" in kubectl("describe", "upp", UPLOAD.id)


@pytest.mark.parametrize("how", ["events --all", "namespace-wide expiry"])
async def test_b7_an_event_that_is_gone_is_made_anew(
    api: Api, kubectl: Kubectl, store: Store, namespace: str, how: str
) -> None:
    """The API server removes Events after an hour, and people do: later ones have to be seen all the same."""
    made = await store.create(resource(namespace))
    events = EventLog(api, namespace, "operator-1")
    notice = Notice(NoticeType.WARNING, "StepStalled", "no answer")
    for _ in range(2):
        await events._write(UPLOAD.id, made.uid, notice)
    if how == "events --all":
        kubectl("delete", "events", "--all")
    else:
        (name,) = [each["metadata"]["name"] for each in kubectl.json("get", "events")["items"]]
        kubectl("delete", "event", name)
    for _ in range(2):
        await events._write(UPLOAD.id, made.uid, notice)
    (event,) = kubectl.json("get", "events")["items"]
    assert (event["count"], event["message"]) == (2, "no answer")


async def test_an_event_about_a_resource_with_a_very_long_name(
    api: Api, kubectl: Kubectl, store: Store, namespace: str
) -> None:
    made, name = resource(namespace), "a" * 235 + "-" + "b" * 17
    made["metadata"]["name"] = name
    uid = (await store.create(made)).uid
    await EventLog(api, namespace, "operator-1")._write(name, uid, Notice(NoticeType.WARNING, "Odd", "words"))
    assert [each["reason"] for each in kubectl.json("get", "events")["items"]] == ["Odd"]


SECRET_NAMES = [
    "../../../../../healthz",
    "../../other/secrets/url",
    "..",
    "a/b",
    "a%2Fb",
    "a?b",
    "a#b",
    "\n",
    "",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
async def test_s2_a_name_never_asks_for_another_object(store: Store, name: str) -> None:
    with pytest.raises(NotFoundError):
        await store.secret(name, "url")
    with pytest.raises((NotFoundError, RefusedError)):
        await store.write_status(name, "1", {})


@pytest.mark.parametrize(
    ("value", "label", "words"),
    [
        ("https://storage.test/x", "true", ""),
        (" HTTP://storage.test/x\n", "true", ""),
        ("https://storage.test/x", "", "no Secret where with the label"),
        ("https://storage.test/x", "yes", "no Secret where with the label"),
        ("hunter2", "true", "not an http or https URL"),
        ("file:///etc/passwd", "true", "not an http or https URL"),
        ("https://x\nhttps://y", "true", "not an http or https URL"),
        ("xhttps://x", "true", "not an http or https URL"),
        ("https://", "true", "not an http or https URL"),
    ],
)
async def test_s2_only_marked_secrets_and_only_web_addresses_are_used(
    store: Store, kubectl: Kubectl, value: str, label: str, words: str
) -> None:
    kubectl("create", "secret", "generic", "where", f"--from-literal=url={value}")
    if label:
        kubectl("label", "secret", "where", f"uploadpp.io/url-secret={label}")
    if not words:
        assert await store.secret("where", "url") == value.strip()
        return
    with pytest.raises(NotFoundError, match=words):
        await store.secret("where", "url")


async def test_who_is_over_can_be_left_out_of_a_list(store: Store, namespace: str) -> None:
    for number in range(3):
        await store.create(resource(namespace, f"running-{number}"))
    over = await store.create(resource(namespace, "over"))
    await store.write_status("over", over.version, to_status(DONE))
    assert await store.count() == 4

    async def names(labels: str, fields: str) -> list[str]:
        return [each["metadata"]["name"] async for each in store.list_all(labels, fields)]

    assert [await names(*selectors) for selectors in NEEDED] == [
        [f"running-{n}" for n in range(3)],
        [],
        [],
        [],
    ]
    assert await names("", "status.completionTime!=") == ["over"]


async def test_a_field_that_the_crd_does_not_know_is_refused(store: Store) -> None:
    with pytest.raises(RefusedError, match=r"status\.nothing"):
        async for _ in store.list_all("", "status.nothing="):
            pass
