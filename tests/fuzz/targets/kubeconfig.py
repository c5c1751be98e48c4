"""A kubeconfig, as a person or a tool has written it."""

import tempfile
from contextlib import suppress
from pathlib import Path

from tests.fuzz.target import Target
from uploadpp.kube.access import Access, ConfigError
from uploadpp.kube.kubeconfig import load_kubeconfig
from uploadpp.kube.plugin import MOST_BYTES, _bounded

SHM = Path("/dev/shm")  # noqa: S108 -- a folder of our own in it
_FOLDER = tempfile.TemporaryDirectory(prefix="uploadpp-fuzz-", dir=SHM if SHM.is_dir() else None)
FILE = Path(_FOLDER.name) / "config"


def read() -> Access | str:
    """How the cluster is reached, or what is wrong."""
    try:
        return load_kubeconfig({"KUBECONFIG": str(FILE)})
    except ConfigError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) <= 1000
    return said


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    FILE.write_bytes(data)
    access, again = read(), read()
    assert repr(access) == repr(again) or "function" in repr(access)
    if isinstance(access, str):
        return
    assert access.server.startswith(("http://", "https://"))
    assert access.server.isprintable()
    if access.server.startswith("http://"):
        remote = not any(each in access.server for each in ("127.", "localhost", "[", "::1"))
        assert not remote or not (access.token or access.basic or access.certificate or access.plugin)
    for name, value in access.headers:
        f"{name}: {value}".encode()
        assert not set(name + value) & {"\r", "\n", "\0"}
    for source in (access.authority, access.certificate, access.key):
        assert source is None or source.path is None or source.path.is_absolute()
    if access.plugin is not None and access.plugin.cluster is not None and not _names_file(access):
        with suppress(ValueError, ConfigError):
            assert len(_bounded(access.plugin.cluster())) <= MOST_BYTES


def _names_file(access: Access) -> bool:
    return access.authority is not None and access.authority.path is not None


TARGET = Target(
    check,
    longest=3000,
    words=(
        "clusters:", "users:", "contexts:", "current-context:", "server: https://", "name: ", "exec:",
        "args: [", "apiVersion: ", "client.authentication.k8s.io/v1", "as-user-extra: ", "as: ", "token: ",
        "username: ",
        "proxy-url: ", "tls-server-name: ", "insecure-skip-tls-verify: true", "provideClusterInfo: true",
        "certificate-authority-data: ", "extensions: ", "&a ", "*a", "<<: *a",
        "!!binary ", "!!set ", "!!omap ", "!!python/object:", "0x", "0o", "1e9", ".inf", "2001-01-01", "---",
        "? ", "|-",
    ),
)  # fmt: skip
