"""The prebuilt etcd and kube-apiserver that the Kubernetes project publishes for tests of controllers."""

import hashlib
import io
import os
import re
import tarfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import yaml

from e2e.cluster.progress import say
from e2e.cluster.tools import TOOLS, Version, parse_version
from e2e.paths import cache_dir

# A commit, not a branch: the index holds the checksums of the archives, and must not change with them.
COMMIT = "434758187dddcaf646276fbe2c2ba40ff4e859d5"
INDEX = f"https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/{COMMIT}/envtest-releases.yaml"
_TIMEOUT = 4.0  # seconds for each answer, so that a closed network costs no time
_REFUSAL_HOLDS = 24 * 3600.0


@dataclass(frozen=True)
class Release:
    """One published archive for this machine."""

    version: str
    url: str
    sha512: str


def fetch(folder: Path) -> bool:
    """Unpack the newest suitable release into the folder; False if none can be had (asked once a day)."""
    refusal = cache_dir() / "envtest-refused"
    if refusal.exists() and time.time() - refusal.stat().st_mtime < _REFUSAL_HOLDS:
        return False
    try:
        release = _choose(_get(INDEX).decode())
        say(f"==> downloading etcd and kube-apiserver {release.version} (30 s to 2 min)")
        archive = _get(release.url)
        _verify(archive, release)
        _unpack(archive, folder)
    except (OSError, ValueError, LookupError, tarfile.TarError, yaml.YAMLError) as error:
        say(f"    no prebuilt etcd and kube-apiserver ({error}); asked again in a day")
        refusal.parent.mkdir(parents=True, exist_ok=True)
        refusal.touch()
        return False
    refusal.unlink(missing_ok=True)
    return True


def _choose(index: str) -> Release:
    """The newest release for this machine that is not newer than the version we pin."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    ending = f"-{os.uname().sysname.lower()}-{machine}.tar.gz"
    apiserver = TOOLS["kube-apiserver"]
    newest = parse_version(apiserver.pinned) or apiserver.minimum
    fitting: list[tuple[Version, Release]] = []
    for name, archives in yaml.safe_load(index)["releases"].items():
        version = parse_version(name)
        if version is None or not apiserver.minimum <= version <= newest:
            continue
        fitting += [
            (version, Release(name, archive["selfLink"], archive["hash"]))
            for file, archive in archives.items()
            if file.endswith(ending)
        ]
    if not fitting:
        raise LookupError(f"no release for {ending[1:]}")
    return max(fitting, key=lambda pair: pair[0])[1]


def _get(url: str) -> bytes:
    if not re.match(r"https://", url):
        raise ValueError(f"not fetched over an insecure connection: {url}")
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310  # the scheme is checked above
        content: bytes = answer.read()
        return content


def _verify(archive: bytes, release: Release) -> None:
    if hashlib.sha512(archive).hexdigest() != release.sha512:
        raise ValueError(f"the checksum of {release.url} is not the published one")


def _unpack(archive: bytes, folder: Path) -> None:
    """Take the programs we know out of the archive, by name, wherever they lie in it."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {tool.name for tool in TOOLS.values() if tool.in_envtest}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            name = Path(member.name).name
            content = tar.extractfile(member) if member.isfile() and name in wanted else None
            if content is None:
                continue
            draft = folder / f".{name}.{os.getpid()}"
            draft.write_bytes(content.read())
            draft.chmod(0o755)
            draft.rename(folder / name)
            wanted.discard(name)
    if wanted:
        raise LookupError(f"the archive lacks {', '.join(sorted(wanted))}")
