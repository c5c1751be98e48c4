"""The connection to NATS: endpoints, credentials, TLS, and never giving up (F38)."""

import logging
import ssl
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nats.errors import Error as NatsError

from uploadpp.http.certificates import ClientContext, read_bundle
from uploadpp.wire.addresses import Address, parse_address
from uploadpp.wire.client import SafeClient
from uploadpp.wire.credentials import CredsFile, NkeyFile, read_token

log = logging.getLogger(__name__)

RECONNECT_WAIT_SECONDS = 1
PING_INTERVAL_SECONDS = 10
PENDING_BYTES = 64 * 1024 * 1024
INBOX_PREFIX = "_INBOX"


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """How to reach NATS. `servers` are addresses; `user` counts only together with `password`."""

    servers: tuple[str, ...] = field(repr=False)
    user: str = ""
    password: str = field(repr=False, default="")
    token_file: str = ""
    creds_file: str = ""
    nkey_file: str = ""
    tls: bool = False
    tls_insecure: bool = False
    tls_handshake_first: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    inbox_prefix: str = INBOX_PREFIX
    name: str = "uploadpp"

    @property
    def addresses(self) -> list[Address]:
        """The servers."""
        return [parse_address(each) for each in self.servers]

    @property
    def shown(self) -> str:
        """The servers as a person may see them."""
        return ",".join(each.shown for each in self.addresses)

    @property
    def wants_tls(self) -> bool:
        """Whether TLS is asked for: by the switch, by an authority or a certificate, or by tls:// once."""
        given = self.tls or self.tls_handshake_first or bool(self.tls_ca_file or self.tls_cert_file)
        return given or any(each.tls for each in self.addresses)


def tls_context(options: NatsOptions) -> ssl.SSLContext | None:
    """The TLS settings. As in the legacy service, a root CA enables verification despite `tls_insecure`."""
    return _context(options) if options.wants_tls else None


def _context(options: NatsOptions) -> ssl.SSLContext:
    context = ClientContext.trusting(read_bundle(options.tls_ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.tls_insecure and not options.tls_ca_file:
        context.skip_verification()
    if options.tls_cert_file:
        context.present(options.tls_cert_file, options.tls_key_file)
    return context


def _renewed(options: NatsOptions) -> ssl.SSLContext:
    """The TLS settings with the files as they are now.

    Raises:
        NatsError: one of them cannot be used.
    """
    try:
        return _context(options)
    except OSError as error:
        files = filter(None, (options.tls_ca_file, options.tls_cert_file, options.tls_key_file))
        raise NatsError(f"{', '.join(files)}: cannot be used: {error.strerror or error}") from error


def make_client(options: NatsOptions) -> SafeClient:
    """A client that is not connected yet, and that says why."""
    return SafeClient(
        partial(_renewed, options) if options.wants_tls else None,
        CredsFile(options.creds_file) if options.creds_file else None,
        NkeyFile(options.nkey_file) if options.nkey_file else None,
        {each.shown: (each.user, each.password) for each in options.addresses if each.user},
    )


def _credentials(options: NatsOptions, client: SafeClient) -> dict[str, Any]:
    """What the library asks for at each connection."""
    found: dict[str, Any] = {}
    token = next((each.token for each in options.addresses if each.token), "")
    if options.user and options.password:
        found = {"user": options.user, "password": options.password}
    elif client.logins:
        found = {"user": lambda: client.login(0), "password": lambda: client.login(1)}
    if options.token_file:
        found["token"] = lambda: read_token(options.token_file)
    elif token:
        found["token"] = token
    if client.creds is not None:
        found |= {"user_jwt_cb": client.creds.jwt, "signature_cb": client.creds.sign}
    elif client.nkey is not None:
        found["signature_cb"] = client.nkey.sign
    return found


async def connect(options: NatsOptions, client: SafeClient | None = None) -> SafeClient:
    """Connect, waiting as long as it takes. The client then reconnects automatically, forever."""
    made = client if client is not None else make_client(options)
    told = ""

    async def on_error(error: Exception) -> None:
        nonlocal told
        text = made.explain(error)
        level = logging.DEBUG if text == told and not made.is_connected else logging.WARNING
        told = text
        log.log(level, "NATS: %s", text, extra={"servers": options.shown})

    async def on_disconnect() -> None:
        # Also called when we close the connection ourselves.
        if made.is_reconnecting:
            made.lost()
            log.warning("NATS connection lost; reconnecting")

    async def on_reconnect() -> None:
        nonlocal told
        told = ""
        log.info("reconnected to NATS")

    await made.connect(
        servers=[each.url for each in options.addresses],
        name=options.name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_SECONDS,
        ping_interval=PING_INTERVAL_SECONDS,
        max_outstanding_pings=2,
        pending_size=PENDING_BYTES,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        inbox_prefix=options.inbox_prefix,
        tls_handshake_first=options.tls_handshake_first,
        **_credentials(options, made),
    )
    log.info("connected to NATS", extra={"servers": options.shown})
    return made
