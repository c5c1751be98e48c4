"""A cluster with real Pods, NATS in it, and a person with kubectl and helm in front of it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from e2e.cluster.binaries import resolve
from e2e.cluster.helm import CHART, Helm
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.provider import ClusterProvider
from e2e.cluster.service import Service
from e2e.images.make import NATS, OPERATOR, nats_image, operator_image
from e2e.paths import REPO
from tests.pods import guide
from uploadpp.api import CRD_NAME, POLICY_CRD_NAME

NAMESPACE = "ocis"
RELEASE = "upload-postprocessing"
POD_SELECTOR = "app.kubernetes.io/name=upload-postprocessing,app.kubernetes.io/component=operator"
_MANIFEST = Path(__file__).with_name("nats.yaml")
_TIMEOUT = 300.0

STEPS = {
    "steps": [{"name": "virusscan", "timeoutSeconds": 300, "onExhausted": "Hold"}, {"name": "policies"}],
}
"""What the guide leaves to people: the steps whose services run here."""


class Tunnel(Service):
    """`kubectl port-forward` to the NATS Pod."""

    def __init__(self, instance: Instance, kubeconfig: Path) -> None:
        super().__init__(instance, "tunnel")
        self._kubeconfig = kubeconfig

    def argv(self) -> list[str]:
        """The command line."""
        kubectl = [str(resolve("kubectl").path), f"--kubeconfig={self._kubeconfig}"]
        return [*kubectl, "port-forward", f"--namespace={NAMESPACE}", "pod/nats", f"{self.port()}:9233"]

    def ready(self) -> bool:
        """Whether NATS greets at our end."""
        with socket.create_connection(("127.0.0.1", self.port()), timeout=2) as client:
            return client.recv(4) == b"INFO"


class Site:
    """A namespace under the restricted standard, with NATS; the operator is not installed yet."""

    def __init__(self, provider: ClusterProvider, environment: Mapping[str, str]) -> None:
        self._provider = provider
        self._own_address = environment.get("UPLOADPP_OWN_ADDRESS", "")
        self.image = environment.get("UPLOADPP_IMAGE") or OPERATOR
        self.nats_image = environment.get("UPLOADPP_NATS_IMAGE") or NATS
        self._own_images = [
            make
            for make, name in ((operator_image, "UPLOADPP_IMAGE"), (nats_image, "UPLOADPP_NATS_IMAGE"))
            if not environment.get(name)
        ]
        self.instance = Instance.temporary("site")
        self._made_namespace = False

    def start(self) -> None:
        """Everything but the operator."""
        archives = [make() for make in self._own_images]
        self.kubeconfig = self._provider.start()
        for archive in archives:
            self._provider.load(archive)
        admin = Kubectl(self.kubeconfig)
        admin("create", "namespace", NAMESPACE)  # of nobody else, or this fails
        self._made_namespace = True
        admin("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        self.kubectl = Kubectl(self.kubeconfig, NAMESPACE)
        self.helm = Helm(NAMESPACE, self.kubeconfig)
        self.kubectl("apply", "-f", "-", stdin=_MANIFEST.read_text().replace("$(IMAGE)", self.nats_image))
        self.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/nats", timeout=70)
        self.tunnel = Tunnel(self.instance, self.kubeconfig)
        self.tunnel.start()
        self._watch_endings()
        self.tools = self.instance.folder / "tools"
        self.tools.mkdir()
        for name in ("kubectl", "helm"):
            (self.tools / name).symlink_to(resolve(name).path)
        subprocess.run([sys.executable, REPO / "scripts/build_plugin.py", self.tools], check=True)

    def _watch_endings(self) -> None:
        """Note how each Pod's process ends: the Pod is gone a moment later."""
        ended = "{.status.containerStatuses[*].state.terminated"
        shown = f"--output=jsonpath={{.metadata.name}} {ended}.exitCode}} {ended}.reason}}{{'\\n'}}"
        watch = ["get", "pods", f"--selector={POD_SELECTOR}", "--watch", shown]
        self._endings = self._in_background("endings", *watch)

    def _in_background(self, name: str, *args: str) -> Path:
        """A kubectl that goes on until we end; returns what it writes to."""
        kubectl = [
            str(resolve("kubectl").path),
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={NAMESPACE}",
        ]
        file = self.instance.folder / name
        with file.open("w") as output:
            child = subprocess.Popen([*kubectl, *args], stdout=output)
        self.instance.record(name, child)
        return file

    def follow_log(self) -> Path:
        """What the one Pod says from here on, kept when it is gone."""
        (pod,) = self.pods()
        return self._in_background(f"{pod}.log", "logs", "--follow", pod)

    def exit_statuses(self) -> dict[str, str]:
        """How the processes of the Pods that are gone have ended, of those that had begun."""
        lines = (line.split() for line in self._endings.read_text().splitlines())
        ended = (words for words in lines if len(words) == len(("name", "status", "reason")))
        return {name: status for name, status, reason in ended if reason != "ContainerStatusUnknown"}

    def stop(self) -> None:
        """Remove what was made."""
        if self._made_namespace and self._provider.name == "existing":
            admin = Kubectl(self.kubeconfig)
            admin("delete", "namespace", NAMESPACE, "--timeout=60s", timeout=90)
            admin("delete", "crd", CRD_NAME, POLICY_CRD_NAME, "--ignore-not-found")
        self.instance.close()
        self._provider.stop()

    @property
    def nats_url(self) -> str:
        """Where NATS is for us."""
        return f"nats://127.0.0.1:{self.tunnel.port()}"

    @property
    def own_address(self) -> str:
        """Where Pods find what this test serves; empty where they do not."""
        if self._provider.name != "node":
            return self._own_address
        (cluster,) = yaml.safe_load(self.kubeconfig.read_text())["clusters"]
        return urlsplit(cluster["cluster"]["server"]).hostname or ""

    def image_values(self) -> list[str]:
        """Which image Pods use: the one of this working copy, which no registry has."""
        repository, _, tag = self.image.rpartition(":")
        return [f"--set=image.repository={repository}", f"--set=image.tag={tag}"]

    def type(self, command: list[str]) -> str:
        """A command as a person types it, in a folder with the guide's values.yaml; returns the output."""
        folder = self.instance.folder / "terminal"
        folder.mkdir(exist_ok=True)
        (folder / "values.yaml").write_text(self.values_file())
        environment = {
            **os.environ,
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(folder),
            "KUBERC": "off",
        }
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.state()}"
        return done.stdout

    def values_file(self) -> str:
        """The guide's own values; JSON is YAML."""
        return json.dumps({**guide.values(), **STEPS})

    def upgrade(self, **changed: Any) -> None:  # noqa: ANN401 -- values
        """`helm upgrade` to the guide's values with some changed, until all Pods are new."""
        self.helm(
            "upgrade",
            RELEASE,
            str(CHART),
            *self.image_values(),
            "--wait",
            "--timeout=100s",
            values={**guide.values(), **STEPS, **changed},
        )

    def pods(self) -> list[str]:
        """The operator's Pods, but for those that are about to end."""
        found = self.kubectl.json("get", "pods", f"--selector={POD_SELECTOR}")["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @property
    def has_its_processes_here(self) -> bool:
        """Whether the processes in its Pods are processes of this machine."""
        return self._provider.name != "existing"

    def kill_container(self, pod: str) -> None:
        """`kill -9` of the operator in a Pod, from outside: inside, the first process is immortal."""
        uid = self.kubectl.json("get", "pod", pod)["metadata"]["uid"]
        variable = f"UPLOADPP_POD_UID={uid}".encode()
        found = [
            int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if variable in _read(path)
        ]
        assert len(found) == 1, f"processes of Pod {pod}: {found}"
        os.kill(found[0], signal.SIGKILL)
        restarted = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
        self.kubectl("wait", restarted, f"pod/{pod}", "--timeout=60s", timeout=70)
        self.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=60s", timeout=70)

    def owner(self) -> str:
        """The Pod that works; empty when none does."""
        spec = self.kubectl.json("get", "lease", "uploadpp-shard-0")["spec"]
        return str(spec.get("holderIdentity", "")).rpartition("_")[0]

    def state(self) -> str:
        """What a person would look at when something is wrong."""
        described = self.kubectl("describe", "pods", f"--selector={POD_SELECTOR}")
        logs = self.kubectl("logs", f"--selector={POD_SELECTOR}", "--tail=20")
        return f"{described}\n{logs}"


def _read(environ: Path) -> list[bytes]:
    """The variables of a process; none when it is gone."""
    try:
        return environ.read_bytes().split(b"\0")
    except OSError:
        return []
