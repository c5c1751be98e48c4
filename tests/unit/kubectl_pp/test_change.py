"""A signal during a change waits for the requests under way, from the very first one on."""

import os
import signal
import threading
import time
from argparse import Namespace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kubectl_pp.change import Batch, Delete, Disposition, Patch
from kubectl_pp.context import Context
from kubectl_pp.errors import UnavailableError
from kubectl_pp.step_resume import MANY, StepResume
from kubectl_pp.upload import Upload

COUNT = 200
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Cluster:
    """Counts what it has carried out; the first request brings the signal before its response.

    Nothing is answered before the signal was taken, however long that takes the main thread.
    """

    def __init__(self, number: signal.Signals) -> None:
        self._number: signal.Signals | None = number
        self._taken = number, signal.getsignal(number)
        self._lock = threading.Lock()
        self.done: set[str] = set()

    def _carry_out(self, path: str) -> None:
        with self._lock:
            self.done.add(path)
            number, self._number = self._number, None
        if number is not None:
            os.kill(os.getpid(), number)
        sent, before = self._taken
        while signal.getsignal(sent) is not before:
            time.sleep(0.005)

    def delete(self, path: str, *_: object, **__: object) -> None:
        self._carry_out(path)

    def patch(self, path: str, *_: object, **__: object) -> dict[str, Any]:
        self._carry_out(path)
        return {}


def context_of(cluster: Cluster) -> Context:
    return cast(
        "Context",
        SimpleNamespace(
            client=cluster, options=Namespace(dry_run=False), screen=SimpleNamespace(steerable=False)
        ),
    )


def upload(name: str, namespace: str = "files") -> Upload:
    meta = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"}
    return Upload({"metadata": meta, "spec": {"upload": {"id": name}}, "status": {"stage": "Processing"}})


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_of_many_requests_is_reported(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    cluster = Cluster(number)
    batch = Batch(context_of(cluster), lambda _: Delete(), lambda _: True)
    result = batch.run([upload(f"u-{i}") for i in range(COUNT)], "prune")
    assert result.interrupted
    applied = {r.upload.path() for r in result.results if r.disposition is Disposition.APPLIED}
    assert applied == cluster.done
    assert 0 < len(applied) < COUNT
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_wish_for_a_step_is_reported_for_the_namespaces_that_have_it(number: signal.Signals) -> None:
    cluster = Cluster(number)
    uploads = [upload(f"u-{i}", namespace) for namespace in ("a", "b") for i in range(MANY)]
    step = StepResume(context_of(cluster), "virusscan", "token", lambda _: Patch({}, "resumed"))
    result = step.make(uploads, "1")
    assert result.interrupted
    applied = {r.upload.namespace for r in result.results if r.disposition is Disposition.APPLIED}
    assert applied == {"a"}
    assert len(cluster.done) == 1


def test_a_second_signal_ends_the_wait() -> None:
    class Hanging(Cluster):
        def _carry_out(self, path: str) -> None:
            super()._carry_out(path)
            os.kill(os.getpid(), signal.SIGINT)
            over.wait(60)
            raise UnavailableError("it never answers")

    over = threading.Event()
    batch = Batch(context_of(Hanging(signal.SIGINT)), lambda _: Delete(), lambda _: True)
    with pytest.raises(KeyboardInterrupt):
        batch.run([upload("one")], "prune")
    over.set()
