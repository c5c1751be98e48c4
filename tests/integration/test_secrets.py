"""Neither the bearer URL nor anything about a user can be read anywhere but on the stream itself."""

import asyncio
from base64 import urlsafe_b64encode

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, start_working, until_reasons

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ0YXJnZXQiOiJzM2NyM3QifQ.c2lnbmF0dXJl"
URL = f"https://storage.test/data/{TOKEN}"
SECRETS = (
    TOKEN,
    TOKEN.partition(".")[2],
    "storage.test/data",
    "opaque-mary-4711",
    "mary.miller",
    "mary@example.test",
    "Mary Miller",
    "guest-0815",
    "initiator-9999",
    urlsafe_b64encode(b"mary@example.test").decode().rstrip("="),
)
USER = {
    "id": {"idp": "https://idp.test", "opaque_id": "opaque-mary-4711"},
    "username": "mary.miller",
    "mail": "mary@example.test",
    "display_name": "Mary Miller",
}
UPLOADS = {
    "clean": "Completed",
    "flaky": "Completed",
    "infected": "Deleted",
    "refused": "Aborted",
    "talkative": "RetriesExhausted",
}


def outcome(upload: str, step: str, attempt: int) -> str:
    if step == "virusscan":
        return {"infected": "delete", "refused": "abort", "talkative": "retry"}.get(upload, "continue")
    return "retry" if upload == "flaky" and attempt == 1 else "continue"


@pytest.fixture(params=["json", "text"])
def operator(
    request: pytest.FixtureRequest,
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
) -> Operator:
    environment = {
        "OCIS_LOG_LEVEL": "debug",
        "UPLOADPP_LOG_FORMAT": request.param,
        "POSTPROCESSING_RETRY_BACKOFF_DURATION": "0",
        "POSTPROCESSING_MAX_RETRIES": "2",
        "UPLOADPP_LEASE_DURATION": "1s",
    }
    return Operator(
        instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=environment)
    )


def complaint(upload: str) -> dict[str, object] | None:
    """What a Go service says when a download fails: the URL is in it."""
    if upload != "talkative":
        return None
    return {"Infected": False, "ErrorMsg": f'Get "{URL}": dial tcp: connection refused ({TOKEN})'}


async def test_nothing_secret_is_readable(operator: Operator, nats: NatsServer, kubectl: Kubectl) -> None:
    async with Driver(nats.url, outcome, result=complaint) as driver:
        await start_working(operator)
        for upload in UPLOADS:
            body = bytes_received(
                upload,
                URL=f"{URL}{upload}",
                ExecutingUser=USER,
                SpaceOwner=USER["id"],
                ImpersonatingUser={"id": {"opaque_id": "guest-0815"}},
                initiator="initiator-9999",
            )
            await driver.say(body)
        await driver.say(bytes_received("", URL=URL, ExecutingUser=USER))
        await driver.say(bytes_received("broken", URL=[URL], ExecutingUser=USER))
        await driver.until_released(*UPLOADS)
        await until_reasons(kubectl, UPLOADS)
        restart = '{"spec":{"restart":{"token":"t-1"}}}'
        await asyncio.to_thread(kubectl, "patch", "upp", "refused", "--type=merge", f"--patch={restart}")
        await asyncio.to_thread(operator.kill)
        await start_working(operator)
        await driver.upload("later")
        await driver.until_released("later")
    places = {
        "resources": kubectl("get", "upp", "--output=yaml"),
        "table": kubectl("get", "upp", "--output=wide"),
        "events": kubectl("get", "events", "--output=yaml"),
        "leases": kubectl("get", "leases", "--output=yaml"),
        "metrics": operator.metrics(),
        "log": operator.log.read_text(),
    }
    assert "RetryScheduled" in places["events"]
    assert "connection refused" in places["resources"]
    assert "talkative" in places["log"]
    found = [(place, secret) for place, text in places.items() for secret in SECRETS if secret in text]
    assert found == []
