"""The node image: Debian's packages, the files of kind's own node image, and the programs of our go.mods."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.binaries import resolve
from e2e.cluster.golang import module_folder
from e2e.cluster.progress import run_slowly
from e2e.cluster.tools import TOOLS
from e2e.images.archive import Image, write_archive, write_layer
from e2e.images.debian import ALONE, PATH, make_root, write_packages, write_root
from e2e.images.store import kept

VERSION = TOOLS["kube-apiserver"].pinned
NAME = f"kindest/node:{VERSION}"

_HERE = Path(__file__).parent
_FILES = _HERE / "files"
_PACKAGES = (
    *("systemd", "procps", "jq", "ca-certificates"),
    *("containerd", "runc", "containernetworking-plugins"),
    *("iptables", "conntrack", "iproute2", "ethtool", "kmod"),
)
_PROGRAMS = {"kubeadm": "kubeadm", "kubelet": "kind-kubelet", "kubectl": "kubectl"}
_IMAGES = {
    "etcd": "etcd",
    "kube-apiserver": "kube-apiserver",
    "kube-controller-manager": "kube-controller-manager",
    "kube-scheduler": "kube-scheduler",
    "kube-proxy": "kind-kube-proxy",
    "coredns": "kind-coredns",
    "pause": "pause",
}
"""What kubeadm starts in containers, by the last part of the image's name, and our name for the program."""

_IPTABLES = (
    *("iptables", "libxtables12", "libip4tc2", "libip6tc2", "libc6"),
    *("libmnl0", "libnftnl11", "libnetfilter-conntrack3", "libnfnetlink0"),
)
_ALTERNATIVES = ("usr/sbin/ip*tables*", "etc/alternatives/ip*tables*")
_LEFT_OUT = ("./usr/share/locale/*", "./usr/share/man/*")


def node_image() -> Path:
    """Its archive, for `docker load`."""
    return kept("kind-node", _fingerprint(), _make)


def _fingerprint() -> str:
    names = [*_PROGRAMS.values(), *_IMAGES.values(), "kind"]
    pins = [f"{name} {TOOLS[name].pinned}" for name in names if TOOLS[name].module]
    digest = hashlib.sha256("\n".join(pins).encode())
    for path in [Path(__file__), *sorted(path for path in _FILES.rglob("*") if path.is_file())]:
        digest.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _make(target: Path, work: Path) -> None:
    root, log = work / "root", target.with_name("kind-node.log")
    make_root(root, _PACKAGES, "installing Debian's packages for kind's node image (1 min, once)", log=log)
    for folder in (module_folder(TOOLS["kind"]) / "images" / "base" / "files", _FILES):
        _copy(folder, root)
    configure = [*ALONE, "chroot", str(root), "/kind/bin/configure.sh"]
    run_slowly("configuring it", configure, log=log, cwd=work, env=os.environ)
    for name, tool in _PROGRAMS.items():
        _install(resolve(tool).path, root / "usr" / "bin" / name, 0o755)
    (root / "kind" / "version").write_text(VERSION)
    _write_images(root, work)
    write_root(work / "root.tar", root, left_out=_LEFT_OUT)
    config = {
        "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
        "Env": [PATH, "container=docker"],
        "StopSignal": "SIGRTMIN+3",  # at which systemd ends
    }
    write_archive(target, Image(NAME, [work / "root.tar"], config))


def _copy(folder: Path, root: Path) -> None:
    """All files of a folder; those in a folder `bin` are programs."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        mode = 0o755 if path.parent.name == "bin" else 0o644
        _install(path, root / path.relative_to(folder), mode)


def _install(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _write_images(root: Path, work: Path) -> None:
    """The images that kubeadm asks for, and the one that holds the namespaces of Pods, under their names."""
    kubeadm = [str(resolve("kubeadm").path), "config", "images", "list", f"--kubernetes-version={VERSION}"]
    listed = subprocess.run(kubeadm, check=True, capture_output=True, text=True).stdout.split()
    containerd = (root / "etc" / "containerd" / "config.toml").read_text()
    pause = re.search(r'sandbox_image = "(.+)"', containerd)
    assert pause is not None, containerd  # noqa: S101  # kind looks for it in the same way
    folder = root / "kind" / "images"
    folder.mkdir()
    for image in [each for each in listed if "/pause:" not in each] + [pause[1]]:
        name = image.rpartition("/")[2].partition(":")[0]
        path = f"/usr/local/bin/{name}"
        layers = [write_layer(work / "program.tar", {path: resolve(_IMAGES[name]).path})]
        if name == "kube-proxy":
            layers.insert(0, work / "iptables.tar")
            write_packages(layers[0], root, _IPTABLES, _ALTERNATIVES)
        write_archive(folder / f"{name}.tar", Image(image, layers, {"Entrypoint": [path], "Env": [PATH]}))
