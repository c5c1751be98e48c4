"""The connection to NATS: endpoints, credentials, TLS, and never giving up (F38)."""

import logging
import ssl
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client

log = logging.getLogger(__name__)

RECONNECT_WAIT_SECONDS = 1
PING_INTERVAL_SECONDS = 10
PENDING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """How to reach NATS. `servers` are URLs; `user` counts only together with `password`."""

    servers: tuple[str, ...]
    user: str = ""
    password: str = field(repr=False, default="")
    token: str = field(repr=False, default="")
    creds_file: str = ""
    nkey_file: str = ""
    tls: bool = False
    tls_insecure: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    name: str = "uploadpp"


def tls_context(options: NatsOptions) -> ssl.SSLContext | None:
    """The TLS settings; a root CA switches verification on whatever `tls_insecure` says, as in the peer."""
    if not options.tls:
        return None
    context = ssl.create_default_context(cafile=options.tls_ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.tls_insecure and not options.tls_ca_file:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.tls_cert_file:
        context.load_cert_chain(options.tls_cert_file, options.tls_key_file or None)
    return context


async def connect(options: NatsOptions) -> Client:
    """Connect, waiting as long as it takes; the client then reconnects for ever by itself."""
    servers = ",".join(options.servers)

    async def on_error(error: Exception) -> None:
        text = str(error).removeprefix("nats: ") or type(error).__name__
        log.warning("NATS: %s", text, extra={"servers": servers})

    async def on_disconnect() -> None:
        # Also called when we close the connection ourselves.
        if client.is_reconnecting:
            log.warning("NATS connection lost; reconnecting")

    async def on_reconnect() -> None:
        log.info("NATS connection is back")

    credentials: dict[str, Any] = {}
    if options.user and options.password:
        credentials = {"user": options.user, "password": options.password}
    if options.token:
        credentials["token"] = options.token
    if options.creds_file:
        credentials["user_credentials"] = options.creds_file
    if options.nkey_file:
        credentials["nkeys_seed"] = options.nkey_file
    context = tls_context(options)
    if context is not None:
        credentials["tls"] = context
    client = Client()
    await client.connect(
        servers=list(options.servers),
        name=options.name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_SECONDS,
        ping_interval=PING_INTERVAL_SECONDS,
        max_outstanding_pings=2,
        pending_size=PENDING_BYTES,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        **credentials,
    )
    log.info("connected to NATS", extra={"servers": servers})
    return client
