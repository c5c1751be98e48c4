"""The configuration: one model, read from the environment and from flags.

Names of the legacy service are honoured, in both dialects (OCIS_ and OC_); where
several are set the last one counts, as there. What cannot be parsed stops the start.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, model_validator

from uploadpp.api.codec import ShownField
from uploadpp.core.model import DELAY_STEP, FINISHED_STEP
from uploadpp.core.shares import CLASSES, FairShare
from uploadpp.core.states import OnExhausted
from uploadpp.process.logs import LogFormat, LogLevel
from uploadpp.process.setting_fields import Sourced, env, ocis
from uploadpp.process.setting_types import (
    Address,
    Duration,
    File,
    MaxAge,
    Number,
    Policies,
    Sources,
    Steps,
    StorageChecks,
    Switch,
    Token,
    TracingType,
    Weights,
    Words,
    capitalised,
    check_inbox_prefix,
    check_pod_uid,
    lower,
    read_collector,
    read_collector_if_possible,
    read_duration,
    read_list,
)
from uploadpp.process.step_settings import StepSettings, check_classes, check_queues
from uploadpp.wire.addresses import check_addresses
from uploadpp.wire.legacy_consumers import LegacyConsumer, OnLegacyService
from uploadpp.wire.stream import StartFrom

MAX_STEPS = 32
MAX_STEP_NAME = 63


def is_duration(name: str, model: type[BaseModel] | None = None) -> bool:
    """Whether a setting is a length of time."""
    fields = (model or Settings).model_fields
    return any(getattr(each, "func", None) is read_duration for each in fields[name].metadata)


class Settings(Sourced):
    """All settings. Flags are the field's name with dashes."""

    # What to do with an upload
    steps: Steps = env(
        "POSTPROCESSING_STEPS",
        default=(),
        description="Steps in order, separated by commas: virusscan, policies, delay, or names of your own.",
    )
    delay: Duration = env(
        "POSTPROCESSING_DELAY",
        default=0,
        description="Length of the step delay, which is appended as the last step if it is not listed.",
    )
    max_retries: Number = env(
        "POSTPROCESSING_MAX_RETRIES", default=14, ge=0, le=1000, description="Number of retries of each step."
    )
    retry_backoff_duration: Duration = env(
        "POSTPROCESSING_RETRY_BACKOFF_DURATION",
        default=5_000,
        description="Wait before the first retry; it doubles with each further one.",
    )
    max_backoff: Duration = env(
        "UPLOADPP_MAX_BACKOFF", default=43_200_000, description="Longest wait before a retry."
    )
    on_exhausted: Annotated[OnExhausted, BeforeValidator(capitalised)] = env(
        "UPLOADPP_ON_EXHAUSTED",
        default=OnExhausted.ABORT,
        description="What happens when a step has no retries left: abort, hold, continue or delete.",
    )
    stall_after: Duration = env(
        "UPLOADPP_STALL_AFTER",
        default=600_000,
        gt=0,
        description="An upload whose step has not answered for this long is reported as Stalled.",
    )
    step_settings: dict[str, StepSettings] = env(
        "UPLOADPP_STEP_SETTINGS",
        default={},
        description="JSON: step name to timeoutSeconds, stallAfterSeconds, maxRetries, backoffSeconds, "
        "maxBackoffSeconds, onExhausted, maxInFlight, minInFlight, maxFilesize, onTooLarge, requireResult, "
        "breakerAfter.",
    )
    fair_share: Annotated[FairShare, BeforeValidator(capitalised)] = env(
        "UPLOADPP_FAIR_SHARE", default=FairShare.USER, description="Who shares slots fairly: user or space."
    )
    share_weights: Weights = env(
        "UPLOADPP_SHARE_WEIGHTS", default={}, description="JSON: id of a user or space to its weight, or 1."
    )
    priority_classes: Weights = env(
        "UPLOADPP_PRIORITY_CLASSES",
        default=CLASSES,
        description="JSON: priority class to its weight; an upload without a class is normal.",
    )
    small_first: Number = env(
        "UPLOADPP_SMALL_FIRST",
        default=0,
        ge=0,
        le=1000,
        description="How many smaller uploads of a share may overtake its oldest one in a row.",
    )
    ready_after: Duration = env(
        "UPLOADPP_READY_AFTER",
        default=600_000,
        gt=0,
        description="How long the storage may take to answer UploadReady.",
    )
    unanswered_after: Duration = env(
        "UPLOADPP_UNANSWERED_AFTER",
        default=86_400_000,
        gt=0,
        description="An upload ends this long after it was reported that the storage does not answer.",
    )
    order_timeout: Duration = env(
        "UPLOADPP_ORDER_TIMEOUT", default=600_000, description="Maximum wait for earlier uploads of a file."
    )
    storage_check: Annotated[StorageChecks, BeforeValidator(lower)] = env(
        "UPLOADPP_STORAGE_CHECK",
        default=StorageChecks.ASK,
        description="ask: request the download URL of uploads that the storage may have lost. off: never.",
    )
    storage_check_interval: Duration = env(
        "UPLOADPP_STORAGE_CHECK_INTERVAL", default=10_000, gt=0, description="Time between two checks."
    )
    storage_from: Sources = env(
        "UPLOADPP_STORAGE_FROM",
        repeat=True,
        default=(),
        description="Check only download URLs that begin with one of these, and follow redirects only there.",
    )
    storage_insecure: Switch = env(
        "UPLOADPP_STORAGE_INSECURE", default=False, description="Do not verify the storage's certificate."
    )
    storage_ca_file: File = env(
        "UPLOADPP_STORAGE_CA_FILE", default=None, description="PEM file of its CA; enables verification."
    )
    release_backoff: Duration = env(
        "UPLOADPP_RELEASE_BACKOFF",
        default=30_000,
        description="Wait before a failed release is retried; it doubles with each further one.",
    )
    ttl_completed: Duration = env(
        "UPLOADPP_TTL_COMPLETED", default=600_000, description="How long a completed upload is kept."
    )
    ttl_failed: Duration = env(
        "UPLOADPP_TTL_FAILED", default=604_800_000, description="How long any other ended upload is kept."
    )
    max_ended: Number = env(
        "UPLOADPP_MAX_ENDED",
        default=10_000,
        ge=0,
        description="Maximum number of ended uploads to keep; those closest to expiry are deleted first.",
    )
    max_recorded: Number = env(
        "UPLOADPP_MAX_RECORDED",
        default=100_000,
        ge=1,
        description="Maximum number of resources; uploads beyond it are recorded later.",
    )
    show: Annotated[frozenset[ShownField], BeforeValidator(read_list)] = env(
        "UPLOADPP_SHOW",
        empty=True,
        default=frozenset({ShownField.FILENAME, ShownField.FILESIZE}),
        description="Fields that resources show: filename, filesize, userID, spaceID, storageID, opaqueID.",
    )

    # Policies
    policies: Annotated[Policies, BeforeValidator(capitalised)] = env(
        "UPLOADPP_POLICIES",
        default=Policies.DISABLED,
        description="enabled: PostprocessingPolicies choose the steps of uploads. disabled: none is read.",
    )
    webhook_addr: Address = env(
        "UPLOADPP_WEBHOOK_ADDR", default=":9443", description="Where the webhook for policies is served."
    )
    webhook_cert_file: File = env(
        "UPLOADPP_WEBHOOK_CERT_FILE",
        default=None,
        description="PEM file of its certificate. Without one, the webhook is not served.",
    )
    webhook_key_file: File = env("UPLOADPP_WEBHOOK_KEY_FILE", default=None, description="Its key.")

    # NATS
    events_endpoint: Annotated[Words, AfterValidator(check_addresses)] = env(
        *ocis("EVENTS_ENDPOINT", "POSTPROCESSING_EVENTS_ENDPOINT"),
        default=("127.0.0.1:9233",),
        repr=False,
        description="Addresses of NATS, separated by commas: host:port, also tls://user:password@host.",
    )
    events_auth_username: str = env(
        *ocis("EVENTS_AUTH_USERNAME", "POSTPROCESSING_EVENTS_AUTH_USERNAME"),
        default="",
        description="User; used only together with a password.",
    )
    events_auth_password: str = env(
        *ocis("EVENTS_AUTH_PASSWORD", "POSTPROCESSING_EVENTS_AUTH_PASSWORD"),
        default="",
        repr=False,
        description="Password.",
    )
    events_enable_tls: Switch = env(
        *ocis("EVENTS_ENABLE_TLS", "POSTPROCESSING_EVENTS_ENABLE_TLS"), default=False, description="Use TLS."
    )
    events_tls_insecure: Switch = env(
        "OCIS_INSECURE",
        "OC_INSECURE",
        "OC_EVENTS_TLS_INSECURE",
        "POSTPROCESSING_EVENTS_TLS_INSECURE",
        default=False,
        description="Do not verify the server's certificate.",
    )
    events_tls_root_ca_certificate: File = env(
        *ocis("EVENTS_TLS_ROOT_CA_CERTIFICATE", "POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE"),
        default=None,
        description="PEM file with the CA certificate; enables TLS and verification.",
    )
    nats_tls_cert_file: File = env(
        "UPLOADPP_NATS_TLS_CERT_FILE", default=None, description="PEM file of a client certificate."
    )
    nats_tls_key_file: File = env("UPLOADPP_NATS_TLS_KEY_FILE", default=None, description="Its key.")
    nats_tls_handshake_first: Switch = env(
        "UPLOADPP_NATS_TLS_HANDSHAKE_FIRST",
        default=False,
        description="Start TLS before the server sends its INFO; the server needs handshake_first.",
    )
    nats_inbox_prefix: Annotated[str, AfterValidator(check_inbox_prefix)] = env(
        "UPLOADPP_NATS_INBOX_PREFIX",
        default="_INBOX",
        description="Prefix of the reply subjects (docs/nats.md).",
    )
    nats_creds_file: File = env(
        "UPLOADPP_NATS_CREDS_FILE", default=None, description="NATS credentials file (JWT and seed)."
    )
    nats_nkey_file: File = env("UPLOADPP_NATS_NKEY_FILE", default=None, description="File with an nkey seed.")
    nats_token_file: File = env("UPLOADPP_NATS_TOKEN_FILE", default=None, description="File with a token.")
    start_from: Annotated[StartFrom, BeforeValidator(lower)] = env(
        "UPLOADPP_START_FROM",
        default=StartFrom.AUTO,
        description="Where the first start reads: auto (from the legacy service on, or all), all, new.",
    )
    on_legacy_service: Annotated[OnLegacyService, BeforeValidator(capitalised)] = env(
        "UPLOADPP_ON_LEGACY_SERVICE",
        default=OnLegacyService.HOLD,
        description="What happens when the legacy service comes back: hold (start and finish nothing until "
        "it stops), continue (both process the uploads).",
    )
    legacy_consumer: Annotated[LegacyConsumer, BeforeValidator(capitalised)] = env(
        "UPLOADPP_LEGACY_CONSUMER",
        default=LegacyConsumer.ADVANCE,
        description="What happens to the legacy service's consumer while nobody reads from it: advance (to "
        "the end of the stream, so that the service would begin with new events), remove, keep.",
    )
    stream_max_age: MaxAge = env(
        "UPLOADPP_STREAM_MAX_AGE",
        default=0,
        description="Maximum age of messages, if the stream has to be created; 0 means no limit.",
    )

    # Kubernetes
    namespace: str = env(
        "UPLOADPP_NAMESPACE",
        default="",
        description="Namespace of the resources. Default: the Pod's own.",
    )
    pod_uid: Annotated[str, AfterValidator(check_pod_uid)] = env(
        "UPLOADPP_POD_UID",
        default="",
        description="UID of this Pod. A restarted container takes its predecessor's Lease without waiting.",
    )
    lease_duration: Duration = env(
        "UPLOADPP_LEASE_DURATION",
        default=15_000,
        ge=1_000,
        le=3_600_000,
        description="Lease duration: an owner that has not renewed its Lease for this long is replaced.",
    )
    shards: Number = env(
        "UPLOADPP_SHARDS",
        default=1,
        ge=1,
        le=64,
        description="Number of shards into which uploads are divided, so that replicas can share the work.",
    )
    sealing_key_file: File = env(
        "UPLOADPP_SEALING_KEY_FILE",
        default=None,
        description="File with Fernet keys, one per line, the current one first.",
    )
    writers: Number = env("UPLOADPP_WRITERS", default=16, ge=1, le=256, description="Concurrent API writes.")

    # Process
    debug_addr: Address = env(
        "POSTPROCESSING_DEBUG_ADDR",
        default="127.0.0.1:9255",
        description="Where /healthz, /readyz and /metrics are served.",
    )
    debug_token: Token = env(
        "POSTPROCESSING_DEBUG_TOKEN",
        default="",
        repr=False,
        description="Bearer token that /metrics requires.",
    )
    log_level: Annotated[LogLevel, BeforeValidator(lower)] = env(
        *ocis("LOG_LEVEL", "POSTPROCESSING_LOG_LEVEL"),
        default=LogLevel.INFO,
        description="Minimum level of log lines.",
    )
    log_format: Annotated[LogFormat, BeforeValidator(lower)] = env(
        "UPLOADPP_LOG_FORMAT", default=LogFormat.JSON, description="json or text."
    )
    tracing_enabled: Switch = env(
        *ocis("TRACING_ENABLED", "POSTPROCESSING_TRACING_ENABLED"),
        default=False,
        description="Send traces. The standard variables OTEL_EXPORTER_OTLP_* enable them as well "
        "(docs/tracing.md).",
    )
    tracing_type: Annotated[str, BeforeValidator(lower)] = env(
        *ocis("TRACING_TYPE", "POSTPROCESSING_TRACING_TYPE"),
        default=TracingType.OTLP,
        description="otlp. With jaeger, no traces are sent.",
    )
    tracing_endpoint: Annotated[str, AfterValidator(read_collector_if_possible)] = env(
        *ocis("TRACING_ENDPOINT", "POSTPROCESSING_TRACING_ENDPOINT"),
        default="",
        description="Collector, as URL or host:port; OTLP over HTTP, so port 4317 of gRPC becomes 4318.",
    )
    workers: Number = env(
        "POSTPROCESSING_WORKERS",
        default=3,
        ge=1,
        description="Ignored; accepted for compatibility.",
    )

    @model_validator(mode="after")
    def _check_steps(self) -> "Settings":
        names = list(self.steps)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"steps: {twice!r} is listed twice; each step runs once (F8)")
        if FINISHED_STEP in names:
            raise ValueError(f"steps: {FINISHED_STEP!r} is a reserved word")
        if len(names) > MAX_STEPS or any(len(name) > MAX_STEP_NAME for name in names):
            raise ValueError(f"steps: at most {MAX_STEPS} names of at most {MAX_STEP_NAME} characters")
        unknown = set(self.step_settings) - {*names, DELAY_STEP}
        if unknown and self.policies is Policies.DISABLED:  # a policy may list any step
            raise ValueError(f"step_settings: {min(unknown)!r} is not among the steps")
        return self

    @model_validator(mode="after")
    def _check_tracing(self) -> "Settings":
        """Only what is used: a collector that is left in the configuration stops nothing."""
        if not self.tracing_enabled:
            return self
        if self.tracing_type not in set(TracingType):
            raise ValueError(f"tracing_type: {self.tracing_type!r} is not supported; use otlp")
        if self.tracing_type == TracingType.OTLP:
            try:
                read_collector(self.tracing_endpoint)
            except ValueError as error:
                raise ValueError(f"tracing_endpoint: {error}; use http://collector:4318") from None
        return self

    @model_validator(mode="after")
    def _check_limits(self) -> "Settings":
        check_queues(self.step_settings, self.shards)
        check_classes(self.priority_classes)
        return self

    @model_validator(mode="after")
    def _check_pairs(self) -> "Settings":
        if not self.events_endpoint:
            raise ValueError("events_endpoint: needs addresses of NATS such as nats:9233, without empty ones")
        if bool(self.events_auth_username) != bool(self.events_auth_password):
            raise ValueError("events_auth_username and events_auth_password must be set together")
        for cert, key in (
            ("nats_tls_cert_file", "nats_tls_key_file"),
            ("webhook_cert_file", "webhook_key_file"),
        ):
            if bool(getattr(self, cert)) != bool(getattr(self, key)):
                raise ValueError(f"{cert} and {key} must be set together")
        if self.retry_backoff_duration > self.max_backoff:
            raise ValueError("retry_backoff_duration is longer than max_backoff")
        return self
