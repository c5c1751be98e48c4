"""Options of a step's process; NATS and logs are configured as for the operator."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from uploadpp.process.durations import parse_duration
from uploadpp.process.setting_fields import Sourced, env
from uploadpp.process.setting_types import Address, Duration, File, Number, Sources, Switch
from uploadpp.steps.sizes import parse_size

SHARED = (
    "events_endpoint",
    "events_auth_username",
    "events_auth_password",
    "events_enable_tls",
    "events_tls_insecure",
    "events_tls_root_ca_certificate",
    "nats_tls_cert_file",
    "nats_tls_key_file",
    "nats_tls_handshake_first",
    "nats_inbox_prefix",
    "nats_creds_file",
    "nats_nkey_file",
    "nats_token_file",
    "stream_max_age",
    "debug_token",
    "log_level",
    "log_format",
    "tracing_enabled",
    "tracing_type",
    "tracing_endpoint",
)
"""The operator's settings that mean the same here."""
NEW, ALL = "new", "all"


def _since(value: str) -> str:
    value = value.strip().lower() if value.strip().lower() in {NEW, ALL} else value
    if value not in {NEW, ALL}:
        parse_duration(value)
    return value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


class ServiceOptions(Sourced):
    """How a step is served, whatever it does."""

    concurrency: Number | None = env(
        "UPLOADPP_STEP_CONCURRENCY",
        default=None,
        ge=1,
        le=1000,
        description="Number of uploads to process concurrently. Default: what the step defines.",
    )
    timeout: Duration | None = env(
        "UPLOADPP_STEP_TIMEOUT",
        default=None,
        description="Timeout for one upload; 0 means no limit. Default: what the step defines.",
    )
    start_with: Annotated[str, AfterValidator(_since)] = env(
        "UPLOADPP_STEP_START_WITH",
        default=NEW,
        description="Where the first process of the step begins to read: new (new starts), all (everything "
        "in the stream), or a period such as 2h (starts of the last two hours).",
    )
    ack_wait: Duration = env(
        "UPLOADPP_STEP_ACK_WAIT",
        default=30_000,
        ge=1_000,
        description="Time without a heartbeat after which another process gets the work. Takes effect when "
        "the consumer is created.",
    )
    drain: Duration = env(
        "UPLOADPP_STEP_DRAIN",
        default=25_000,
        description="Time to finish work in progress after SIGTERM; less than the Pod's grace period.",
    )
    download_insecure: Switch = env(
        "OCIS_INSECURE",
        "OC_INSECURE",
        "UPLOADPP_STEP_DOWNLOAD_INSECURE",
        default=False,
        description="Do not verify the certificate of the download URL.",
    )
    download_ca_file: File = env(
        "UPLOADPP_STEP_DOWNLOAD_CA_FILE",
        default=None,
        description="PEM file with the CA certificate of the download URL; enables verification.",
    )
    download_from: Sources = env(
        "UPLOADPP_STEP_DOWNLOAD_FROM",
        repeat=True,
        default=(),
        description="Download only from URLs with this prefix, such as https://ocis:9200/data/, and follow "
        "redirects only there. Default: any URL, without redirects. Separate several with commas.",
    )
    max_size: Annotated[int | None, BeforeValidator(_size), Field(gt=0)] = env(
        "UPLOADPP_STEP_MAX_SIZE",
        default=None,
        description="Maximum size of a file, such as 10G; the step answers retry for larger files. "
        "Default: the announced size, or 1 GiB if none is announced.",
    )
    debug_addr: Address = env(
        "UPLOADPP_STEP_DEBUG_ADDR",
        default="127.0.0.1:9256",
        description="Where /healthz, /readyz and /metrics are served.",
    )

    @property
    def since(self) -> timedelta | None:
        """The greatest age of starts for a new consumer; None is any."""
        if self.start_with == ALL:
            return None
        return timedelta(milliseconds=0 if self.start_with == NEW else parse_duration(self.start_with))
