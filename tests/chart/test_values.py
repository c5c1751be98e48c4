"""Values, what is generated from them, and what the operator makes of them."""

import json
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from e2e.cluster.binaries import resolve
from e2e.paths import REPO
from tests.chart.rendering import (
    EVERYTHING,
    MINIMAL,
    POLICIES,
    PRODUCTION,
    SETS,
    container,
    environment,
    render,
    the,
)
from uploadpp.core.states import OnExhausted
from uploadpp.process.configuration import read_settings, variables_of
from uploadpp.process.operator_config import core_config
from uploadpp.process.settings import Settings
from uploadpp.process.step_settings import StepSettings
from uploadpp.process.tracing_config import endpoint

CHART = REPO / "charts" / "upload-postprocessing"
NO_VALUE = {
    "workers": "has no effect",
    "events_auth_username": "comes from a Secret",
    "events_auth_password": "comes from a Secret",
    "debug_token": "comes from a Secret",
    "namespace": "is the Pod's own",
    "pod_uid": "is the Pod's own",
    "tracing_type": "has one value that works",
}


def test_nothing_generated_is_out_of_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/gen_chart.py", "--check"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_value_without_a_comment_is_found(tmp_path: object) -> None:
    read_values = runpy.run_path(str(REPO / "scripts" / "chart_values.py"))["read_values"]
    path = REPO.__class__(str(tmp_path)) / "values.yaml"
    path.write_text("# -- Said.\na: 1\nb: 2\n")
    with pytest.raises(ValueError, match="line 3: b has no"):
        read_values(path)


def test_the_defaults_are_the_operators_own() -> None:
    """Nobody should get another behaviour because they use the chart."""
    given = read_settings({}, environment(render(MINIMAL)))
    differing = {name for name in Settings.model_fields if getattr(given, name) != getattr(Settings(), name)}
    assert differing == {"events_endpoint", "debug_addr", "sealing_key_file"}


def test_every_setting_of_the_operator_can_be_set() -> None:
    """Whoever adds a setting is told here that the chart needs a value for it."""
    tls = {"nats": {"tls": PRODUCTION["nats"]["tls"]}}
    logins = [{"nats": {"auth": {kind: {"existingSecret": "s"}}}} for kind in ("creds", "nkey", "token")]
    traces = {"tracing": PRODUCTION["tracing"]}
    storage = {"storageCheck": {"ca": {"existingSecret": "s"}, "from": ["https://ocis:9200/data/"]}}
    classes = {"fairShare": {"priorityClasses": {"normal": 4, "high": 8}}}
    rendered = [environment(render(each)) for each in (tls, traces, storage, POLICIES, classes, *logins)]
    set_by_chart = set().union(*rendered)
    missing = {name for name in Settings.model_fields if not set_by_chart & set(variables_of(name))}
    assert missing == set(NO_VALUE)


def test_secrets_reach_their_variables() -> None:
    refs = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for values in (EVERYTHING, PRODUCTION)
        for each in container(render(values))["env"]
        if "secretKeyRef" in each.get("valueFrom", {})
    }
    assert refs == {
        "POSTPROCESSING_EVENTS_AUTH_USERNAME": {"name": "nats-login", "key": "user"},
        "POSTPROCESSING_EVENTS_AUTH_PASSWORD": {"name": "nats-login", "key": "password"},
        "POSTPROCESSING_DEBUG_TOKEN": {"name": "scrape", "key": "token"},
        "OTEL_EXPORTER_OTLP_HEADERS": {"name": "collector-login", "key": "headers"},
    }


def test_steps_arrive_as_the_operator_plans_them() -> None:
    config = core_config(read_settings({}, environment(render(PRODUCTION))))
    scan, policies, delay = config.steps
    assert [step.name for step in config.steps] == ["virusscan", "policies", "delay"]
    assert (scan.timeout, scan.max_retries, scan.on_exhausted) == (300_000, 3, OnExhausted.HOLD)
    assert (policies.backoff, policies.max_retries, policies.on_exhausted) == (0, 14, OnExhausted.ABORT)
    assert delay.delay == 30_000


def test_traces_go_where_the_chart_says() -> None:
    variables = environment(render(PRODUCTION))
    assert endpoint(read_settings({}, variables), variables) == "https://collector.monitoring:4318/v1/traces"
    assert variables["OTEL_TRACES_SAMPLER_ARG"] == "0.1"
    none = environment(render(MINIMAL))
    assert endpoint(read_settings({}, none), none) is None


def test_every_setting_of_a_step_is_a_field_of_steps() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert set(schema["definitions"]["step"]["properties"]) == {"name", *StepSettings.model_fields}


@pytest.mark.parametrize("name", SETS)
def test_the_operator_takes_what_the_chart_renders(name: str) -> None:
    variables = environment(render(SETS[name]))
    known = {variable for field in Settings.model_fields for variable in variables_of(field)}
    assert set(variables) - known <= {"HTTPS_PROXY", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
    read_settings({}, variables)


def test_the_command_of_the_readme_installs_what_it_says() -> None:
    """With the chart of this tree in place of the published one."""
    block = (REPO / "README.md").read_text().split("```sh\nhelm install ", 1)[1].split("\nkubectl", 1)[0]
    words = shlex.split(block.replace("\\\n", " "))
    assert words[1].endswith("/" + CHART.name)
    words[1] = str(CHART)
    words += ["--set", "sealingKey.existingSecret=sealing"]  # a new key is only made in a cluster
    done = subprocess.run(
        [str(resolve("helm").path), "template", *(word for word in words if word != "--wait")],
        capture_output=True,
        text=True,
        check=True,
    )
    variables = environment(list(yaml.safe_load_all(done.stdout)))
    assert variables["POSTPROCESSING_STEPS"] == "virusscan"
    assert variables["POSTPROCESSING_EVENTS_ENDPOINT"] == "nats:9233"


def words(schema: object) -> Iterator[list[object]]:
    """Every list of words that some value can be."""
    if isinstance(schema, dict):
        if isinstance(schema.get("enum"), list):
            yield schema["enum"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from words(each)


def test_each_word_can_be_written_without_quotation_marks() -> None:
    """Helm reads YAML 1.1, where off, no and yes are booleans: the schema takes those as well."""
    found = list(words(json.loads((CHART / "values.schema.json").read_text())))
    assert ["ask", "off", False] in found
    for choices in found:
        for word in choices:
            read = yaml.safe_load(word) if isinstance(word, str) else word
            assert any(read == other and type(read) is type(other) for other in choices), word


@pytest.mark.parametrize("mode", ["off", False])
def test_the_storage_is_not_asked_however_off_is_written(mode: str | bool) -> None:  # noqa: FBT001 -- the value
    objects = render({"storageCheck": {"mode": mode}, "networkPolicy": {"enabled": True}})
    assert environment(objects)["UPLOADPP_STORAGE_CHECK"] == "off"
    assert "9200" not in json.dumps(the(objects, "NetworkPolicy"))
