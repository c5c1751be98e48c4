"""An admission webhook on loopback: what stands between the operator and etcd in many clusters."""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from e2e.cluster.certificates import write_certificates
from e2e.cluster.kubectl import Kubectl, KubectlError
from tests.driver import until

Json = dict[str, Any]
Answer = Callable[[Json], Json | bytes | None]
"""From the request of an AdmissionReview: its response without the uid, other bytes, or no answer at all."""

UPLOADS = ("uploadpp.io", "uploadpostprocessings")
STATUS = ("uploadpp.io", "uploadpostprocessings/status")
LEASES = ("coordination.k8s.io", "leases")
EVENTS = ("", "events")


def allow(_: Json) -> Json:
    """Nothing to say."""
    return {"allowed": True}


def deny(code: int = 403, reason: str = "Forbidden") -> Answer:
    """Refuse with a code of one's own choice."""
    status = {"status": "Failure", "code": code, "reason": reason, "message": "closed for maintenance"}
    return lambda _: {"allowed": False, "status": status}


def change(*operations: Json) -> Answer:
    """Change the object."""
    patch = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda _: {"allowed": True, "patchType": "JSONPatch", "patch": patch}


def garbage(_: Json) -> bytes:
    """What is not an AdmissionReview."""
    return b"<html>please log in</html>"


PATIENCE_SECONDS = 1
"""How long the API server waits for a webhook that is silent; for all others it waits long."""


def silence(_: Json) -> None:
    """Longer than the API server waits."""
    return


class Webhook:
    """A webhook of one namespace. `answer` may be changed at any time."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path, *, mutating: bool = False) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._folder = folder / "webhook"
        self._runner: web.AppRunner | None = None
        self._kind = "Mutating" if mutating else "Validating"
        self.url = ""
        self.answer: Answer = allow
        self.asked: list[Json] = []

    async def __aenter__(self) -> Self:
        self._folder.mkdir()
        write_certificates(self._folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.crt", self._folder / "server.key")
        app = web.Application()
        app.router.add_post("/", self._review)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{port}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.go()
        await self.end()

    async def end(self) -> None:
        """Stop answering: connections are refused."""
        if self._runner is None:
            return
        for site in tuple(self._runner.sites):
            await site.stop()
        # The API server would keep its connections, used or not, and TLS ends slowly.
        for handler in tuple(self._runner.server.connections if self._runner.server is not None else ()):
            if handler.transport is not None:
                handler.transport.abort()
        await self._runner.cleanup()

    async def stand(self, *resources: tuple[str, str], operations: Sequence[str] = ("*",)) -> None:
        """Have the API server ask, and wait until it does."""
        rules = [
            {"apiGroups": [group], "apiVersions": ["*"], "operations": [*operations], "resources": [plural]}
            for group, plural in resources
        ]
        probes = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["configmaps"],
        }
        ca = base64.b64encode((self._folder / "ca.crt").read_bytes()).decode()
        webhook = {
            "name": "gate.uploadpp.test",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": PATIENCE_SECONDS if self.answer is silence else 20,
            "clientConfig": {"url": self.url, "caBundle": ca},
            "rules": [*rules, probes],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
        }
        configuration = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{self._kind}WebhookConfiguration",
            "metadata": {"name": self._namespace},
            "webhooks": [webhook],
        }
        self._kubectl("apply", "--filename=-", stdin=json.dumps(configuration))
        probe = ("create", "configmap", "probe", "--dry-run=server")

        async def asked() -> bool:
            with suppress(KubectlError):  # a busy machine may answer later than the API server waits
                await asyncio.to_thread(self._kubectl, *probe)
            return any(each["name"] == "probe" for each in self.asked)

        answer, self.answer = self.answer, allow
        await until(asked)
        self.answer = answer

    async def go(self) -> None:
        """Have the API server ask no more."""
        what = f"{self._kind}WebhookConfiguration"
        await asyncio.to_thread(self._kubectl, "delete", what, self._namespace, "--ignore-not-found")

    async def _review(self, request: web.Request) -> web.Response:
        review = await request.json()
        asked = review["request"]
        self.asked.append(asked)
        answer = allow(asked) if asked["name"] == "probe" else self.answer(asked)
        if answer is None:
            await asyncio.sleep(2 * PATIENCE_SECONDS)
            answer = b""
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response({**review, "response": {**answer, "uid": asked["uid"]}})
