"""The process of a step: reads its options, connects, serves until SIGTERM."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

import nats.errors

from uploadpp import __version__
from uploadpp.core.text import clean_lines
from uploadpp.process import loop
from uploadpp.process.configuration import ConfigurationError, add_flags, nats_options, read_model, source_of
from uploadpp.process.health import HealthServer
from uploadpp.process.listening import explain
from uploadpp.process.logs import log_what_nobody_catches, set_up
from uploadpp.process.settings import Settings
from uploadpp.process.stalls import StallWatch
from uploadpp.process.tracing_config import notes, open_otlp
from uploadpp.steps.bus import NatsBus
from uploadpp.steps.children import hide_from_children
from uploadpp.steps.consumer import StartConsumer
from uploadpp.steps.decorator import Step
from uploadpp.steps.download import Downloads, Limits
from uploadpp.steps.judge import Judge, Traced, untraced
from uploadpp.steps.metrics import StepMetrics
from uploadpp.steps.options import SHARED, ServiceOptions
from uploadpp.steps.service import StepService, Terms
from uploadpp.steps.testing.bench import Bench
from uploadpp.steps.trial import EPILOG, add_try_flags, read_trial, run_trial
from uploadpp.storage.gateway import tls_context
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import connect, make_client

log = logging.getLogger(__name__)

CONFIGURATION_EXIT = 2
UNHEALTHY_SECONDS = 10.0
"""How long a step may be without NATS before it is not healthy."""


def add_service_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that every step has."""
    add_try_flags(parser)
    add_flags(parser.add_argument_group("how the step is served"), ServiceOptions)
    add_flags(parser.add_argument_group("NATS and the process, as for the operator"), Settings, SHARED)


def main(step: Step, arguments: list[str] | None = None) -> int:
    """Run a step as a program of its own; returns the exit status (2 when the options cannot be used)."""
    parser = argparse.ArgumentParser(
        description=f"The postprocessing step {step.name!r}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    add_service_flags(parser)
    try:
        return run(step, vars(parser.parse_args(arguments)))
    except ConfigurationError as error:
        for line in clean_lines(str(error)).split("\n"):
            sys.stderr.write(f"{step.name}: {line}\n")
        return CONFIGURATION_EXIT


def run(step: Step, flags: Mapping[str, Any]) -> int:
    """Serve a step with these flags, or try files.

    Raises:
        ConfigurationError: the options cannot be used.
    """
    options = read_model(ServiceOptions, flags)
    if (trial := read_trial(flags)) is not None:
        hide_from_children()
        seconds = None if options.timeout is None else options.timeout / 1000
        return run_trial(trial, lambda: Bench(step, timeout=seconds, limits=_limits(options)), loop.new_loop)
    settings = read_model(Settings, flags, names=SHARED)
    set_up(settings.log_level, settings.log_format)
    log_what_nobody_catches()
    hide_from_children()
    program = Program(step, options, settings)
    loop.run(program.run())
    return 0


def _timeout_seconds(step: Step, options: ServiceOptions) -> float | None:
    return step.timeout_seconds if options.timeout is None else options.timeout / 1000 or None


def _limits(options: ServiceOptions) -> Limits:
    return Limits(max_size=options.max_size, sources=options.download_from)


class Program:
    """One process of a step."""

    def __init__(self, step: Step, options: ServiceOptions, settings: Settings) -> None:
        """Check what can be checked without a connection.

        Raises:
            ConfigurationError: something cannot be used.
        """
        self._step = step
        self._options = options
        self._settings = settings
        self._nats = nats_options(settings, f"step {step.name}")
        try:
            self._tls = tls_context(insecure=options.download_insecure, ca_file=options.download_ca_file)
        except OSError as error:
            source = source_of(options, "download_ca_file")
            text = f"{source}={options.download_ca_file}: {error.strerror or error}"
            raise ConfigurationError(text) from None
        self._otlp = open_otlp(settings, step.name, {})
        self._metrics = StepMetrics(step.name)
        self._service: StepService | None = None
        self._connecting: SafeClient | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            ConfigurationError: the debug address cannot be used.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for note in notes(self._settings):
            log.warning(note)
        log.info("starting", extra={"version": __version__, "step": self._step.name})
        address = self._options.debug_addr
        token = self._settings.debug_token
        health = HealthServer(address, token, self._metrics, self._unhealthy, self._unready)
        try:
            await health.start()
        except (OSError, ValueError) as error:
            source = source_of(self._options, "debug_addr")
            raise ConfigurationError(f"{source}={address}: {explain(error)}") from None
        watch = StallWatch(self._metrics.loop, self._processing)
        watch.start()
        try:
            await self._serve(stop)
        finally:
            watch.stop()
            await health.stop()
            if self._otlp is not None:
                self._otlp.close()

    async def _serve(self, stop: asyncio.Event) -> None:
        self._connecting = make_client(self._nats)
        client = await _connected(stop, asyncio.ensure_future(connect(self._nats, self._connecting)))
        if client is None:
            return
        downloads = Downloads(self._tls, self._metrics.bytes.inc, _limits(self._options))
        terms = self._terms()
        traced: Traced = untraced
        if self._otlp is not None:
            from uploadpp.steps.tracing import WorkSpans  # noqa: PLC0415 -- only where traces are sent

            traced = WorkSpans(self._otlp).of
        judge = Judge(
            self._step.name,
            self._step.work,
            _timeout_seconds(self._step, self._options),
            downloads,
            self._metrics,
            traced,
        )
        starts = StartConsumer(client, self._step.name, terms.since, terms.ack_wait_seconds)
        bus = NatsBus(client, starts)
        self._service = StepService(self._step.name, judge, terms, bus, self._metrics)
        try:
            await self._service.run(stop)
        finally:
            await downloads.close()
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await client.flush(timeout=2)
            await client.close()

    def _terms(self) -> Terms:
        return Terms(
            concurrency=self._options.concurrency or self._step.concurrency,
            ack_wait_seconds=self._options.ack_wait / 1000,
            drain_seconds=self._options.drain / 1000,
            since=self._options.since,
            max_age_seconds=self._settings.stream_max_age / 1000 or None,
        )

    def _processing(self) -> str:
        sequence = self._service.processing if self._service else 0
        return f"sequence {sequence}" if sequence else ""

    def _unready(self) -> str:
        if self._service is not None:
            return self._service.problem
        return f"connecting to NATS: {self._connecting.problem}" if self._connecting else "starting"

    def _unhealthy(self) -> str:
        """A new process may find what this one cannot; but work that was begun is not thrown away for it."""
        client = self._connecting
        if client is None or client.silent_seconds < UNHEALTHY_SECONDS:
            return ""
        return "" if self._service is not None and self._service.busy else client.problem


async def _connected(stop: asyncio.Event, connecting: asyncio.Future[SafeClient]) -> SafeClient | None:
    """The connection; None when we are told to stop first."""
    stopping = asyncio.ensure_future(stop.wait())
    stopping.add_done_callback(lambda _: connecting.cancel())
    try:
        return await connecting
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return None
    finally:
        stopping.cancel()
