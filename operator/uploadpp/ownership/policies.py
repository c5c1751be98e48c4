"""All that a process does about policies.

It knows them, writes their status, and checks new ones before the API server stores them. Imported only where
UPLOADPP_POLICIES is enabled.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from uploadpp.core.config import Config
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import Credentials
from uploadpp.kube.policy_store import POLICIES, PolicyStore
from uploadpp.pipeline.ports import Choose, CountMatches, Json
from uploadpp.policies.expression import is_available
from uploadpp.policies.review import review
from uploadpp.process.clock import wall_clock
from uploadpp.process.configuration import ConfigurationError, source_of
from uploadpp.process.health import AskPolicies
from uploadpp.process.listening import explain
from uploadpp.process.settings import Settings
from uploadpp.process.tasks import never_ending
from uploadpp.process.webhook import Certificate, WebhookServer
from uploadpp.resources.current_policies import CurrentPolicies
from uploadpp.resources.policy_counts import PolicyCounts
from uploadpp.resources.policy_question import answer
from uploadpp.resources.policy_status import PolicyStatusWriter
from uploadpp.resources.policy_watch import UNKNOWN, PolicyWatch
from uploadpp.resources.watch.kopf_thread import Watch
from uploadpp.telemetry.metrics import Metrics


class PolicyService:
    """The policies of one namespace, in one process."""

    def __init__(self, settings: Settings, config: Config, metrics: Metrics) -> None:
        """Check what can be checked without a connection.

        Raises:
            ConfigurationError: something needed is missing or unusable.
        """
        if not is_available():
            raise ConfigurationError(
                "UPLOADPP_POLICIES=enabled: the library of CEL is missing; install uploadpp[policies], or "
                "use the operator's image"
            )
        self._settings = settings
        self._config = config
        self._counts = PolicyCounts(wall_clock)
        self._current = CurrentPolicies(config, metrics.policies, self._counts)
        self._watch: PolicyWatch | None = None
        self._webhook = self._new_webhook()

    def _new_webhook(self) -> WebhookServer | None:
        settings = self._settings
        if settings.webhook_cert_file is None or settings.webhook_key_file is None:
            return None
        try:
            certificate = Certificate(settings.webhook_cert_file, settings.webhook_key_file)
        except OSError as error:
            named = ", ".join(source_of(settings, f"webhook_{each}_file") for each in ("cert", "key"))
            files = f"{settings.webhook_cert_file} and {settings.webhook_key_file}"
            raise ConfigurationError(f"{named}: {files}: {error.strerror or error}") from None
        return WebhookServer(settings.webhook_addr, certificate, partial(review, config=self._config))

    @property
    def choose(self) -> Choose:
        """What the policies say of an upload that arrives."""
        return self._current.choose

    @property
    def count_matches(self) -> CountMatches:
        """Counts the uploads that rules have matched."""
        return self._current.count

    @property
    def ask(self) -> AskPolicies:
        """Answers what would become of an upload."""
        return lambda question: answer(self._current, question, known=self.known)

    @property
    def known(self) -> bool:
        """Whether the policies were read. Until then, no shard may be taken."""
        return self._watch is not None and self._watch.known

    @property
    def problem(self) -> str:
        """Why the policies are not known as they are now, in words; empty when they are."""
        return self._watch.problem if self._watch is not None else UNKNOWN

    @property
    def report(self) -> list[str]:
        """What works here and what does not, a line each."""
        lines = [f"[-]policies failed: {self.problem}" if self.problem else "[+]policies ok"]
        if self._webhook is not None:
            wrong = self._webhook.problem
            lines.append(f"[-]policy-webhook failed: {wrong}" if wrong else "[+]policy-webhook ok")
        return lines

    def start(self) -> None:
        """Serve the webhook: it needs neither NATS nor the API server.

        Raises:
            ConfigurationError: its address cannot be used.
        """
        try:
            if self._webhook is not None:
                self._webhook.start()
        except (OSError, ValueError) as error:
            source = source_of(self._settings, "webhook_addr")
            raise ConfigurationError(f"{source}={self._settings.webhook_addr}: {explain(error)}") from None

    async def stop(self) -> None:
        """Stop serving it."""
        if self._webhook is not None:
            await self._webhook.stop()

    async def run(
        self,
        api: Api,
        namespace: str,
        credentials: Credentials,
        leads: Callable[[], bool],
        on_known: Callable[[], None],
    ) -> None:
        """Follow the policies and write their status, until cancelled.

        `leads` says whether this process writes conditions; `on_known` is called when the policies are known.
        """
        store = PolicyStore(api, namespace)
        writer = PolicyStatusWriter(store, self._counts, self._current.judge, leads, wall_clock)

        async def take(resources: list[Json]) -> None:
            await self._current.take(resources)
            writer.take(resources)
            if not self.known:
                on_known()

        new_watch = partial(Watch, credentials=credentials, plural=POLICIES)
        watch = self._watch = PolicyWatch(
            store, lambda sink, is_own_write: new_watch(sink, namespace, "", is_own_write), take
        )
        works = [watch.run, writer.run, *([self._webhook.run] if self._webhook is not None else [])]
        tasks = [asyncio.create_task(never_ending(work)) for work in works]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
