"""`report`: all that helps, nothing that must not be seen."""

import base64
import gzip
import io
import json
import tarfile

import pytest

from e2e.cluster.local import LocalCluster
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.terminal import Terminal
from tests.plugin.test_list import INFECTED, PASSED
from tests.plugin.test_logs import LINES, kubelet, pod
from uploadpp.core.evolve import evolve
from uploadpp.testing.builders import FILE

__all__ = ["pod"]
PLANTED = {
    "url": "https://storage.example/data/upload?signature=Planted",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJl",
    "password": "pl4nted-passw0rd",
    "key": "UExBTlRFRAplantedKEY0123456789abcdefABCDEF0123456789==",
    "login": "nats://planted-user:planted-pass@nats:4222",
    "sealed": "gAAAAABplantedsealedpart",
}
NAMES = {"filename": "Offer for Miller.pdf", "user": "planted-user-id", "mail": "miller@planted.example"}
LOGGED = [
    {"time": "t", "level": "INFO", "message": f"fetching {PLANTED['url']}", "upload": "upload-one"},
    {
        "time": "t",
        "level": "INFO",
        "message": "login",
        "password": PLANTED["password"],
        "user": NAMES["user"],
    },
    {"time": "t", "level": "INFO", "message": f"opened {NAMES['filename']} of {NAMES['mail']}"},
    {"time": "t", "level": "INFO", "message": f"Authorization: Bearer {PLANTED['jwt']}"},
    {"time": "t", "level": "INFO", "message": f"password={PLANTED['password']} at {PLANTED['login']}"},
    {"time": "t", "level": "INFO", "message": f"key {PLANTED['key']}"},
]


def files(content: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {
            member.name.partition("/")[2]: (tar.extractfile(member) or io.BytesIO()).read().decode()
            for member in tar.getmembers()
        }


def plant(writer: Writer) -> None:
    """An upload, an Event, a Lease and a release of the chart that tell too much."""
    upload = at("upload-one", *PASSED[:1], ago_minutes=5)
    file = evolve(upload.file, filename=NAMES["filename"], user_id=NAMES["user"])
    writer.put(evolve(upload, file=file))
    made = writer.get("upload-one")
    writer.request("PATCH", f"{writer.path}/upload-one", {"spec": {"sealed": PLANTED["sealed"]}})
    step = {
        **made["status"]["steps"][0],
        "message": f"no answer from {PLANTED['url']} for {NAMES['filename']}",
    }
    writer.set_status("upload-one", {**made["status"], "steps": [step, *made["status"]["steps"][1:]]})
    writer.put(at("upload-two", *INFECTED, ago_minutes=9))
    events = f"/api/v1/namespaces/{writer.namespace}/events"
    about = {"kind": "UploadPostprocessing", "name": "upload-one", "namespace": writer.namespace}
    text = f"{PLANTED['jwt']} of {NAMES['mail']}"
    writer.request(
        "POST",
        events,
        {
            "metadata": {"name": "told"},
            "involvedObject": about,
            "message": text,
            "reason": "R",
            "type": "Normal",
        },
    )
    config = {
        "nats": {
            "auth": {"password": {"value": PLANTED["password"]}, "token": {"value": PLANTED["jwt"]}},
            "endpoints": ["nats:9233"],
        },
        "extraEnv": [{"name": "SOME_PASSWORD", "value": PLANTED["password"]}],
        "steps": [{"name": "virusscan"}],
        "proxy": PLANTED["login"],
    }
    chart = {"metadata": {"name": "upload-postprocessing", "version": "0.1.0"}}
    release = {"name": "pp", "config": config, "chart": chart}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode())))
    secret = {
        "metadata": {"name": "sh.helm.release.v1.pp.v1", "labels": {"owner": "helm", "status": "deployed"}},
        "type": "helm.sh/release.v1",
        "data": {"release": packed.decode()},
    }
    writer.request("POST", f"/api/v1/namespaces/{writer.namespace}/secrets", secret)


def test_what_is_in_it_and_what_is_not(pp: Plugin, writer: Writer, cluster: LocalCluster) -> None:
    plant(writer)
    with kubelet(cluster, writer, LOGGED):
        target = f"{pp.environment['HOME']}/report.tar.gz"
        done = pp("report", "-o", target)
        assert done.code == 0, done.err
        kept = pp("report", "-o", f"{target}.names", "--with-names")
        assert kept.code == 0, kept.err
    with open(target, "rb") as file:  # noqa: PTH123 -- short
        found = files(file.read())
    with open(f"{target}.names", "rb") as file:  # noqa: PTH123 -- short
        named = files(file.read())
    everything = "\n".join(found.values())
    for what, secret in PLANTED.items():
        assert secret not in everything, what
        assert secret not in "\n".join(named.values()), what
    assert "planted-pass" not in everything
    for what, name in NAMES.items():
        assert name not in everything, what
    assert NAMES["filename"] in named["uploads.json"]
    assert set(found) >= {
        "about.json",
        "uploads.json",
        "counts.json",
        "events.json",
        "leases.json",
        "crd.json",
    }
    assert set(found) >= {"values-pp.json", "doctor.txt", "pods-operator.json", "logs/operator.log"}
    uploads = {each["metadata"]["name"]: each for each in json.loads(found["uploads.json"])}
    assert set(uploads) == {"upload-one", "upload-two"}
    assert uploads["upload-one"]["status"]["currentStep"] == "policies"
    assert uploads["upload-one"]["spec"]["upload"]["filesize"] == FILE.filesize
    assert json.loads(found["values-pp.json"])["config"]["steps"] == [{"name": "virusscan"}]
    assert len(found["logs/operator.log"].splitlines()) == len(LOGGED)
    assert "upload-one" in found["logs/operator.log"]
    about = json.loads(found["about.json"])
    assert about["names"] == "replaced"
    assert about["server"].startswith("v1.")
    assert (
        any("metrics of Pod operator" in line for line in about["missing"]) or "metrics/operator.txt" in found
    )
    assert "review it" in done.err


def test_with_few_rights_it_says_what_it_could_not_read(pp: Plugin, writer: Writer) -> None:
    writer.put(at("upload-one", ago_minutes=5))
    role = {
        "metadata": {"name": "few"},
        "rules": [{"apiGroups": ["uploadpp.io"], "resources": ["*"], "verbs": ["*"]}],
    }
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{writer.namespace}"
    writer.request("POST", f"{rbac}/roles", role)
    binding = {
        "metadata": {"name": "few"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "few"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "few"}],
    }
    writer.request("POST", f"{rbac}/rolebindings", binding)
    target = f"{pp.environment['HOME']}/few.tar.gz"
    done = pp("report", "--as=few", "-o", target)
    assert done.code == 0, done.err
    with open(target, "rb") as file:  # noqa: PTH123 -- short
        found = files(file.read())
    assert "upload-one" in found["uploads.json"]
    missing = json.loads(found["about.json"])["missing"]
    for what in ("events", "leases", "crd", "chart values", "operator Pods", "step Pods"):
        assert any(line.startswith(f"{what}: ") for line in missing), (what, missing)
        assert f"  not in it: {what}: " in done.err
    assert not any("planted" in line for line in missing)


def test_no_archive_goes_to_a_terminal(pp: Plugin) -> None:
    terminal = Terminal(pp, "kubectl", "pp", "report", "-o", "-", columns=80)
    assert terminal.end() == 2
    assert "the archive cannot be written to a terminal" in terminal.seen


@pytest.mark.usefixtures("pod")
def test_lines_of_the_steps_about_an_upload(pp: Plugin, writer: Writer) -> None:
    """Pods of step services are found by their label; those of the operator are not among them."""
    writer.put(at("upload-one", ago_minutes=5))
    none = pp("logs", "upload-one", "--steps")
    assert none.code == 5
    assert "stepServices" in none.err
    path = f"/api/v1/namespaces/{writer.namespace}/pods/operator"
    writer.request("PATCH", path, {"metadata": {"labels": {"app.kubernetes.io/component": "step"}}})
    found = pp("logs", "upload-one", "--steps")
    assert found.code == 0, found.err
    assert len(found.out.splitlines()) == sum(line.get("upload") == "upload-one" for line in LINES)
    assert "\x1b" not in found.out
