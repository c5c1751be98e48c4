"""The operator as a process of its own, the way a Pod runs it."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cryptography.fernet import Fernet

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.service import Service

_NOT_INHERITED = ("POSTPROCESSING_", "OCIS_", "OC_", "UPLOADPP_", "KUBERNETES_", "OTEL_", "NATS_", "METRICS_")
FOR_TOOLS = frozenset(
    {
        "UPLOADPP_CLUSTER",
        "UPLOADPP_DEMO_FOLDER",
        "UPLOADPP_DEV_FOLDER",
        "UPLOADPP_E2E",
        "UPLOADPP_IMAGE",
        "UPLOADPP_KIND_CONFIG",
        "UPLOADPP_KUBECONFIG",
        "UPLOADPP_NATS_IMAGE",
        "UPLOADPP_OWN_ADDRESS",
        "UPLOADPP_TEST_NATS",
        "UPLOADPP_TEST_NATS_CLUSTER",
        "UPLOADPP_TEST_KUBERNETES",
        "UPLOADPP_TEST_ROLLBACK_TO",
    }
)
"""What chooses how demo, tests and benchmarks run, and is not a setting of the operator."""

COMMAND = (sys.executable, "-m", "uploadpp", "run")


def plain_environment() -> dict[str, str]:
    """Our environment without what would configure a process of ours by accident."""
    inherited = {k: v for k, v in os.environ.items() if not _is_ours(k)}
    return {**inherited, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def leave_out_ours() -> list[str]:
    """Take out of our own environment what configures the operator, a step or a client; returns the names.

    The shell may have them from `.dev/env` or from an installation, and everything that is started here
    would obey them.
    """
    found = [name for name in os.environ if _is_ours(name) and name not in FOR_TOOLS]
    for name in found:
        del os.environ[name]
    return sorted(found)


def say_left_out(names: Sequence[str]) -> None:
    """Tell which variables of the shell count for nothing here."""
    if names:
        print(f"variables of your shell that are left out here: {', '.join(names)}", file=sys.stderr)


def _is_ours(name: str) -> bool:
    if name == "KUBECONFIG":
        return not os.environ.get("UPLOADPP_CLUSTER")  # which may ask for an existing one
    return name.startswith(_NOT_INHERITED)


@dataclass(frozen=True)
class OperatorOptions:
    """What an operator is told at its start."""

    kubeconfig: Path
    nats_address: str
    namespace: str
    steps: Sequence[str] = ("policies", "virusscan")
    environment: Mapping[str, str] = field(default_factory=dict)


class Operator(Service):
    """One operator process. Several of the same instance share the sealing key, as replicas do."""

    start_timeout: ClassVar = 30.0

    def __init__(self, instance: Instance, options: OperatorOptions, *, name: str = "operator") -> None:
        super().__init__(instance, name)
        self.options = options

    @property
    def url(self) -> str:
        """Where /livez, /readyz and /metrics are."""
        return f"http://127.0.0.1:{self.port()}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        process = self.process
        return process.pid if process else None

    @property
    def sealing_key_file(self) -> Path:
        """The key of the sealed parts of resources; made when first asked for."""
        path = self.instance.folder / "sealing.key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(Fernet.generate_key())
        return path

    def settings(self) -> dict[str, str]:
        """The variables that are about the operator."""
        return {
            "KUBECONFIG": str(self.options.kubeconfig),
            "OCIS_EVENTS_ENDPOINT": self.options.nats_address,
            "UPLOADPP_NAMESPACE": self.options.namespace,
            "UPLOADPP_SEALING_KEY_FILE": str(self.sealing_key_file),
            "POSTPROCESSING_STEPS": ",".join(self.options.steps),
            "POSTPROCESSING_DEBUG_ADDR": f"127.0.0.1:{self.port()}",
            **self.options.environment,
        }

    def environment(self) -> Mapping[str, str]:
        """Ours without what would configure an operator by accident, and its settings."""
        return {**plain_environment(), **self.settings()}

    def argv(self) -> list[str]:
        """The command line."""
        return [*COMMAND]

    def ready(self) -> bool:
        """Whether it says that it processes uploads."""
        get(f"{self.url}/readyz")
        return True

    def metrics(self) -> str:
        """Its metrics, in Prometheus' text format."""
        return get(f"{self.url}/metrics", timeout=60)
