"""What the log said of an upload before its announcement, where a policy holds the upload."""

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload
from uploadpp.core.model import PolicyRef, StepPlan
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import Stage
from uploadpp.testing.builders import FRESH_URL, UploadScenario, arrival, config_of

HOLD = Choice(
    ref=PolicyRef("default", 3, "videos"), action=PolicyAction.HOLD, plan=(StepPlan(name="deep-scan"),)
)
CONFIG = config_of("a")


def killed_before_the_status() -> UploadScenario:
    """The operator has made the resource of an upload that is held, and was killed before its status."""
    story = UploadScenario(CONFIG)
    story.tell(evolve(arrival(), choice=HOLD))
    resource = to_resource(story.upload, namespace="uploads", shown=ALL_SHOWN, sealed="sealed")
    return UploadScenario(CONFIG, from_resource(resource, CONFIG, arrival().origin))


@pytest.mark.parametrize("dies", [False, True], ids=["", "killed before the status"])
def test_what_a_policy_holds_and_is_cleaned_before_its_announcement_stays_held(*, dies: bool) -> None:
    """The storage's clean-up is heard first. A later announcement alone begins nothing."""
    story = killed_before_the_status() if dies else UploadScenario(CONFIG)
    story.tell(evolve(arrival(), choice=HOLD, earlier=(CleanUpload(),)))
    assert (story.upload.stage, story.upload.run) == (Stage.CLEANED, 0)
    story.tell(evolve(arrival(FRESH_URL), choice=HOLD))
    assert (story.published, story.upload.stage, story.upload.policy_holds) == ([], Stage.HELD, True)


@pytest.mark.parametrize(("fixed", "run"), [(True, 1), (False, 0)])
def test_a_policy_holds_no_upload_whose_steps_are_fixed(*, fixed: bool, run: int) -> None:
    """Killed before the status as well. The policies are others by now, and want to hold the upload."""
    story = killed_before_the_status()
    story.state = evolve(story.upload, plan_fixed=fixed, policy=None, policy_holds=False)
    story.tell(evolve(arrival(), choice=HOLD, earlier=(CleanUpload(),)))
    assert (story.upload.stage, story.upload.run) == (Stage.CLEANED, run)
