"""The connections of a command that works beside the operator, with the operator's settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from uploadpp.kube.access import ConfigError
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import find_credentials
from uploadpp.process.configuration import ConfigurationError, nats_options
from uploadpp.process.settings import Settings
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import connect, make_client


class UnreachableError(Exception):
    """NATS does not answer."""


@contextlib.asynccontextmanager
async def open_clients(
    settings: Settings, name: str, seconds: float
) -> AsyncIterator[tuple[SafeClient, Api]]:
    """Connect to NATS, within so many seconds, and to the API server.

    Raises:
        ConfigurationError: the settings cannot be used.
        UnreachableError: NATS does not answer.
    """
    options = nats_options(settings, name)
    try:
        credentials = await asyncio.to_thread(find_credentials)
    except ConfigError as error:
        raise ConfigurationError(f"no usable kubeconfig or service account: {error}") from error
    client = make_client(options)
    try:
        async with asyncio.timeout(seconds):
            await connect(options, client)
    except TimeoutError:
        raise UnreachableError(f"no connection to NATS at {options.shown}: {client.problem}") from None
    try:
        async with Api(credentials) as api:
            yield client, api
    finally:
        await client.close()
