"""What is written to the API server is enough to go on as if nothing had happened."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings

from tests.property.walks import walks
from uploadpp.api.codec import ALL_SHOWN, control_of, from_resource, to_resource, to_status
from uploadpp.api.v1alpha1 import UploadPostprocessing
from uploadpp.core.config import Config
from uploadpp.core.model import Upload

patient = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine proves nothing


def as_stored(upload: Upload) -> dict[str, Any]:
    """The resource as the API server would return it."""
    resource = to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="gAAAA")
    resource["metadata"]["generation"] = upload.control.generation
    resource["status"] = to_status(upload)
    stored: dict[str, Any] = orjson.loads(orjson.dumps(resource))
    return stored


@patient
@given(walks())
def test_every_reachable_state_survives_being_stored(walk: tuple[Config, list[Upload]]) -> None:
    config, trail = walk
    for upload in trail:
        stored = as_stored(upload)
        assert from_resource(stored, config, upload.origin) == upload._replace(plan_fixed=True)
        assert control_of(stored) == upload.control


@patient
@given(walks())
def test_the_configuration_may_change_without_changing_an_upload(walk: tuple[Config, list[Upload]]) -> None:
    _, trail = walk
    for upload in trail:
        assert from_resource(as_stored(upload), Config(), upload.origin) == upload._replace(plan_fixed=True)


@patient
@given(walks())
def test_every_written_object_is_one_the_api_server_admits(walk: tuple[Config, list[Upload]]) -> None:
    _, trail = walk
    for upload in trail:
        stored = as_stored(upload)
        UploadPostprocessing.model_validate_json(
            orjson.dumps({"spec": stored["spec"], "status": stored["status"]}),
        )
