"""The values that `uploadpp step new` makes are values of the chart."""

import pytest
import yaml

from tests.chart.rendering import render
from tests.chart.stepvalues import PLAIN, deployments, step, variables
from uploadpp.steps.scaffold import files_of


@pytest.mark.parametrize("name", ["no-programs", "My.Step_2", "x" * 63, "no", "1e5", "null"])
def test_a_step_of_ones_own_runs_with_them(name: str) -> None:
    values = yaml.safe_load(files_of(name)["values.yaml"])
    (deployment,) = deployments(render({**PLAIN, **values})).values()
    container = step(deployment)
    (entry,) = values["stepServices"].values()
    assert container["image"] == f"{entry['image']['repository']}:1"
    assert "args" not in container, "the image says what runs"
    assert "command" not in container
    assert variables(deployment)["UPLOADPP_STEP_DEBUG_ADDR"] == ":9256"
