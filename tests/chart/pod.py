"""What the chart has installed, run as processes of this machine: a node's work without a node.

Variables are resolved, Secrets become files, and the token of the ServiceAccount is the only way to
the API server.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from e2e.cluster.helm import Helm
from e2e.cluster.instance import Instance
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.operator_process import Operator, OperatorOptions
from tests.chart.rendering import Object, the
from uploadpp.api import CRD_NAME, POLICY_CRD_NAME

MOUNT = "/etc/uploadpp"
NAME = "upload-postprocessing"
CRDS = (CRD_NAME, POLICY_CRD_NAME)
POD_UID = "6f1c1a52-9d0e-4c7a-8a35-1d0f6c7e2b11"
SELFTEST_SECONDS = 120.0


class PodProcess(Operator):
    """The one container of a Pod, as a process."""

    def __init__(self, instance: Instance, kubeconfig: Path, namespace: str, container: Object) -> None:
        super().__init__(instance, OperatorOptions(kubeconfig, "", namespace))
        self.container = container
        self.variables: dict[str, str] = {}

    def settings(self) -> dict[str, str]:
        """What the Pod says, at another address because this machine has only one port 9255."""
        address = f"127.0.0.1:{self.port()}"
        return {
            **self.variables,
            "KUBECONFIG": str(self.options.kubeconfig),
            "POSTPROCESSING_DEBUG_ADDR": address,
        }

    def argv(self) -> list[str]:
        """The image's entry point and the Pod's arguments."""
        return [sys.executable, "-m", "uploadpp", *self.container["args"]]


class Installation:
    """A release in a namespace, and how to run what it has installed."""

    def __init__(self, cluster: LocalCluster, instance: Instance, namespace: str, values: Object) -> None:
        self.cluster = cluster
        self.instance = instance
        self.namespace = namespace
        self.values = values
        self.helm = Helm(namespace, cluster.kubeconfig)
        self.kubectl = Kubectl(cluster.kubeconfig, namespace)

    def install(self, **changed: Any) -> str:  # noqa: ANN401 -- values
        """Install or upgrade, with some values changed; returns the notes."""
        admin = Kubectl(self.cluster.kubeconfig)
        owner = f"meta.helm.sh/release-namespace={self.namespace}"
        for crd in CRDS:
            if admin("get", "crd", crd, "--ignore-not-found", "--output=name"):
                # That of an earlier test's release, which Helm protects.
                admin("annotate", "--overwrite", "crd", crd, owner)
        return self.helm.install(NAME, self.values | changed)

    def operator(self) -> PodProcess:
        """The operator of the installed Deployment, not yet started."""
        deployment = self.kubectl.json("get", "deployment", NAME)
        return self._process(deployment["spec"]["template"]["spec"])

    def selftest(self, *args: str) -> subprocess.CompletedProcess[str]:
        """What `helm test` would run, to its end."""
        made = {"sealingKey": {"existingSecret": f"{NAME}-sealing-key"}}  # by the installation
        pod = the(self.helm.render(NAME, made | self.values), "Pod")
        text = json.dumps(pod)
        admitted = self.kubectl("create", "--dry-run=server", "--output=json", "--filename=-", stdin=text)
        process = self._process(json.loads(admitted)["spec"])
        return subprocess.run(
            [*process.argv(), *args],
            env=process.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SELFTEST_SECONDS,
        )

    def _process(self, spec: Object) -> PodProcess:
        folder = self.instance.folder / "pod"
        folder.mkdir(exist_ok=True)
        kubeconfig = folder / "kubeconfig"
        write_kubeconfig(
            kubeconfig,
            server=self.cluster.apiserver.url,
            ca=self.cluster.apiserver.ca_file.read_bytes(),
            token=self.kubectl("create", "token", spec["serviceAccountName"]).strip(),
            namespace=self.namespace,
        )
        (container,) = spec["containers"]
        process = PodProcess(self.instance, kubeconfig, self.namespace, container)
        process.variables = {each["name"]: self._value(each, folder) for each in container["env"]}
        (credentials,) = [each["projected"] for each in spec["volumes"] if each["name"] == "credentials"]
        for secret in [source["secret"] for source in credentials["sources"] or []]:
            for item in secret["items"]:
                Path(folder, item["path"]).write_bytes(self._secret(secret["name"], item["key"]))
        return process

    def _value(self, variable: Object, folder: Path) -> str:
        if "value" in variable:
            return str(variable["value"]).replace(MOUNT, str(folder))
        source = variable["valueFrom"]
        if field := source.get("fieldRef"):
            return {"metadata.namespace": self.namespace, "metadata.uid": POD_UID}[field["fieldPath"]]
        return self._secret(source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]).decode()

    def _secret(self, name: str, key: str) -> bytes:
        return base64.b64decode(self.kubectl.json("get", "secret", name)["data"][key])
