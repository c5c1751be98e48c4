"""G5: what the API server selects, so that 50,000 uploads that have ended are not read to find five."""

import pytest

from kubectl_pp import selection
from kubectl_pp.catalog import BY_NAME
from kubectl_pp.cli import parse

RUNNING = "status.completionTime="
ENDED = "status.completionTime!="
UNRELEASED = f"{ENDED},status.currentStep=finished,status.outcome=continue"


@pytest.mark.parametrize(
    ("verb", "words", "selectors"),
    [
        ("list", ["--running"], [RUNNING]),
        ("list", ["--running", "--step=virusscan"], [f"status.currentStep=virusscan,{RUNNING}"]),
        ("list", ["--user-id=u-1", "--space=s-1"], ["spec.upload.spaceID=s-1,spec.upload.userID=u-1"]),
        ("list", ["--stalled"], [RUNNING, UNRELEASED]),
        ("list", ["--failed"], [f"{ENDED},status.outcome!=continue", UNRELEASED]),
        ("list", ["--has-virus"], ["status.outcome!="]),
        ("list", ["--processing=true"], [RUNNING]),
        ("list", ["--processing=false"], [ENDED]),
        ("suspend", ["--all"], [RUNNING]),
        ("unsuspend", ["--all"], [RUNNING]),
        ("cancel", ["--all"], [RUNNING]),
        ("restart", ["--all"], [RUNNING]),
        ("restart", ["--stalled"], [RUNNING, UNRELEASED]),
        ("resume", ["--step=policies"], ["status.currentStep=policies"]),
    ],
)
def test_g5_the_api_server_selects_what_a_verb_is_about(
    verb: str, words: list[str], selectors: list[str]
) -> None:
    queries = selection.queries(parse(BY_NAME[verb], words))
    assert [each.get("fieldSelector") for each in queries] == selectors


@pytest.mark.parametrize("verb", ["list", "suspend", "cancel", "restart", "resume"])
def test_g5_a_selection_of_the_person_is_kept(verb: str) -> None:
    words = ["--field-selector=spec.upload.filename=a", "-l", "team=x", "--stalled"]
    for query in selection.queries(parse(BY_NAME[verb], words)):
        assert query["fieldSelector"].startswith("spec.upload.filename=a,status.")
        assert query["labelSelector"] == "team=x"
