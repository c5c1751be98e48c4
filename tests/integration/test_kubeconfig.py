"""One way to the API server, held against the real kubectl with the same files."""

import asyncio
import base64
import contextlib
import gc
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.binaries import resolve
from e2e.cluster.local import LocalCluster
from uploadpp.kube import credentials as module
from uploadpp.kube.access import ConfigError
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import find_credentials
from uploadpp.kube.errors import ForbiddenError
from uploadpp.resources.watch.kopf_thread import Watch

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
BODY = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Files:
    """Kubeconfig files in folders of their own, and the cluster that they lead to."""

    def __init__(self, folder: Path, cluster: LocalCluster) -> None:
        self.folder = folder
        self.token = cluster.apiserver.token
        self.url = cluster.apiserver.url
        self.ca = cluster.apiserver.ca_file.read_bytes()

    @property
    def cluster(self) -> dict[str, Any]:
        return {"server": self.url, "certificate-authority-data": base64.b64encode(self.ca).decode()}

    def write(self, name: str, **parts: Any) -> Path:  # noqa: ANN401 -- parts of a kubeconfig
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
        for section, key in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            if section in parts:
                config[section] = [{"name": n, key: v} for n, v in parts.pop(section).items()]
        path.write_text(yaml.safe_dump({**config, **parts}))
        return path

    def one(self, user: dict[str, Any], cluster: dict[str, Any] | None = None, name: str = "config") -> Path:
        return self.write(
            name,
            clusters={"c": cluster or self.cluster},
            users={"u": user},
            contexts={"x": {"cluster": "c", "user": "u", "namespace": "ns"}},
            **{"current-context": "x"},
        )

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path


@pytest.fixture
def files(tmp_path: Path, cluster: LocalCluster) -> Files:
    return Files(tmp_path, cluster)


def of_kubectl(value: str) -> str:
    """Who the real kubectl is with this KUBECONFIG; the end of its complaint when it is nobody."""
    done = subprocess.run(
        [str(resolve("kubectl").path), "auth", "whoami", "--output=json"],
        env={**os.environ, "KUBECONFIG": value, "KUBERC": "off"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return json.loads(done.stdout)["status"]["userInfo"]["username"] if done.returncode == 0 else "nobody"


async def of_ours(value: str) -> str:
    try:
        credentials = find_credentials({**os.environ, "KUBECONFIG": value})
        async with Api(credentials) as api:
            return str((await api.request("POST", REVIEW, BODY))["status"]["userInfo"]["username"])
    except (ConfigError, ForbiddenError):
        return "nobody"


async def same(value: str) -> str:
    """Who both are; they must agree."""
    ours = await of_ours(value)
    assert ours == await asyncio.to_thread(of_kubectl, value)
    return ours


async def test_several_files_are_merged_and_the_first_wins(files: Files) -> None:
    wrong = {"server": "https://127.0.0.1:1"}
    context = {"cluster": "c", "user": "u"}
    first = files.write("a/config", clusters={"c": files.cluster}, users={"other": {}})
    second = files.write(
        "b/config",
        clusters={"c": wrong},
        users={"u": {"token": files.token}},
        contexts={"x": context},
        **{"current-context": "x"},
    )
    third = files.write(
        "c/config",
        users={"u": {"token": "wrong"}},
        contexts={"other": context},
        **{"current-context": "nowhere"},
    )
    missing = files.folder / "missing"
    assert await same(f"{first}:{second}:{third}") != "nobody"
    assert await same(f"{missing}::{first}:{first}:{second}") != "nobody"
    assert await same(f"{third}:{first}:{second}") == "nobody"


async def test_an_entry_counts_as_a_whole(files: Files) -> None:
    """Not even a field that the first file leaves out is taken from a later one."""
    bare = files.write("a", users={"u": {"username": "", "as": ""}})
    both = f"{bare}:{files.one({'token': files.token})}"
    await same(both)
    assert (await find_credentials({"KUBECONFIG": both}).current()).headers == ()


@pytest.mark.parametrize(
    "user",
    [
        {"token": "wrong"},
        {
            "token": "TOKEN",
            "as": "mary",
            "as-groups": ["system:masters", "g2"],
            "as-user-extra": {"a/b": ["1"]},
        },
        {"token": "wrong", "tokenFile": "token"},
        {"tokenFile": "token"},
        {"tokenFile": "missing"},
        {"username": "mary", "password": "x"},
        {"token": "TOKEN", "username": "mary", "password": "x"},
        {"token": "TOKEN", "as-groups": ["g"]},
        {"auth-provider": {"name": "gcp"}},
        {"client-certificate": "missing", "client-key": "missing"},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./give"}},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./give"}},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "./give"}},
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "../user/give",
                "args": ["v1"],
                "env": [{"name": "WHICH", "value": "v1"}],
                "interactiveMode": "Never",
                "provideClusterInfo": True,
            }
        },
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "./give",
                "env": [{"name": "WHICH", "value": "v1beta1"}],
            }
        },
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "no-such",
                "interactiveMode": "Never",
            }
        },
    ],
    ids=str,
)
async def test_every_way_to_log_in_is_kubectl_s(files: Files, user: dict[str, Any]) -> None:
    user = json.loads(json.dumps(user).replace("TOKEN", files.token))
    path = files.one(user, name="user/config")
    (path.parent / "token").write_text(f"{files.token}\n")
    files.script(
        "user/give",
        'printf \'{"apiVersion":"client.authentication.k8s.io/%s","kind":"ExecCredential",'
        f'"status":{{"token":"{files.token}"}}}}\' "$WHICH"',
    )
    await same(str(path))


@pytest.mark.parametrize(
    "change",
    [
        {"certificate-authority-data": None, "certificate-authority": "ca.crt"},
        {"certificate-authority-data": None, "insecure-skip-tls-verify": True},
        {"insecure-skip-tls-verify": True},
        {"certificate-authority": "ca.crt"},
        {"certificate-authority-data": None},
        {"tls-server-name": "localhost"},
        {"tls-server-name": "elsewhere.test"},
        {"server": "URL/"},
        {"server": "HOST"},
        {"server": "HOST", "certificate-authority-data": None, "certificate-authority": "ca.crt"},
        {"server": "HOST", "certificate-authority-data": None, "insecure-skip-tls-verify": True},
        {"server": None},
    ],
    ids=str,
)
async def test_every_field_of_a_cluster_is_kubectl_s(files: Files, change: dict[str, Any]) -> None:
    text = json.dumps(change).replace("URL", files.url).replace("HOST", files.url.partition("://")[2])
    entry = {k: v for k, v in {**files.cluster, **json.loads(text)}.items() if v is not None}
    path = files.one({"token": files.token}, entry)
    (path.parent / "ca.crt").write_bytes(files.ca)
    try:
        ours = await asyncio.wait_for(of_ours(str(path)), 20)
    except Exception:  # noqa: BLE001 -- no connection counts like no credentials
        ours = "nobody"
    assert ours == await asyncio.to_thread(of_kubectl, str(path))


async def test_a_plugin_runs_again_when_its_token_has_expired_or_is_refused(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    give = files.script(
        "give",
        f'echo run >>{files.folder}/runs; printf \'{{"apiVersion":"client.authentication.k8s.io/v1","kind":'
        '"ExecCredential","status":{"token":"%s","expirationTimestamp":"%s"}}\' '
        f'"$(cat {files.folder}/token)" "$(cat {files.folder}/expiry)"',
    )
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(give), "interactiveMode": "Never"}
    (files.folder / "token").write_text(files.token)
    (files.folder / "expiry").write_text("2020-01-01T00:00:00Z")
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)
    credentials = find_credentials({"KUBECONFIG": str(files.one({"exec": spec}))})
    runs = files.folder / "runs"
    async with Api(credentials) as api:
        await api.request("POST", REVIEW, BODY)
        assert runs.read_text().count("run") == 2, "what has expired is asked for again"
        (files.folder / "expiry").write_text("2090-01-01T00:00:00Z")
        for _ in range(3):
            await api.request("POST", REVIEW, BODY)
        assert runs.read_text().count("run") == 3, "what has not is kept"
    (files.folder / "token").write_text("outdated")
    credentials = find_credentials({"KUBECONFIG": str(files.one({"exec": spec}))})
    (files.folder / "token").write_text(files.token)
    async with Api(credentials) as api:
        await api.request("POST", REVIEW, BODY)
    assert runs.read_text().count("run") == 5, (
        "what is refused is asked for again, and the request is sent again"
    )


async def test_a_plugin_that_gives_what_has_expired_does_not_run_for_each_request(files: Files) -> None:
    give = files.script(
        "give",
        f'echo run >>{files.folder}/runs; printf \'{{"apiVersion":"client.authentication.k8s.io/v1","kind":'
        f'"ExecCredential","status":{{"token":"{files.token}","expirationTimestamp":"2020-01-01T00:00:00Z"}}}}\'',
    )
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(give), "interactiveMode": "Never"}
    credentials = find_credentials({"KUBECONFIG": str(files.one({"exec": spec}))})
    credentials._clock = lambda: credentials._asked_at + 1.0
    async with Api(credentials) as api:
        for _ in range(5):
            await api.request("POST", REVIEW, BODY)
    assert (files.folder / "runs").read_text().count("run") == 1


class ConnectProxy:
    """A proxy that only knows CONNECT, resolves every name to this computer, and asks for a password."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []
        self.asked: list[str] = []

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"mary:s3cret@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.splitlines()[0])
        if "Proxy-Authorization: Basic bWFyeTpzM2NyZXQ=" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, back]
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    def stop(self) -> None:
        """End all connections: the loop of the test ends before their other ends do."""
        self._server.close()
        for end in self._ends:
            end.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


# A loop that ends while a connection through a proxy is being made leaves its socket open until the
# process ends: aiohttp and uvloop each expect the other to close it. It is collected here, where it belongs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("by", ["proxy-url", "HTTPS_PROXY", "https_proxy"])
async def test_requests_and_the_watch_go_through_the_proxy(
    files: Files, namespace: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    port = int(files.url.rpartition(":")[2])
    proxy = ConnectProxy(port)
    address = f"http://{await proxy.start()}"
    entry = {**files.cluster, "server": f"https://api.example.test:{port}", "tls-server-name": "localhost"}
    if by == "proxy-url":
        entry["proxy-url"] = address
    else:
        monkeypatch.setenv(by, address)
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,.example.org")
    monkeypatch.setenv("KUBECONFIG", str(files.one({"token": files.token}, entry)))
    assert await asyncio.to_thread(of_kubectl, os.environ["KUBECONFIG"]) == await of_ours(
        os.environ["KUBECONFIG"]
    )
    watch = Watch(lambda *_: None, namespace, credentials=find_credentials())
    watch.start()
    await asyncio.wait_for(watch.opened.wait(), 30)
    await watch.stop()
    proxy.stop()
    assert set(proxy.asked) == {f"CONNECT api.example.test:{port} HTTP/1.1"}
    assert "s3cret" not in caplog.text
    del watch
    gc.collect()
