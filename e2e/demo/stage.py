"""The servers and services of the demo, each a process of its own."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import Service
from e2e.demo.clamav import ClamavUnavailableError, ClamdServer
from e2e.demo.screen import Screen
from e2e.demo.steps.scanners import STAND_IN
from e2e.demo.steps.service import READY
from e2e.demo.stories import FAULTS, SETTINGS, STEP_PACE, Wave
from e2e.operator_process import Operator, OperatorOptions, plain_environment
from e2e.paths import REPO

NAMESPACE = "demo"
FOLDER = Path(os.environ.get("UPLOADPP_DEMO_FOLDER") or REPO / ".demo")  # tests have one each


class StepService(Service):
    """A step service as a process."""

    def __init__(self, instance: Instance, step: str, nats: NatsServer, *arguments: str) -> None:
        super().__init__(instance, step)
        self._nats = nats
        self._arguments = arguments

    def argv(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", f"e2e.demo.steps.{self.name}", *self._arguments]

    def environment(self) -> Mapping[str, str]:
        """Ours, where the code and NATS are, how slowly to work, and where the kit serves its probes."""
        return {
            **plain_environment(),
            "PYTHONPATH": str(REPO),
            "STEP_PACE": STEP_PACE,
            "OCIS_EVENTS_ENDPOINT": self._nats.address,
            "UPLOADPP_STEP_DEBUG_ADDR": f"127.0.0.1:{self.port()}",
            "UPLOADPP_LOG_FORMAT": "text",
        }

    def ready(self) -> bool:
        """Whether it has said that it listens."""
        return self.log.exists() and READY in self.log.read_text()


class Stage:
    """Everything but the storage. Leaving the block ends all of it; the logs stay in .demo/logs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        shutil.rmtree(FOLDER, ignore_errors=True)
        self.instance = Instance.temporary("demo")
        self.instance.logs = FOLDER / "logs"
        self.instance.logs.mkdir(parents=True)
        self.cluster = LocalCluster(self.instance)
        self.nats = NatsServer(self.instance)
        self.kubectl = Kubectl(self.cluster.kubeconfig, NAMESPACE)
        self._operator: Operator | None = None

    @property
    def operator(self) -> Operator:
        """The operator of the current wave."""
        if self._operator is None:
            raise RuntimeError("no operator was started yet")
        return self._operator

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.instance.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.instance.close()

    def _start(self) -> None:
        self._screen.say("Starting a real control plane (etcd, kube-apiserver) and a NATS server ...")
        self.nats.start()
        self.cluster.start()
        apply_crds(self.cluster.kubeconfig)
        self.kubectl("create", "namespace", NAMESPACE)
        self._screen.say("Starting the step services policies and virusscan ...")
        scan = [f"--fault={name}:{times}" for name, times in FAULTS.items()]
        try:
            clamd = ClamdServer(self.instance)
        except ClamavUnavailableError as error:
            self._screen.say(f"  scanner: {STAND_IN} ({error})")
        else:
            clamd.start()
            scan.append(f"--clamd=unix:{clamd.socket}")
            self._screen.say("  scanner: ClamAV (a clamd of our own, which knows the EICAR test virus)")
        services = (
            StepService(self.instance, "policies", self.nats, self.nats.url),
            StepService(self.instance, "virusscan", self.nats, *scan),
        )
        for service in services:
            service.launch()
        for service in services:
            service.wait_ready()

    def start_operator(self, wave: Wave) -> None:
        """Start the operator with the configuration of a wave; the one before must have ended."""
        options = OperatorOptions(
            self.cluster.kubeconfig,
            self.nats.address,
            NAMESPACE,
            steps=wave.steps,
            environment={**SETTINGS, **wave.settings},
        )
        self._operator = Operator(self.instance, options)
        self._operator.start()
