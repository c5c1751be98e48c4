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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "operator"))

from plugin_sources import ROOT, sources

from kubectl_pp.verbs.completion import SCRIPT
from uploadpp import __version__

HEAD = b"""#!/bin/sh
# kubectl pp. What follows is a zip of Python code.
command -v python3 >/dev/null || { echo "kubectl pp needs python3 (3.9 or newer) on PATH" >&2; exit 127; }
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
        for name, source in sources().items():
            inner = MAIN if name == f"kubectl_pp/{MAIN}" else name
            package.writestr(zipfile.ZipInfo(inner, EPOCH), source)
            if name.endswith(".py"):
                package.writestr(zipfile.ZipInfo(f"{inner}c", EPOCH), _compiled(name, source, Path(folder)))
    return content.getvalue()


def _compiled(name: str, source: bytes, folder: Path) -> bytes:
    code, compiled = folder / "code.py", folder / "code.pyc"
    code.write_bytes(source)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(code), str(compiled), dfile=name, doraise=True, invalidation_mode=mode)
    return compiled.read_bytes()


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
