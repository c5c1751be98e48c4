"""The settings of one step."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from uploadpp.core.model import DELAY_STEP
from uploadpp.core.shares import NORMAL
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult

WORDS = ("onExhausted", "onTooLarge", "requireResult")
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
    minInFlight: int | None = Field(None, ge=1, le=MAX_INT32)  # noqa: N815
    maxFilesize: int | None = Field(None, ge=1, le=MAX_INT64)  # noqa: N815
    onTooLarge: OnTooLarge | None = None  # noqa: N815
    requireResult: RequiredResult | None = None  # noqa: N815
    breakerAfter: int | None = Field(None, ge=1, le=MAX_INT32)  # noqa: N815

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 -- what JSON can hold
        """A word in any case, and a number that is one: in Python, true is a number as well."""
        if info.field_name in WORDS:
            return value.strip().capitalize() if isinstance(value, str) else value
        if isinstance(value, bool) or (isinstance(value, str) and not value.strip().lstrip("+-").isdecimal()):
            raise ValueError("must be a whole number, without a unit")
        return value


def check_queues(steps: Mapping[str, StepSettings], shards: int) -> None:
    """Check the settings that make uploads wait for a step.

    Raises:
        ValueError: the step has no service, or not a slot for each shard.
    """
    for name, own in steps.items():
        for setting in ("maxInFlight", "minInFlight", "breakerAfter"):
            if name == DELAY_STEP and getattr(own, setting) is not None:
                raise ValueError(f"step_settings: {DELAY_STEP!r} cannot have {setting}: it has no service")
        if own.minInFlight is not None and own.minInFlight > (own.maxInFlight or 0):
            raise ValueError(
                f"step_settings: minInFlight of {name!r} needs a maxInFlight of at least {own.minInFlight}"
            )
        if own.maxInFlight is not None and own.maxInFlight < shards:
            raise ValueError(
                f"step_settings: maxInFlight of {name!r} is divided among {shards} shards, "
                f"so it must be at least {shards}"
            )


def check_classes(classes: Mapping[str, int]) -> None:
    """Check the priority classes.

    Raises:
        ValueError: the class of uploads that have no other one is missing.
    """
    if NORMAL not in classes:
        raise ValueError(
            f'priority_classes: {NORMAL!r} is missing, the class of most uploads; add "{NORMAL}": 4, say'
        )
