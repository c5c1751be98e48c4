"""`uploadpp selftest`: send one made-up upload through a running operator, with its own configuration.

It plays storage and step for an upload that no storage knows and a step that no service
listens for, so in production nobody else does more than log an unknown id. What it proves:
the API server, the Role and the CRD, NATS with these credentials, and the operator itself.
"""

import asyncio
import secrets
import sys
import time
from typing import Any
from uuid import uuid4

import nats.errors
import orjson
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Kind
from uploadpp.core.inputs import Published
from uploadpp.core.model import RESTARTED_BY, Millis
from uploadpp.core.states import Outcome, Stage
from uploadpp.kube.errors import ApiError, ConflictError
from uploadpp.kube.store import Store, stored
from uploadpp.process.clients import UnreachableError, open_clients
from uploadpp.process.clock import wall_clock
from uploadpp.process.operator_config import namespace_of
from uploadpp.process.settings import Settings
from uploadpp.wire.decode import decode
from uploadpp.wire.envelope import BadMessageError, encode_envelope
from uploadpp.wire.marks import AnyMark
from uploadpp.wire.stream import STREAM

STEP = "uploadpp-selftest"
LABEL = "uploadpp.io/selftest"
FETCHED = 100
RELEASED = {Stage.AWAITING_READY, Stage.COMPLETED}
"""The second is reached where a storage answers for uploads that it does not know."""


class SelftestError(Exception):
    """What did not work; the text says what it means."""


class Selftest:
    """One upload, from its creation to its removal."""

    def __init__(self, store: Store, js: JetStreamContext, namespace: str) -> None:
        self._store = store
        self._js = js
        self._namespace = namespace
        self._id = f"selftest-{secrets.token_hex(6)}"
        self._started = time.monotonic()
        self._waiting_for = ""

    async def run(self, timeout_seconds: float) -> None:
        """Send it through.

        Raises:
            SelftestError: it did not get through.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._go_through()
        except TimeoutError:
            text = f"no {self._waiting_for} within {timeout_seconds:g} s"
            raise SelftestError(f"{text}; is the operator ready? Its log says what it waits for") from None
        except (ApiError, nats.errors.Error) as error:
            raise SelftestError(f"{type(error).__name__}: {error}") from error
        finally:
            await self._remove()

    async def _go_through(self) -> None:
        self._waiting_for = "answer from JetStream"
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.NONE, inactive_threshold=60
        )
        reader = await self._js.pull_subscribe(STREAM, stream=STREAM, config=config)
        self._say("NATS answers, and the stream is there")
        self._waiting_for = "answer from the API server"
        await self._store.create(self._resource())
        self._say(f"the API server took UploadPostprocessing {self._id}")
        self._waiting_for = "event of the operator on the stream"
        finished = False
        while not finished:
            try:
                messages = await reader.fetch(FETCHED, timeout=1)
            except nats.errors.TimeoutError:
                continue
            for message in messages:
                finished = await self._play(message) or finished
        self._waiting_for = "status of the upload"
        await self._until_recorded()

    def _resource(self) -> dict[str, Any]:
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self._id, "namespace": self._namespace, "labels": {LABEL: "true"}},
            "spec": {"upload": {"id": self._id, "filename": "selftest"}, "steps": [{"name": STEP}]},
        }

    async def _play(self, message: Msg) -> bool:
        """Answer what the operator says about our upload; True when it has told the storage to release it."""
        try:
            event = decode(message.data, 0, Millis(0), AnyMark())
        except BadMessageError:
            return False
        if event is None or event.upload_id != self._id or not isinstance(event.input, Published):
            return False
        kind = event.input.mark.kind
        self._waiting_for = f"event after {kind}"
        if kind is Kind.RESTART:
            await self._publish(
                "BytesReceived",
                Filename="selftest",
                Filesize=1,
                URL="https://selftest.invalid/",
                ExecutingUser={"id": {"opaque_id": RESTARTED_BY}},  # as the storage answers what we ask
            )
            self._say("the operator asked for a download URL and got one")
        elif kind is Kind.START:
            await self._publish(
                "PostprocessingStepFinished",
                FinishedStep=STEP,
                Outcome=Outcome.CONTINUE,
                Result=None,
                Error=None,
            )
            self._say("the operator started the step, which answered")
        return kind is Kind.FINISH

    async def _publish(self, name: str, **fields: Any) -> None:  # noqa: ANN401 -- members of an event
        payload = orjson.dumps({"UploadID": self._id, **fields}).decode()
        body = encode_envelope(f"events.{name}", str(uuid4()), payload, {}, wall_clock())
        await self._js.publish(STREAM, body)

    async def _until_recorded(self) -> None:
        while True:
            resource = await self._store.get(self._id)
            if resource is None:
                raise SelftestError(f"UploadPostprocessing {self._id} was deleted by another client")
            conditions = resource.get("status", {}).get("conditions", [])
            if any(each.get("reason") in RELEASED for each in conditions):
                return self._say("the operator released the file and recorded it in the resource")
            await asyncio.sleep(0.2)

    async def _remove(self) -> None:
        """The operator forgets an upload whose resource is gone; nothing of it stays."""
        for _ in range(10):
            try:
                resource = await self._store.get(self._id)
                if resource is None:
                    return
                await self._store.delete(self._id, stored(resource).uid)
            except ConflictError:
                continue
            except ApiError as error:
                self._say(f"UploadPostprocessing {self._id} could not be removed: {error}")
            return

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self._started:6.2f} s  {text}\n")
        sys.stdout.flush()


async def selftest(settings: Settings, timeout_seconds: float) -> None:
    """Send an upload through the operator that runs with these settings.

    Raises:
        ConfigurationError: the settings cannot be used.
        SelftestError: it did not get through.
    """
    namespace = namespace_of(settings)
    try:
        async with open_clients(settings, "uploadpp-selftest", timeout_seconds) as (client, api):
            await Selftest(Store(api, namespace), client.jetstream(), namespace).run(timeout_seconds)
    except UnreachableError as error:
        raise SelftestError(str(error)) from None
