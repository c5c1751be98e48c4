"""The programs we run, which versions of them will do, and how each is built if it has to be."""

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from e2e.paths import REPO

Version = tuple[int, int, int]
_NUMBER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(\S*)")
_VERSION_TIMEOUT = 20.0  # seconds; a cold 120 MB binary on a busy machine


def parse_version(text: str) -> Version | None:
    """The first x.y.z in the text; None for none or for a development build such as v1.32.4-dispatcher."""
    match = _NUMBER.search(text)
    if match is None or re.match(r"-[a-zA-Z]", match[4]):
        return None
    return int(match[1]), int(match[2]), int(match[3])


@dataclass(frozen=True)
class Tool:
    """One program."""

    name: str
    minimum: Version
    version_args: tuple[str, ...] = ("--version",)
    module: Path | None = None  # the folder of the go.mod that pins it
    package: str = ""
    pinned_by: str = ""  # the module in that go.mod whose version is the program's
    stamp: str = ""  # variable, or package of Kubernetes, that tells the program its version
    tags: str = ""  # build tags
    minutes: float = 1.0  # to build the first time, on two cores
    in_envtest: bool = field(default=False)

    def version_of(self, path: Path) -> Version | None:
        """The version a binary says it has; None if it does not run or says none."""
        try:
            done = subprocess.run(
                [path, *self.version_args],
                capture_output=True,
                text=True,
                check=True,
                timeout=_VERSION_TIMEOUT,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return parse_version(done.stdout)

    @property
    def pinned(self) -> str:
        """The version that our go.mod pins, such as v1.37.2."""
        if self.module is None:
            raise LookupError(f"{self.name} is pinned by no go.mod")
        return _pinned_version(self.module / "go.mod", self.pinned_by)


@cache
def _pinned_version(go_mod: Path, module: str) -> str:
    match = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise LookupError(f"{go_mod} does not pin {module}")
    return match[1]


_CONTROL_PLANE = REPO / "e2e" / "controlplane"
_NODE = REPO / "e2e" / "node"
_KIND = REPO / "e2e" / "kind"
_NO_CLOUDS = "remove_all_sd"  # no service discovery, which brings the libraries of all clouds along
_KUBERNETES_STAMP = "k8s.io/component-base/version"

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "etcd",
            minimum=(3, 5, 0),
            module=_CONTROL_PLANE,
            package="go.etcd.io/etcd/server/v3",
            pinned_by="go.etcd.io/etcd/server/v3",
            minutes=1,
            in_envtest=True,
        ),
        Tool(
            "kube-apiserver",
            minimum=(1, 32, 0),
            module=_CONTROL_PLANE,
            package="k8s.io/kubernetes/cmd/kube-apiserver",
            pinned_by="k8s.io/kubernetes",
            stamp=_KUBERNETES_STAMP,
            minutes=8,
            in_envtest=True,
        ),
        Tool(
            "kube-apiserver-oldest",  # the oldest that the operator supports
            minimum=(1, 32, 0),
            module=REPO / "e2e" / "oldest",
            package="k8s.io/kubernetes/cmd/kube-apiserver",
            pinned_by="k8s.io/kubernetes",
            stamp=_KUBERNETES_STAMP,
            minutes=8,
        ),
        *(
            Tool(
                name,
                minimum=(1, 36, 0),  # no newer than kube-apiserver
                module=_CONTROL_PLANE,
                package=f"k8s.io/kubernetes/cmd/{name}",
                pinned_by="k8s.io/kubernetes",
                stamp=_KUBERNETES_STAMP,
                minutes=minutes,
            )
            for name, minutes in (("kube-controller-manager", 3), ("kube-scheduler", 1))
        ),
        *(
            Tool(
                name,
                minimum=(1, 34, 0),  # at most three minor versions older than kube-apiserver
                module=_NODE,
                package=f"k8s.io/kubernetes/cmd/{name}",
                pinned_by="k8s.io/kubernetes",
                stamp=_KUBERNETES_STAMP,
                minutes=minutes,
            )
            for name, minutes in (("kubelet", 5), ("kube-proxy", 1))
        ),
        Tool("pause", (1, 34, 0), module=_NODE, package="./pause", pinned_by="k8s.io/kubernetes"),
        Tool(
            "kind",
            minimum=(0, 33, 0),
            version_args=("version",),
            module=_KIND,
            package="sigs.k8s.io/kind",
            pinned_by="sigs.k8s.io/kind",
        ),
        *(
            Tool(
                name,
                minimum=(1, 37, 0),  # what kubeadm is made for
                version_args=version_args,
                module=_KIND,
                package=f"k8s.io/kubernetes/cmd/{name.removeprefix('kind-')}",
                pinned_by="k8s.io/kubernetes",
                stamp=_KUBERNETES_STAMP,
                minutes=minutes,
            )
            for name, version_args, minutes in (
                ("kubeadm", ("version", "--output=short"), 1),
                ("kind-kubelet", ("--version",), 2),
                ("kind-kube-proxy", ("--version",), 1),
            )
        ),
        Tool(
            "kind-coredns",
            minimum=(1, 14, 0),
            version_args=("-version",),
            module=_KIND,
            package="./coredns",
            pinned_by="github.com/coredns/coredns",
        ),
        Tool(
            "krew",
            minimum=(0, 4, 3),
            version_args=("version",),
            module=REPO / "e2e" / "krew",
            package="sigs.k8s.io/krew/cmd/krew",
            pinned_by="sigs.k8s.io/krew",
            stamp="sigs.k8s.io/krew/internal/version.gitTag",
            minutes=1,
        ),
        Tool(
            "coredns",
            minimum=(1, 11, 0),
            version_args=("-version",),
            module=REPO / "e2e" / "dns",
            package=".",
            pinned_by="github.com/coredns/coredns",
            minutes=2,
        ),
        # A kubectl works with servers one minor version away.
        Tool("kubectl", minimum=(1, 36, 0), version_args=("version", "--client")),
        Tool(
            "helm",
            minimum=(3, 14, 0),
            version_args=("version", "--short"),
            module=REPO / "e2e" / "helm",
            package="helm.sh/helm/v4/cmd/helm",
            pinned_by="helm.sh/helm/v4",
            stamp="helm.sh/helm/v4/internal/version.version",
            minutes=4,
        ),
        Tool(
            "promtool",
            minimum=(2, 40, 0),
            module=REPO / "e2e" / "promtool",
            package="github.com/prometheus/prometheus/cmd/promtool",
            pinned_by="github.com/prometheus/prometheus",
            stamp="github.com/prometheus/common/version.Version",
            tags=_NO_CLOUDS,
            minutes=2,
        ),
        Tool(
            "prometheus",
            minimum=(2, 40, 0),
            module=REPO / "e2e" / "promtool",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            pinned_by="github.com/prometheus/prometheus",
            stamp="github.com/prometheus/common/version.Version",
            tags=_NO_CLOUDS,
            minutes=1,  # after promtool, of which it has most packages
        ),
        Tool(
            "k9s",
            minimum=(0, 50, 0),
            version_args=("version", "--short"),
            module=REPO / "e2e" / "k9s",
            package="github.com/derailed/k9s",
            pinned_by="github.com/derailed/k9s",
            stamp="github.com/derailed/k9s/cmd.version",
            minutes=6,
        ),
    )
}
