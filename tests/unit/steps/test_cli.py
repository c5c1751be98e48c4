"""What `uploadpp step` takes, and what it says about what it does not take."""

import pytest

from uploadpp.__main__ import main
from uploadpp.process.configuration import variables_of
from uploadpp.process.settings import Settings
from uploadpp.steps.cli import NAME_VARIABLE
from uploadpp.steps.command import CommandOptions
from uploadpp.steps.options import SHARED, ServiceOptions
from uploadpp.steps.policies import PoliciesOptions
from uploadpp.steps.virusscan import VirusscanOptions

MODELS = (CommandOptions, VirusscanOptions, PoliciesOptions, ServiceOptions)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for model in MODELS:
        for name in model.model_fields:
            for variable in variables_of(name, model):
                monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], f"no step name given; set it as an argument or in {NAME_VARIABLE}"),
        (["mine"], "one of --exec, --clamd, --rule or --rules-file is required"),
        (
            ["mine", "--exec=true", "--rule=delete name=x"],
            "only one of --exec and --rule or --rules-file can",
        ),
        (["\udcff", "--exec=true"], "the name of the step: is not UTF-8"),
        (["delay", "--exec=true"], "'delay' is a word of the operator's own"),
        (["mine", "--exec=nothing-like-it"], "--exec='nothing-like-it': there is no program"),
        (["mine", "--rule=delete name"], "'delete name': 'name' is not a condition"),
        (["mine", "--rules-file=/nowhere.yaml"], "/nowhere.yaml: No such file"),
        (
            ["mine", "--clamd=/c", "--exit=1=delete"],
            "--exit applies only to --exec, not to --clamd; omit it",
        ),
        (["mine", "--exec=true", "--oversize=abort"], "--oversize applies only to --clamd, not to --exec"),
        (
            ["mine", "--rule=delete name=x", "--pass-env=X"],
            "--pass-env applies only to --exec, not to",
        ),
        (
            ["mine", "--exec=true", "--default=delete"],
            "--default applies only to --rule or --rules-file",
        ),
        (
            ["mine", "--exec=true", "--exit-unscanned=2"],
            "--exit-unscanned applies only to a step named",
        ),
        (["mine", "--exec=true", "--user=root"], "--user='root': 'root' is not a user such as 65534"),
        (["mine", "--exec=true", "--concurrency=0"], "--concurrency='0': "),
        (["mine", "--exec=true", "--timeout=5"], "a unit such as s, m or h is missing"),
        (["mine", "--exec=true", "--start-with=yesterday"], "--start-with='yesterday': is not a duration"),
        (["mine", "--exec=true", "--download-ca-file=/nowhere"], "--download-ca-file=/nowhere: No such file"),
        (["mine", "--exec=true", "--debug-addr=x"], "has no port"),
        (["mine", "--exec=true", "--events-endpoint="], "needs addresses of NATS"),
    ],
)
def test_what_cannot_be_used_is_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert main(["step", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("uploadpp: ")
    assert problem in said


def test_a_name_that_is_not_utf_8_is_refused_with_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step served until the first message that contained it, and ended with a traceback."""
    monkeypatch.setenv(NAME_VARIABLE, "\udcff")
    assert main(["step", "--exec=true"]) == 2
    assert capsys.readouterr().err == f"uploadpp: {NAME_VARIABLE}: is not UTF-8\n"


def test_a_broken_setting_of_the_operator_does_not_stop_a_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTPROCESSING_DELAY", "10")
    assert main(["step", "mine"]) == 2
    assert "POSTPROCESSING_DELAY" not in capsys.readouterr().err


def test_every_option_has_a_variable_and_no_two_share_a_flag() -> None:
    names = [name for model in MODELS for name in model.model_fields]
    assert len({*names, *SHARED}) == len(names) + len(SHARED)
    assert all(variables_of(name, model) for model in MODELS for name in model.model_fields)
    assert set(SHARED) <= set(Settings.model_fields)


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["step", "--help"])
    assert "uploadpp step virusscan --clamd unix:" in capsys.readouterr().out
