"""docs/tutorial.md typed as it stands, on real Pods: each command succeeds and prints what the page shows."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from e2e.cluster.helm import CHART
from e2e.cluster.kubectl import Kubectl
from e2e.paths import REPO
from tests.pods.site import RELEASE, Site
from uploadpp.api import CRD_NAME, POLICY_CRD_NAME

pytestmark = pytest.mark.timeout(1800)  # where it is alone it also makes the image and the cluster

PAGE = (REPO / "docs" / "tutorial.md").read_text()
EXAMPLES = REPO / "examples" / "tutorial"
PUBLISHED = re.compile(r"https://raw\.githubusercontent\.com/\S+/examples/tutorial")
CHART_NAME = re.compile(r"oci://\S+/upload-postprocessing\b")
NAMESPACE = "uploads"


class Block(NamedTuple):
    """A block of the page."""

    language: str
    text: str


BLOCKS = [Block(*each) for each in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.fixture
def empty(site: Site) -> Iterator[Kubectl]:
    """The cluster as somebody has it who begins: without a release and without the CRD."""
    if json.loads(site.helm("list", f"--filter=^{RELEASE}$", "--output=json")):
        site.helm("uninstall", RELEASE, "--wait")
    admin = Kubectl(site.kubeconfig)
    admin("delete", "crd", CRD_NAME, POLICY_CRD_NAME, "--ignore-not-found")
    yield admin
    admin("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def terminal(site: Site, folder: Path) -> dict[str, str]:
    """The environment of a person who has kubectl, helm and the plugin, and a kubeconfig of their own."""
    kubeconfig = folder / "kubeconfig"
    shutil.copy(site.kubeconfig, kubeconfig)
    path = f"{site.tools}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig), "HOME": str(folder), "KUBERC": "off"}


def local(text: str, site: Site, folder: Path) -> str:
    """The commands, with what is not published yet taken from this working copy."""
    text = PUBLISHED.sub(str(folder), text)
    return CHART_NAME.sub(" ".join([str(CHART), *site.image_values()]), text)


def shows(output: str, expected: str) -> bool:
    """Whether each line that the page shows is in the output, with other spaces and more behind it."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    return all(any(" ".join(each.split()) in line for line in lines) for each in expected.splitlines())


def test_the_first_ten_minutes(site: Site, empty: Kubectl, tmp_path: Path) -> None:
    environment = terminal(site, tmp_path)
    images = {
        r"image: docker\.io/library/nats:\S+": f"image: {site.nats_image}",
        r"image: ghcr\.io/\S+": f"image: {site.image}",
    }
    for name in ("nats.yaml", "storage.yaml"):
        text = (EXAMPLES / name).read_text()
        for published, here in images.items():
            text = re.sub(published, here, text)
        (tmp_path / name).write_text(text)
    output = ""
    for block in BLOCKS:
        if block.language == "yaml":
            (tmp_path / "values.yaml").write_text(block.text)
        elif block.language == "text":
            assert shows(output, block.text), f"the page shows:\n{block.text}\nit was:\n{output}"
        else:
            assert block.language == "sh"
            output = typed(local(block.text, site, tmp_path), tmp_path, environment, empty)
    left = json.loads(empty("get", "namespaces", "--output=json"))["items"]
    assert NAMESPACE not in {each["metadata"]["name"] for each in left}


def typed(script: str, folder: Path, environment: dict[str, str], admin: Kubectl) -> str:
    """What the commands print; all of them succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if done.returncode:
        objects = admin("get", "pods,upp,events", f"--namespace={NAMESPACE}")
        pytest.fail(f"{script}\n{done.stdout}\n{objects}")
    return done.stdout
