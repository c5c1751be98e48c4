"""The settings of one step."""

from pydantic import BaseModel, ConfigDict, Field

from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult

MAX_INT32, MAX_INT64 = 2**31 - 1, 2**63 - 1


class StepSettings(BaseModel):
    """Settings of one step; what is absent is taken from the settings of all steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeoutSeconds: int | None = Field(None, ge=1)  # noqa: N815 -- the API's name
    stallAfterSeconds: int | None = Field(None, ge=1)  # noqa: N815
    maxRetries: int | None = Field(None, ge=0, le=1000)  # noqa: N815
    backoffSeconds: int | None = Field(None, ge=0)  # noqa: N815
    maxBackoffSeconds: int | None = Field(None, ge=0)  # noqa: N815
    onExhausted: OnExhausted | None = None  # noqa: N815
    maxInFlight: int | None = Field(None, ge=1, le=MAX_INT32)  # noqa: N815
    maxFilesize: int | None = Field(None, ge=1, le=MAX_INT64)  # noqa: N815
    onTooLarge: OnTooLarge | None = None  # noqa: N815
    requireResult: RequiredResult | None = None  # noqa: N815
