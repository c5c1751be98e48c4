"""Step services of the chart: their objects, what the step kit makes of them, and what is refused."""

import json
from pathlib import Path

import pytest

from e2e.cluster.helm import CHART
from e2e.cluster.instance import Instance
from e2e.demo.clamav import ClamdServer
from e2e.demo.steps.scanners import EICAR_SIGNATURE, eicar
from tests.chart.rendering import RELEASE, Object, of_kind, render, the
from tests.chart.stepvalues import (
    CLAIM,
    FULL,
    PLAIN,
    STEP_SETS,
    deployments,
    pod,
    selects,
    service_objects,
    step,
    the_service,
    variables,
)
from uploadpp.__main__ import main
from uploadpp.process.configuration import read_model, variables_of
from uploadpp.process.settings import Settings
from uploadpp.steps.command import CommandOptions
from uploadpp.steps.options import SHARED, ServiceOptions
from uploadpp.steps.policies import PoliciesOptions
from uploadpp.steps.rules import Rule
from uploadpp.steps.virusscan import VirusscanOptions

LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
NOT_SET = {
    "events_auth_username": "comes from a Secret",
    "events_auth_password": "comes from a Secret",
    "debug_token": "comes from a Secret",
    "tracing_type": "has one value that works",
    "ack_wait": "counts when the consumer is made",
    "rule": "rules are in a file",
    "default": "is in the file of the rules",
    "user": "needs root, which the restricted standard refuses",
}


# -- Objects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEP_SETS)
def test_each_service_has_an_account_without_token_and_a_locked_pod_of_its_own_user(name: str) -> None:
    objects = render(STEP_SETS[name])
    accounts = service_objects(objects, "ServiceAccount")
    found = deployments(objects)
    assert set(found) == set(accounts) == set(STEP_SETS[name]["stepServices"])
    operators = the([each for each in objects if each not in found.values()], "Deployment")
    for service, deployment in found.items():
        spec = pod(deployment)
        assert spec["serviceAccountName"] == accounts[service]["metadata"]["name"]
        assert not spec["automountServiceAccountToken"]
        assert not accounts[service]["automountServiceAccountToken"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] != pod(operators)["securityContext"]["runAsUser"]
        for each in [*spec["containers"], *spec.get("initContainers", [])]:
            assert each["securityContext"] == LOCKED
            assert each["resources"]["limits"]["memory"]
        writable = [each for each in spec["volumes"] if "emptyDir" in each and each["name"] != "fonts"]
        assert all(each["emptyDir"]["sizeLimit"] for each in writable)
        assert len({each["name"] for each in spec["volumes"]}) == len(spec["volumes"])
        mounted = {each["name"] for each in step(deployment)["volumeMounts"]}
        assert mounted <= {each["name"] for each in spec["volumes"]}
        drain = int(variables(deployment)["UPLOADPP_STEP_DRAIN"].removesuffix("s"))
        assert spec["terminationGracePeriodSeconds"] == drain + 15


def test_no_object_of_the_operator_takes_a_step_for_its_own() -> None:
    """Nor the other way round: policies and budgets add up, and a Service would mix their metrics."""
    every = {
        **PLAIN,
        "replicas": 2,
        "networkPolicy": {"enabled": True},
        "metrics": {"service": True, "podMonitor": {"enabled": True}},
        "podLabels": {"app.kubernetes.io/component": "operator", "uploadpp.io/step": "mine"},
    }
    objects = render(every | {"stepServiceDefaults": {"replicas": 2}})
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind(objects, "Deployment")
    }
    assert len(pods) == 5
    chosen: dict[str, list[frozenset[str]]] = {}
    for kind, path in (
        ("Deployment", ("selector", "matchLabels")),
        ("PodDisruptionBudget", ("selector", "matchLabels")),
        ("NetworkPolicy", ("podSelector", "matchLabels")),
        ("Service", ("selector",)),
        ("PodMonitor", ("selector", "matchLabels")),
    ):
        for each in of_kind(objects, kind):
            selector = each["spec"]
            for key in path:
                selector = selector[key]
            matched = frozenset(name for name, labels in pods.items() if selects(selector, labels))
            chosen.setdefault(kind, []).append(matched)
    operator = f"{RELEASE}-upload-postprocessing"
    single = {frozenset({name}) for name in pods}
    for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy"):
        assert set(chosen[kind]) == single, kind
    both = {frozenset({operator}), frozenset(set(pods) - {operator})}
    assert set(chosen["Service"]) == set(chosen["PodMonitor"]) == both


def test_what_is_said_reaches_the_pods() -> None:
    objects = render(FULL)
    found = deployments(objects)
    scan, ours, quiet = found["virusscan"], found["ours"], found["quiet"]
    assert (scan["spec"]["replicas"], quiet["spec"]["replicas"]) == (3, 0)
    assert step(scan)["image"].endswith("upload-postprocessing:0.1.1")
    assert step(quiet)["image"].startswith("registry/quiet@sha256:")
    assert (step(quiet)["command"], step(quiet).get("args")) == (["/quiet"], None)
    assert not {"ports", "livenessProbe", "readinessProbe", "startupProbe"} & set(step(quiet))
    for probe, path in (("startup", "healthz"), ("liveness", "healthz"), ("readiness", "readyz")):
        assert step(scan)[f"{probe}Probe"]["httpGet"] == {"path": f"/{path}", "port": "metrics"}
    assert {"name": "metrics", "containerPort": 9256, "protocol": "TCP"} in step(scan)["ports"]
    template = ours["spec"]["template"]
    assert template["metadata"]["labels"]["tier"] == "steps"
    assert scan["spec"]["template"]["metadata"]["labels"]["tier"] == "backend"
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert ours["metadata"]["annotations"] == {"reloader.stakater.com/auto": "true"}
    assert pod(ours)["nodeSelector"] == {"disk": "fast"}
    assert pod(scan)["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod(scan)["priorityClassName"] == "files"
    assert pod(scan)["imagePullSecrets"] == [{"name": "registry"}]
    assert pod(ours)["tolerations"]
    (spread,) = pod(ours)["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == ours["spec"]["selector"]["matchLabels"]
    assert {"name": "fonts", "mountPath": "/fonts"} in step(ours)["volumeMounts"]
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "20Gi"}} in pod(ours)["volumes"]
    assert "replicas" not in ours["spec"]
    scaler = the(objects, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["scaleTargetRef"]["name"], scaler["minReplicas"], scaler["maxReplicas"]) == (
        ours["metadata"]["name"],
        2,
        4,
    )
    budgets = service_objects(objects, "PodDisruptionBudget")
    assert set(budgets) == {"virusscan", "ours"}
    assert budgets["ours"]["spec"]["maxUnavailable"] == 1


def test_the_login_is_the_operators_or_one_of_its_own() -> None:
    def files(deployment: Object) -> dict[str, str]:
        (volume,) = [each for each in pod(deployment)["volumes"] if each["name"] == "credentials"]
        sources = [each["secret"] for each in volume["projected"]["sources"] if "secret" in each]
        return {item["path"]: source["name"] for source in sources for item in source["items"]}

    def secrets(deployment: Object) -> dict[str, str]:
        refs = [each for each in step(deployment)["env"] if "valueFrom" in each]
        return {each["name"]: each["valueFrom"]["secretKeyRef"]["name"] for each in refs}

    found = deployments(render(FULL))
    shared = {"nats-ca.crt": "nats-ca", "nats-client.crt": "nats-client", "nats-client.key": "nats-client"}
    shared["storage-ca.crt"] = "storage-ca"
    login = {f"POSTPROCESSING_EVENTS_AUTH_{each}": "step-login" for each in ("USERNAME", "PASSWORD")}
    both = {"POSTPROCESSING_DEBUG_TOKEN": "scrape", "OTEL_EXPORTER_OTLP_HEADERS": "collector-login"}
    assert files(found["virusscan"]) == {**shared, "nats.creds": "nats-creds"}
    assert files(found["ours"]) == shared
    assert secrets(found["virusscan"]) == both
    assert secrets(found["ours"]) == {**both, **login}
    found = deployments(render(CLAIM))
    assert files(found["virusscan"]) == {"nats.token": "nats-token"}
    assert files(found["scan"]) == {"nats.nkey": "step-nkey"}
    for name, values in STEP_SETS.items():
        for service, deployment in deployments(render(values)).items():
            named = {each for each in variables(deployment).values() if each.startswith("/etc/uploadpp/")}
            mounted = {*files(deployment), *(["rules.yaml"] if service == "policies" else [])}
            assert named == {f"/etc/uploadpp/{each}" for each in mounted}, (name, service)


def test_changed_rules_replace_the_pods_and_only_those() -> None:
    def templates(values: Object) -> dict[str, Object]:
        return {
            name: each["spec"]["template"]["metadata"]["annotations"]
            for name, each in deployments(render(values)).items()
        }

    before = templates(PLAIN)
    changed = json.loads(json.dumps(PLAIN))
    changed["stepServices"]["policies"]["policies"]["rules"][1]["message"] = "another one"
    after = templates(changed)
    assert {name for name in before if before[name] != after[name]} == {"policies"}
    more = {"stepServiceDefaults": {"clamd": {"settings": ["DetectPUA yes"]}}}
    assert {name for name, each in templates(PLAIN | more).items() if before[name] != each} == {"virusscan"}


def test_traffic_goes_to_the_servers_of_the_step_only() -> None:
    def ports(policy: Object) -> list[list[int]]:
        return [sorted({port["port"] for port in rule["ports"]}) for rule in policy["spec"]["egress"]]

    servers = [[53, 5353], [4222], [443, 9140, 9200], [4318]]
    found = service_objects(render(FULL), "NetworkPolicy")
    assert ports(found["virusscan"]) == [*servers, [3310]]
    assert found["virusscan"]["spec"]["egress"][-1]["to"] == FULL["networkPolicy"]["clamdTo"]
    assert found["virusscan"]["spec"]["egress"][1]["to"] == FULL["networkPolicy"]["natsTo"]
    assert ports(found["ours"]) == [*servers, [8080]]
    assert (ports(found["quiet"]), found["quiet"]["spec"]["ingress"]) == (servers, [])
    servers = [[53, 5353], [9233], [443, 9200]]
    found = service_objects(render(CLAIM), "NetworkPolicy")
    assert ports(found["virusscan"]) == ports(found["scan"]) == servers
    found = service_objects(render(PLAIN | {"networkPolicy": {"enabled": True}}), "NetworkPolicy")
    assert ports(found["virusscan"]) == [*servers, [80, 443]]


def test_metrics_are_scraped_with_the_operators_switch() -> None:
    objects = render(FULL)
    monitors = {each["metadata"]["name"]: each for each in of_kind(objects, "PodMonitor")}
    assert len(monitors) == 2
    found = next(each for name, each in monitors.items() if name.endswith("-steps"))
    assert found["metadata"]["labels"]["release"] == "prometheus"
    assert found["spec"]["podMetricsEndpoints"][0]["authorization"]["credentials"]["name"] == "scrape"
    objects = render(CLAIM)
    (service,) = [each for each in of_kind(objects, "Service") if each["metadata"]["name"].endswith("-steps")]
    chosen = [
        selects(each["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        for each in of_kind(objects, "ServiceMonitor")
    ]
    assert sorted(chosen) == [False, True]


def test_the_signatures_come_from_the_image_or_from_a_volume() -> None:
    fresh = pod(deployments(render(PLAIN))["virusscan"])
    assert [each["name"] for each in fresh["initContainers"]] == ["signatures", "clamd", "freshclam"]
    assert [each.get("restartPolicy") for each in fresh["initContainers"]] == [None, "Always", "Always"]
    claimed = pod(deployments(render(CLAIM))["virusscan"])
    assert [each["name"] for each in claimed["initContainers"]] == ["clamd"]
    (volume,) = [each for each in claimed["volumes"] if each["name"] == "clamd-signatures"]
    assert volume["persistentVolumeClaim"] == {"claimName": "signatures", "readOnly": True}
    (config,) = of_kind(render(CLAIM), "ConfigMap")
    assert set(config["data"]) == {"clamd.conf"}
    assert config["data"]["clamd.conf"].endswith("\nAlertOLE2Macros yes\n")
    old = {"stepServiceDefaults": {"clamd": {"signatures": {"update": False}}}}
    still = pod(deployments(render(PLAIN | old))["virusscan"])
    assert [each["name"] for each in still["initContainers"]] == ["signatures", "clamd"]


# -- What the step kit makes of it --------------------------------------------------------------


def test_every_option_of_the_step_kit_can_be_set() -> None:
    rendered = [
        variables(each) for values in STEP_SETS.values() for each in deployments(render(values)).values()
    ]
    unscanned = {"command": {"exec": "true", "exitUnscanned": [2]}, "step": "virusscan"}
    rendered += [variables(deployments(render(the_service(unscanned)))["x"])]
    set_by_chart = set().union(*rendered)
    models = (ServiceOptions, CommandOptions, VirusscanOptions, PoliciesOptions)
    sources = {name: variables_of(name, model) for model in models for name in model.model_fields}
    sources |= {name: variables_of(name) for name in SHARED}
    missing = {name for name, known in sources.items() if not set_by_chart & set(known)}
    tokens = {"nats_nkey_file", "nats_token_file"} & missing
    assert missing - tokens == set(NOT_SET)
    known = {variable for each in sources.values() for variable in each}
    assert set_by_chart - known <= {
        "UPLOADPP_STEP_NAME",
        "LICENSE",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
    }
    conditions = json.loads((CHART / "values.schema.json").read_text())["definitions"]["stepService"]
    rule = conditions["properties"]["policies"]["properties"]["rules"]["items"]["properties"]
    assert set(rule) == set(Rule.model_fields)


@pytest.mark.parametrize("name", STEP_SETS)
def test_the_step_kit_takes_what_the_chart_renders(name: str) -> None:
    for deployment in deployments(render(STEP_SETS[name])).values():
        given = variables(deployment)
        read_model(Settings, {}, given, names=SHARED)
        read_model(VirusscanOptions, {}, given)
        options = read_model(ServiceOptions, {}, given)
        assert options.timeout == 300_000
        assert bool(options.download_from) == ("storageCheck" in STEP_SETS[name])


class Trial:
    """What a step's container says of a file, with its variables, and its files where they are here."""

    def __init__(
        self, objects: list[Object], folder: Path, patch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]
    ) -> None:
        self._deployments = deployments(objects)
        self._folder = folder
        self._patch = patch
        self._said = said
        for config in of_kind(objects, "ConfigMap"):
            for name, text in config["data"].items():
                (folder / name).write_text(text)

    def of(self, service: str, file: Path, **places: str) -> tuple[str, str]:
        """The verdict and its reason."""
        deployment = self._deployments[service]
        with self._patch.context() as patch:
            for name, value in variables(deployment).items():
                for place, here in {"/etc/uploadpp": str(self._folder), **places}.items():
                    value = value.replace(place, here)  # noqa: PLW2901 -- each of them
                patch.setenv(name, value)
            main([*step(deployment)["args"], f"--try={file}", "--output=json"])
        said = json.loads(self._said.readouterr().out)
        assert not said["failed"], said
        return said["outcome"], said["message"]


class ChartClamd(ClamdServer):
    """clamd with the configuration and the command of the chart, and one signature."""

    def __init__(self, instance: Instance, objects: list[Object]) -> None:
        super().__init__(instance)
        spec = pod(deployments(objects)["virusscan"])
        (self.container,) = [each for each in spec["initContainers"] if each["name"] == "clamd"]
        (self.config,) = [
            each["data"]["clamd.conf"]
            for each in of_kind(objects, "ConfigMap")
            if "clamd.conf" in each["data"]
        ]

    def argv(self) -> list[str]:
        """The container's command, with its folders where they are here."""
        folders = {"/run/clamd/clamd.sock": str(self.socket), "/tmp": str(self.data)}  # noqa: S108 -- the Pod's
        folders |= {"/var/lib/clamav": str(self.data / "database"), "/etc/clamd": str(self.data)}
        (self.data / "database").mkdir(parents=True, exist_ok=True)
        (self.data / "database/demo.ndb").write_text(f"{EICAR_SIGNATURE}:0:0:{eicar().hex()}\n")
        config = self.config
        for path, here in folders.items():
            config = config.replace(path, here)
        (self.data / "clamd.conf").write_text(config)
        program, *args = self.container["command"]
        assert program == "clamd"
        return [str(self._program), *(each.replace("/etc/clamd", str(self.data)) for each in args)]


def test_the_side_car_scans_with_the_configuration_of_the_chart(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"stepServiceDefaults": {"clamd": {"maxFileMiB": 1, "settings": ["DetectPUA yes"]}}}
    objects = render(PLAIN | small)
    clamd = ChartClamd(instance, objects)
    clamd.start()
    trial = Trial(objects, tmp_path, monkeypatch, capsys)
    file = tmp_path / "file.txt"
    said = {}
    for what, content in {"infected": eicar(), "clean": b"x", "large": b"x" * (1024 * 1024 + 1)}.items():
        file.write_bytes(content)
        said[what] = trial.of("virusscan", file, **{"/run/clamd/clamd.sock": str(clamd.socket)})
    clamd.stop()
    assert said["infected"][0] == "delete"
    assert EICAR_SIGNATURE in said["infected"][1]
    assert said["clean"][0] == "continue"
    assert said["large"][0] == "continue"
    assert "not scanned" in said["large"][1]


def test_rules_and_commands_work_as_they_are_written_in_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = Trial(render(PLAIN), tmp_path, monkeypatch, capsys)
    file = tmp_path / "a.bat"
    file.write_bytes(b"\x7fELF")
    assert trial.of("policies", file) == ("delete", "no scripts: {{ .Values }} # none")
    assert trial.of("elf", file)[0] == "delete"
    large = tmp_path / "setup.exe"
    large.write_bytes(b"x" * 1_000_001)
    assert trial.of("policies", large) == ("delete", "no large programs")
    assert trial.of("elf", large)[0] == "continue"
    large.write_bytes(b"x")
    assert trial.of("policies", large) == ("continue", "")
