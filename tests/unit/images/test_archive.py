"""Image archives: what a runtime needs to find in them."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from e2e.images import store
from e2e.images.archive import Image, write_archive, write_layer


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF and so on")
    return path


def read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {each.name: file.read() for each in tar if (file := tar.extractfile(each))}


def test_an_archive_says_what_is_in_it(tmp_path: Path, program: Path) -> None:
    layer = write_layer(tmp_path / "layer.tar", {"/bin/program": program})
    image = Image("docker.io/local/some:1", [layer], {"Entrypoint": ["/bin/program"]})
    members = read(write_archive(tmp_path / "image.tar", image))
    (manifest,) = json.loads(members["manifest.json"])
    assert manifest["RepoTags"] == ["docker.io/local/some:1"]
    (name,) = manifest["Layers"]
    digest = hashlib.sha256(members[name]).hexdigest()
    config = json.loads(members[manifest["Config"]])
    assert manifest["Config"] == f"{hashlib.sha256(members[manifest['Config']]).hexdigest()}.json"
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    assert config["config"] == {"Entrypoint": ["/bin/program"]}
    assert config["os"] == "linux"
    with tarfile.open(layer) as tar:
        (member,) = tar
        assert (member.name, member.mode, member.uid, member.mtime) == ("bin/program", 0o755, 0, 0)


def test_the_same_image_gives_the_same_bytes(tmp_path: Path, program: Path) -> None:
    made = []
    for number in range(2):
        program.touch()
        layer = write_layer(tmp_path / f"layer-{number}.tar", {"/program": program})
        archive = write_archive(tmp_path / f"image-{number}.tar", Image("local/some:1", [layer], {}))
        made.append(archive.read_bytes())
    assert made[0] == made[1]


def test_nothing_is_left_of_an_archive_that_could_not_be_written(tmp_path: Path, program: Path) -> None:
    layer = write_layer(tmp_path / "layer.tar", {"/program": program})
    before = set(tmp_path.iterdir())
    with pytest.raises(TypeError, match="JSON"):
        write_archive(tmp_path / "image.tar", Image("local/some:1", [layer], {"Cmd": object()}))
    assert set(tmp_path.iterdir()) == before


def test_an_image_is_made_once_for_each_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def make(target: Path, work: Path) -> None:
        assert list(work.iterdir()) == []
        (work / "some").touch()
        made.append(target.name)
        target.write_text("image")

    first = store.kept("some", "1", make)
    assert store.kept("some", "1", make) == first
    second = store.kept("some", "2", make)
    assert made == ["some-1.tar", "some-2.tar"]
    assert [path.name for path in second.parent.glob("*.tar")] == ["some-2.tar"]
