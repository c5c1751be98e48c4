"""One set of credentials for everything we ask the API server: our requests and kopf's watch.

Files are read again every minute, a plugin runs again when what it gave has expired, and both happen at
once when the API server answers 401. Two threads use the same object; renewing is done by one at a time.
"""

import asyncio
import logging
import os
import ssl
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from uploadpp.http.certificates import ClientContext
from uploadpp.http.proxy import Proxy, ProxyError, proxy_to
from uploadpp.kube.access import Access, ConfigError, Source, read_file
from uploadpp.kube.kubeconfig import load_kubeconfig
from uploadpp.kube.plugin import Issued, run_plugin

log = logging.getLogger(__name__)

REREAD_SECONDS = 60.0
"""The interval at which client-go reads a token file again."""
LEAST_SECONDS = 2.0
"""After a refused request, credentials are renewed at most this often."""
RETRY_SECONDS = 5.0
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Credentials as they are at one moment: what to send, and how to connect."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    context: ssl.SSLContext | None
    material: tuple[bytes, bytes, bytes] = field(repr=False)


class Credentials:
    """The way to one API server, and who we are there."""

    def __init__(
        self, access: Access, proxy: Proxy | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Get the first credentials.

        Raises:
            ConfigError: there are none.
        """
        self.server = access.server
        self.prefix = unquote(urlsplit(access.server).path)
        """What comes before the path of every request, as behind a gateway for several clusters."""
        self.namespace = access.namespace
        self.notes = access.notes
        self.proxy = proxy
        self.problem = ""
        """Why credentials could not be renewed; empty when they could."""
        self.access = access
        self._clock = clock
        self._lock = threading.Lock()
        self._issued = Issued()
        self._asked_at = float("-inf")
        self._fresh_until = float("-inf")
        self._snapshot = self._build(None, force=True)
        self._schedule()

    async def current(self) -> Snapshot:
        """What to use for a request now."""
        if self._clock() < self._fresh_until:
            return self._snapshot
        return await asyncio.to_thread(self._renew, None)

    async def renewed(self, refused: Snapshot) -> bool:
        """The API server does not take these credentials (401); whether there are other ones now."""
        return await asyncio.to_thread(self._renew, refused) is not refused

    def _renew(self, refused: Snapshot | None) -> Snapshot:
        with self._lock:
            now = self._clock()
            if refused is None:
                due = now >= self._fresh_until
            else:
                due = self._snapshot is refused and now - self._asked_at >= LEAST_SECONDS
            if due:
                try:
                    self._asked_at = now
                    self._snapshot = self._build(self._snapshot, force=refused is not None)
                except ConfigError as error:
                    log.warning("cannot renew the credentials for the API server: %s", error)
                    self.problem = str(error)
                    self._fresh_until = now + RETRY_SECONDS
                else:
                    self.problem = ""
                    self._schedule()
            return self._snapshot

    def _schedule(self) -> None:
        access, now = self.access, self._clock()
        files = (access.authority, access.certificate, access.key)
        rereads = access.token_file is not None or any(each and each.path for each in files)
        self._fresh_until = now + REREAD_SECONDS if rereads else float("inf")
        if access.asks_plugin:
            # What has expired when it comes is asked for again at each request, but not more often than this.
            expires_at = max(self._issued.expires_at, self._asked_at + LEAST_SECONDS)
            self._fresh_until = min(self._fresh_until, expires_at)

    def _build(self, before: Snapshot | None, *, force: bool) -> Snapshot:
        access = self.access
        if access.asks_plugin and access.plugin and (force or self._clock() >= self._issued.expires_at):
            try:
                self._issued = run_plugin(access.plugin, os.environ)
            finally:
                self._asked_at = self._clock()
        headers = self._headers()
        if not access.server.startswith("https:"):
            return self._kept(before, Snapshot(headers, None, (b"", b"", b"")))
        authority = access.authority.read() if access.authority else b""
        own = (access.certificate.read(), access.key.read()) if access.certificate and access.key else None
        material = (authority, *(own or (self._issued.certificate, self._issued.key)))
        context = before.context if before is not None and before.material == material else None
        return self._kept(before, Snapshot(headers, context or tls_context(access, *material), material))

    @staticmethod
    def _kept(before: Snapshot | None, now: Snapshot) -> Snapshot:
        """The snapshot as it was, if nothing is new: who compares them sees whether anything is."""
        same = before is not None and (before.headers, before.material) == (now.headers, now.material)
        return before if same and before is not None else now

    def _headers(self) -> tuple[tuple[str, str], ...]:
        access = self.access
        token = access.token
        if access.token_file is not None:
            token = _token_in(access.token_file, token)
        if not token and access.basic is not None:
            # As Go does it: in UTF-8, and with a colon in the name as well.
            login = b64encode(":".join(access.basic).encode()).decode()
            return (("Authorization", f"Basic {login}"), *access.headers)
        token = token or self._issued.token
        if not token.isascii() or any(letter.isspace() for letter in token):
            raise ConfigError("the token for the API server has characters that are not allowed in a token")
        return ((("Authorization", f"Bearer {token}"),) if token else ()) + access.headers


def _token_in(path: Path, otherwise: str) -> str:
    """The token in a file. It may be renewed at any time, so it comes before a token that is written down."""
    try:
        token = read_file(path).decode("utf-8", "replace").strip()
    except ConfigError:
        if not otherwise:
            raise
        return otherwise
    if not (token or otherwise):
        raise ConfigError(f"{path} is empty")
    return token or otherwise


class _NamedContext(ClientContext):
    """Expects a name other than the address in the server's certificate (`tls-server-name`)."""

    name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 -- as in the class above
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection."""
        del server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, self.name, session)


def tls_context(access: Access, authority: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
    """What a connection needs.

    Raises:
        ConfigError: a certificate or a key cannot be used.
    """
    # For Go, too, an empty file means those that the system knows.
    known = authority or None
    try:
        context = (_NamedContext if access.server_name else ClientContext).trusting(known)
    except ssl.SSLError:
        raise ConfigError("the certificate-authority is not a certificate in PEM form") from None
    if isinstance(context, _NamedContext):
        context.name = access.server_name
    context.set_alpn_protocols(["http/1.1"])
    if access.insecure:
        context.skip_verification()
    if certificate:
        _load_certificate(context, certificate, key)
    return context


def _load_certificate(context: ClientContext, certificate: bytes, key: bytes) -> None:
    """Python takes a certificate only from a file: one that only we can read, and only for this moment."""
    handle, path = tempfile.mkstemp(prefix="uploadpp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate.rstrip() + b"\n" + key)
        context.present(path, "")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"client-certificate and client-key cannot be used: {reason}") from None
    finally:
        with suppress(OSError):
            Path(path).unlink()


def in_cluster(environment: Mapping[str, str], folder: Path = ACCOUNT) -> Access:
    """The Pod's own account.

    Raises:
        ConfigError: we are not in a Pod, or it has no account.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise ConfigError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set")
    read_file(folder / "token")
    namespace, authority = folder / "namespace", folder / "ca.crt"
    trusted = authority.exists()  # for client-go, too, those of the system do where the file is missing
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "",
        authority=Source(path=authority) if trusted else None,
        token_file=folder / "token",
        notes=() if trusted else (f"{authority} is missing: the system's authorities are trusted",),
    )


def find_credentials(environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> Credentials:
    """The way to the API server: KUBECONFIG, else the Pod's account, else ~/.kube/config.

    Raises:
        ConfigError: none of them can be used; the text says why.
    """
    pod = environment.get("KUBERNETES_SERVICE_HOST") and not environment.get("KUBECONFIG")
    access = in_cluster(environment, account) if pod else load_kubeconfig(environment)
    try:
        proxy = proxy_to(access.server, access.proxy_url, environment)
    except ProxyError as error:
        raise ConfigError(str(error)) from None
    return Credentials(access, proxy)
