"""UploadPostprocessing, version v1alpha1: the single source of the CRD and of docs/api.md.

The running operator does not use these models, see `codec`; a test holds the two together.
"""

from pydantic import Field

from uploadpp.api.field_types import ApiModel
from uploadpp.api.spec import UploadPostprocessingSpec
from uploadpp.api.status import UploadPostprocessingStatus


class UploadPostprocessing(ApiModel):
    """One upload to ocis or OpenCloud on its way through postprocessing."""

    spec: UploadPostprocessingSpec = Field(
        description="What the upload is (fixed), and what people want to happen to it (can be changed).",
    )
    status: UploadPostprocessingStatus | None = Field(
        None,
        description="The state of the upload. Only the operator writes it.",
    )


COLUMNS = (
    ("Step", ".status.currentStep", "string", 0),
    ("Status", ".status.conditions[0].reason", "string", 0),
    ("Retries", ".status.retryCount", "integer", 0),
    ("Age", ".metadata.creationTimestamp", "date", 0),
    ("Progress", ".status.progress", "string", 1),
    ("Outcome", ".status.outcome", "string", 1),
    ("Filename", ".spec.upload.filename", "string", 1),
    ("Size", ".spec.upload.filesize", "integer", 1),
    ("User", ".spec.upload.userID", "string", 1),
    ("Space", ".spec.upload.spaceID", "string", 1),
    ("Next", ".status.nextAttemptTime", "string", 1),
    ("Message", ".status.conditions[0].message", "string", 1),
)
"""What `kubectl get` prints, and with `-o wide` (the last element is 1).

With a UUID for a name, four columns are what 80 characters have room for. The first condition is `Succeeded`,
or `Unserved` while no service listens for the step.
"""

SELECTABLE = (
    ".status.currentStep",
    ".status.outcome",
    ".status.completionTime",
    ".spec.desiredState",
    ".spec.restart.token",
    ".spec.upload.id",
    ".spec.upload.spaceID",
    ".spec.upload.userID",
)
"""What `kubectl get --field-selector` knows; the API server allows eight."""
