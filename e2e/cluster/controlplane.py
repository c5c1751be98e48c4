"""The two servers of a control plane: etcd and kube-apiserver."""

import os
import secrets
import urllib.error
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from e2e.cluster.binaries import resolve
from e2e.cluster.certificates import write_certificates
from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.service import Service

CHOICE = "UPLOADPP_TEST_KUBERNETES"
"""With `oldest` here the API server is the oldest supported one."""


def _wants_oldest() -> bool:
    return os.environ.get(CHOICE) == "oldest"


class Etcd(Service):
    """etcd with one member, on loopback."""

    port_names: ClassVar = ("client", "peer")

    def __init__(self, instance: Instance, *, fsync: bool) -> None:
        super().__init__(instance, "etcd")
        self._fsync = fsync

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port('client')}"

    def environment(self) -> Mapping[str, str]:
        """Ours without what etcd would read: it ends when a variable says something else than its flags."""
        return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}

    def argv(self) -> list[str]:
        """The command line."""
        peer = f"http://127.0.0.1:{self.port('peer')}"
        return [
            str(resolve("etcd").path),
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--quota-backend-bytes={8 << 30}",
            "--log-level=warn",
            *([] if self._fsync else ["--unsafe-no-fsync"]),
        ]

    def ready(self) -> bool:
        """Whether it serves reads and writes."""
        return '"true"' in get(f"{self.url}/health")


class ApiServer(Service):
    """kube-apiserver without nodes or controllers, on loopback."""

    service_address = "10.0.0.1"
    """Of its own Service, the first of the range."""

    def __init__(self, instance: Instance, etcd: Etcd, extra_args: Sequence[str]) -> None:
        super().__init__(instance, "kube-apiserver")
        self._etcd = etcd
        self._extra_args = extra_args

    @property
    def address(self) -> str:
        """Where it listens."""
        return "127.0.0.1"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"https://{self.address}:{self.port()}"

    @property
    def ca_file(self) -> Path:
        """The certificate that signed the server's."""
        return self.data / "ca.crt"

    @cached_property
    def token(self) -> str:
        """The administrator's bearer token."""
        path = self.data / "tokens.csv"
        if not path.exists():
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(f'{secrets.token_urlsafe(24)},admin,admin,"system:masters"\n')
        return path.read_text().split(",", 1)[0]

    def argv(self) -> list[str]:
        """The command line."""
        return [
            str(resolve("kube-apiserver-oldest" if _wants_oldest() else "kube-apiserver").path),
            f"--etcd-servers={self._etcd.url}",
            f"--bind-address={self.address}",
            f"--secure-port={self.port()}",
            f"--tls-cert-file={self.data}/server.crt",
            f"--tls-private-key-file={self.data}/server.key",
            f"--token-auth-file={self.data}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.data}/service-account.key",
            f"--service-account-signing-key-file={self.data}/service-account.key",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--profiling=false",
            *self.role(),
            *self._extra_args,
        ]

    def role(self) -> list[str]:
        """Flags of a server that has no company."""
        return [
            "--disable-admission-plugins=ServiceAccount",  # nobody makes default service accounts here
            "--endpoint-reconciler-type=none",  # nobody needs the server's own Service
        ]

    def launch(self) -> None:
        """Start the process without waiting for it."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_certificates(self.data, (self.address, self.service_address))
        _ = self.token
        super().launch()

    def ready(self) -> bool:
        """Whether all of its start-up is done."""
        try:
            self.get("/readyz")
        except urllib.error.HTTPError as error:
            error.close()
            return False
        return True

    def get(self, path: str) -> str:
        """The answer to a GET as the administrator, as text."""
        return get(self.url + path, token=self.token, ca_file=self.ca_file)
