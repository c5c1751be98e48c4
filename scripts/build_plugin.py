"""Builds dist/: kubectl-pp (one executable file), kubectl_complete-pp, and the archive and manifest for krew.

The same sources give the same bytes. Code is compiled ahead for the Python that builds; others
compile it when they start, which takes a little longer.
"""

import gzip
import hashlib
import io
import os
import py_compile
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from kubectl_pp.verbs.completion import SCRIPT  # noqa: E402 -- found through the path just set
from uploadpp import __version__  # noqa: E402

SOURCES = (
    *sorted((ROOT / "operator/kubectl_pp").rglob("*.py")),
    ROOT / "operator/uploadpp/__init__.py",
    ROOT / "operator/uploadpp/core/__init__.py",
    ROOT / "operator/uploadpp/core/naming.py",
    ROOT / "operator/uploadpp/core/states.py",
    ROOT / "operator/uploadpp/core/text.py",
)
PAGE = sorted((ROOT / "operator/kubectl_pp/ui/page").iterdir())
"""What `kubectl pp ui` serves."""
HEAD = b"""#!/bin/sh
# kubectl pp. What follows is a zip of Python code.
command -v python3 >/dev/null || { echo "kubectl pp needs python3 (3.11 or newer) on PATH" >&2; exit 127; }
exec python3 -IS "$0" "$@"
"""
EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = "__main__.py"
NOWHERE = "https://releases.invalid"
LOCAL = """\
dist/pp.yaml names no place to download from: RELEASES_URL is not set. It installs what is here:
  kubectl krew install --manifest=dist/pp.yaml --archive=dist/pp.tar.gz
For others: make plugin RELEASES_URL=https://… (the folder that has v{version}/pp.tar.gz)"""


def build(target: Path, releases: str) -> None:
    """Write everything into a folder; `releases` is the address under which each version has one."""
    target.mkdir(parents=True, exist_ok=True)
    _executable(target / "kubectl-pp", plugin())
    _executable(target / "kubectl_complete-pp", SCRIPT.encode())
    archive = _archive(target)
    (target / "pp.tar.gz").write_bytes(archive)
    manifest = (ROOT / "operator/kubectl_pp/krew.yaml").read_text()
    values = {"VERSION": __version__, "RELEASES": releases, "SHA256": hashlib.sha256(archive).hexdigest()}
    for name, value in values.items():
        manifest = manifest.replace(f"@{name}@", value)
    (target / "pp.yaml").write_text(manifest)


def plugin() -> bytes:
    """The one file: a line of shell, then a zip."""
    content = io.BytesIO(HEAD)
    with (
        zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as package,
        tempfile.TemporaryDirectory() as folder,
    ):
        for path in SOURCES:
            name = str(path.relative_to(ROOT / "operator"))
            inner = MAIN if name == f"kubectl_pp/{MAIN}" else name
            package.writestr(zipfile.ZipInfo(inner, EPOCH), path.read_bytes())
            compiled = Path(folder, "code.pyc")
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(path), str(compiled), dfile=name, doraise=True, invalidation_mode=mode)
            package.writestr(zipfile.ZipInfo(f"{inner}c", EPOCH), compiled.read_bytes())
        for path in PAGE:
            name = str(path.relative_to(ROOT / "operator"))
            package.writestr(zipfile.ZipInfo(name, EPOCH), path.read_bytes())
    return content.getvalue()


def _executable(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


def _archive(target: Path) -> bytes:
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in (target / "kubectl-pp", target / "kubectl_complete-pp", ROOT / "LICENSE"):
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, path.stat().st_mode & 0o777
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return content.getvalue()


if __name__ == "__main__":
    wanted = os.environ.get("RELEASES_URL", "").rstrip("/")
    if wanted and not wanted.startswith("https://"):
        sys.exit(f"RELEASES_URL={wanted}: krew downloads from https:// addresses only")
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist", wanted or NOWHERE)
    if not wanted:
        print(LOCAL.format(version=__version__))
