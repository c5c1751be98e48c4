"""PostprocessingPolicy, version v1alpha1: which steps an upload gets when it arrives (docs/policies.md)."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from uploadpp.api.cel import BACKOFF, OWN_NAMES, UNRESERVED, UNSKIPPED, rules
from uploadpp.api.field_types import (
    INT32,
    STEP_NAME,
    ApiModel,
    Count64,
    Message,
    Retries,
    RuleName,
    Seconds,
    Size,
    StepName,
    Time,
    Wait,
)
from uploadpp.core.conditions import ConditionStatus
from uploadpp.core.policy import PolicyAction
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult, Word

MAX_RULES = 64
MAX_STEPS = 32
MAX_MATCH = 1024
OWN_KEYS: dict[str, JsonValue] = {"x-kubernetes-list-map-keys": ["name"]}
"""No two entries have one name. A rule in CEL would take seconds for 64 rules with 32 steps each."""


class PolicyMode(Word):
    """Whether a policy decides."""

    ENFORCE = "Enforce"
    DRY_RUN = "DryRun"


class PolicyConditionType(StrEnum):
    """The condition types of a PostprocessingPolicy."""

    READY = "Ready"


class PolicyStep(ApiModel):
    """One step. Fields that are absent have the values that the operator is configured with for the step."""

    model_config = ConfigDict(json_schema_extra=rules(BACKOFF))

    name: Annotated[StepName, Field(pattern=STEP_NAME)] = Field(
        description="Name of the step. Its service listens for this name. Letters, digits, dots, underscores "
        "and dashes; not `finished`. The operator itself runs the step `delay`.",
        json_schema_extra=rules(UNRESERVED),
    )
    timeout_seconds: Seconds | None = Field(
        None, description="Time after which an attempt without an answer counts as failed."
    )
    stall_after_seconds: Seconds | None = Field(
        None, description="Time after which a step without an answer is reported as Stalled."
    )
    max_retries: Retries | None = Field(None, description="Retries of the step.")
    backoff_seconds: Wait | None = Field(
        None, description="Pause before the first retry. It doubles with each further retry."
    )
    max_backoff_seconds: Wait | None = Field(None, description="Longest pause.")
    on_exhausted: OnExhausted | None = Field(
        None,
        description="What happens when no retries are left. Abort: the upload ends, and the storage keeps "
        "its bytes. Hold: the upload waits for a person. Continue: the next step starts. Delete: the storage "
        "deletes the upload.",
    )
    delay_seconds: Wait | None = Field(None, description="Length of the step `delay`.")
    max_filesize: Size | None = Field(
        None, description="Largest file for this step, in bytes. onTooLarge applies above it."
    )
    on_too_large: OnTooLarge | None = Field(
        None,
        description="What happens to a file above maxFilesize. Skip: the step is left out. Hold: the upload "
        "waits for a person.",
    )
    require_result: RequiredResult | None = Field(
        None,
        description="What a `continue` must contain. Scan: a VirusscanResult with a Scandate and without an "
        "ErrorMsg; other answers count as `retry`. Optional: nothing.",
    )


class PolicyRule(ApiModel):
    """What is done with the uploads that match."""

    model_config = ConfigDict(json_schema_extra=rules(UNSKIPPED))

    name: RuleName = Field(
        description="Name of the rule, unique in the policy. Lower-case letters, digits and dashes."
    )
    match: Annotated[str, Field(min_length=1, max_length=MAX_MATCH)] | None = Field(
        None,
        description="The uploads that the rule is about, as an expression of CEL that is true or false: "
        'file.mimeType.startsWith("video/") && file.size > 1073741824. Variables: file.name, file.extension, '
        "file.size, file.mimeType, user.id, space.id, storage.id, initiator.id. Absent: every upload.",
    )
    action: PolicyAction | None = Field(
        None,
        description="Run: the steps run. Skip: no step runs, and the file is released at once, unscanned. "
        "Hold: nothing runs until a person lets the upload continue; then the steps run. Absent: Run.",
    )
    steps: Annotated[list[PolicyStep], Field(min_length=1, max_length=MAX_STEPS)] | None = Field(
        None,
        description="The steps, in order. Not with the action Skip. Absent: the steps that the operator is "
        "configured with.",
        json_schema_extra=OWN_KEYS,
    )
    priority_class: RuleName | None = Field(
        None,
        description="Name of a priority class, which decides how much the upload counts for slots.",
    )


class PostprocessingPolicySpec(ApiModel):
    """The rules, and whether they decide."""

    order: Annotated[int, Field(ge=-(2**31), le=2**31 - 1, json_schema_extra=INT32)] | None = Field(
        None,
        description="Policies are read by order, the smallest first, and then by name.",
        json_schema_extra={"default": 0},
    )
    mode: PolicyMode | None = Field(
        None,
        description="Enforce: the first rule that matches decides. DryRun: matches are counted, and nothing "
        "else happens.",
        json_schema_extra={"default": PolicyMode.ENFORCE},
    )
    rules: Annotated[list[PolicyRule], Field(min_length=1, max_length=MAX_RULES)] = Field(
        description="The rules, in order. The first rule that matches, of all policies, decides.",
        json_schema_extra=rules(OWN_NAMES),
    )


class PolicyCondition(ApiModel):
    """One aspect of the policy, in the standard form of Kubernetes."""

    type: PolicyConditionType = Field(
        description="Ready: every rule can be used. While it is False, uploads that come to a rule with an "
        "error are held."
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z]+$")] = Field(
        description="Accepted: all rules can be used. InvalidExpression: a `match` is wrong. InvalidRule: "
        "another field is wrong. LimitExceeded: the rules of all policies are too long together, so those of "
        "this one are not used. UnknownStep or UnknownPriorityClass: the rules can be used, but name "
        "a step or a class that is not configured.",
    )
    message: Message = Field(description="The rules with an error or a warning. May be empty.")
    last_transition_time: Time = Field(description="When the status of this condition last changed.")
    observed_generation: Count64 | None = Field(
        None, description="The metadata.generation to which this condition applies."
    )


class RuleStatus(ApiModel):
    """How often one rule has matched."""

    name: RuleName = Field(description="Name of the rule.")
    matched: Count64 | None = Field(None, description="How many uploads it has matched. Absent: 0.")
    last_matched_time: Time | None = Field(None, description="When it last matched an upload.")


class PostprocessingPolicyStatus(ApiModel):
    """What the operator makes of the policy. Only the operator writes it."""

    observed_generation: Count64 | None = Field(
        None, description="The last metadata.generation that the operator has read."
    )
    conditions: Annotated[list[PolicyCondition], Field(max_length=4)] | None = Field(
        None, description="Whether the policy can be used: `kubectl wait --for=condition=Ready`."
    )
    matched: Count64 | None = Field(None, description="How many uploads the rules have matched. Absent: 0.")
    rules: Annotated[list[RuleStatus], Field(max_length=MAX_RULES)] | None = Field(
        None, description="How often each rule has matched, also in a dry run."
    )


class PostprocessingPolicy(ApiModel):
    """Which steps uploads to ocis or OpenCloud get when they arrive."""

    spec: PostprocessingPolicySpec = Field(description="The rules, and whether they decide.")
    status: PostprocessingPolicyStatus | None = Field(
        None, description="What the operator makes of the policy. Only the operator writes it."
    )


POLICY_COLUMNS = (
    ("Order", ".spec.order", "integer", 0),
    ("Mode", ".spec.mode", "string", 0),
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "string", 0),
    ("Matched", ".status.matched", "integer", 0),
    ("Age", ".metadata.creationTimestamp", "date", 0),
    ("Rules", ".spec.rules[*].name", "string", 1),
    ("Reason", '.status.conditions[?(@.type=="Ready")].reason', "string", 1),
    ("Message", '.status.conditions[?(@.type=="Ready")].message', "string", 1),
)
"""What `kubectl get` prints, and with `-o wide` (the last element is 1)."""
