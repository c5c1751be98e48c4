"""The tutorial is about this version and its manifests; tests/pods follows it on real Pods."""

import re

import yaml

from e2e.paths import REPO
from uploadpp import __version__

PAGE = (REPO / "docs" / "tutorial.md").read_text()
EXAMPLES = REPO / "examples" / "tutorial"


def test_it_downloads_files_of_this_version() -> None:
    found = re.findall(r"raw\.githubusercontent\.com/uploadpp/upload-postprocessing/v([^/]+)/(\S+)", PAGE)
    assert found
    for version, path in found:
        assert version == __version__
        assert (REPO / path).is_file(), path


def test_the_storage_is_what_its_manifest_runs() -> None:
    objects = list(yaml.safe_load_all((EXAMPLES / "storage.yaml").read_text()))
    program = objects[0]["data"]["storage.py"]
    assert program == (EXAMPLES / "storage.py").read_text()
    container = objects[2]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].endswith(f":{__version__}")


def test_each_service_is_where_the_values_look_for_it() -> None:
    values = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0])
    found = {}
    for name in ("nats", "storage"):
        for each in yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()):
            if each["kind"] == "Service":
                found[name] = f"{name}:{each['spec']['ports'][0]['port']}"
    assert values["nats"]["endpoints"] == [found["nats"]]
    assert values["storageCheck"]["from"] == [f"http://{found['storage']}/data/"]
    program = (EXAMPLES / "storage.py").read_text()
    assert f'NATS = "nats://{found["nats"]}"' in program
    assert f'DATA = "http://{found["storage"]}/data/"' in program
