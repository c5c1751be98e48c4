"""What the API server answers to a write tells what of it a webhook has changed, dropped or added."""

from typing import Any, cast

import pytest

from uploadpp.core.sharding import BUCKET_LABEL
from uploadpp.kube.api import Api
from uploadpp.kube.store import ESSENTIAL, Store

META = {"name": "u1", "namespace": "ocis", "uid": "1-2", "resourceVersion": "7"}
UPLOAD: dict[str, Any] = {"metadata": META, "spec": {"upload": {"id": "u1"}}}


class Answering:
    """An API server that answers everything alike."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    async def request(self, *_: object, **__: object) -> dict[str, Any]:
        return self._answer


def store_of(answer: dict[str, Any]) -> Store:
    return Store(cast("Api", Answering(answer)), "ocis")


def changed(value: dict[str, Any], **members: object) -> dict[str, Any]:
    return {**value, **members}


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        ({"desiredState": "Suspended"}, True),
        ({"cancelPolicy": "Delete"}, True),
        ({"restart": {"token": "t"}}, True),
        ({"desiredState": None, "urlSecretRef": {"name": "n", "key": "k"}}, False),
    ],
)
async def test_what_a_webhook_has_a_new_resource_ask_for_is_told(asks: dict[str, Any], *, told: bool) -> None:
    answer = changed(UPLOAD, spec={**UPLOAD["spec"], **asks})
    made = await store_of(answer).create(UPLOAD)
    assert (made.asks, made.altered) == (answer if told else None, "")


@pytest.mark.parametrize(
    ("kept", "altered"),
    [
        ({"uploadpp.io/left-alone": "why", "team": "blue"}, ""),
        ({"uploadpp.io/left-alone": "why", "more": "x"}, ""),
        ({"uploadpp.io/left-alone": "other"}, "metadata.annotations.uploadpp.io/left-alone"),
        ({}, "metadata.annotations.uploadpp.io/left-alone"),
        (None, "metadata.annotations.uploadpp.io/left-alone"),
    ],
)
async def test_an_annotation_of_ours_that_is_not_kept_is_named(
    kept: dict[str, str] | None, altered: str
) -> None:
    answer = changed(UPLOAD, metadata={**META, "annotations": kept})
    wanted = {"uploadpp.io/left-alone": "why", "team": "blue"}
    assert (await store_of(answer).write_annotations("u1", "7", wanted)).altered == altered


@pytest.mark.parametrize(("label", "kept"), [("07", True), ("08", False), (None, False)])
async def test_a_label_that_is_not_kept_is_named(label: str | None, *, kept: bool) -> None:
    answer = changed(UPLOAD, metadata={**META, "labels": {BUCKET_LABEL: label} if label else None})
    written = await store_of(answer).write_bucket("u1", "7", "07")
    assert written.altered == ("" if kept else f"metadata.labels.{BUCKET_LABEL}")


@pytest.mark.parametrize("field", ESSENTIAL)
async def test_each_field_that_a_restart_needs_is_compared(field: str) -> None:
    """A webhook may drop it, change it or make it up."""
    status: dict[str, Any] = {each: f"our {each}" for each in ESSENTIAL}
    for kept in ({**status, field: "theirs"}, {k: v for k, v in status.items() if k != field}):
        written = await store_of(changed(UPLOAD, status=kept)).write_status("u1", "7", status)
        assert written.altered == f"status.{field}"
    without = {k: v for k, v in status.items() if k != field}
    written = await store_of(changed(UPLOAD, status=status)).write_status("u1", "7", without)
    assert written.altered == f"status.{field}"
    assert not (await store_of(changed(UPLOAD, status=status)).write_status("u1", "7", status)).altered
