"""A report as an archive: what could be read, each file bounded, and a list of what is missing and why."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from collections.abc import Mapping

FOLDER = "kubectl-pp-report"
MAX_FILE = 2_000_000
MAX_ALL = 20_000_000
"""Maximum bytes of the archive's content, before compression."""


class Bundle:
    """Collects the files of a report."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self._bytes = 0
        self._content = io.BytesIO()
        self._packed = gzip.GzipFile(fileobj=self._content, mode="wb")
        self._tar = tarfile.open(fileobj=self._packed, mode="w")  # noqa: SIM115 -- closed by `finish`

    def lacks(self, what: str, why: object) -> None:
        """Note what could not be read."""
        self.missing.append(f"{what}: {why}")

    def add_json(self, name: str, value: object) -> None:
        """A file of JSON."""
        self.add(name, json.dumps(value, indent=1, sort_keys=True) + "\n")

    def add(self, name: str, text: str) -> None:
        """A file of text; of a long one the end, which is the newest."""
        content = text.encode(errors="replace")
        if len(content) > MAX_FILE:
            self.lacks(name, f"the first {len(content) - MAX_FILE:,} bytes are left out")
            content = content[-MAX_FILE:].split(b"\n", 1)[-1]
        if self._bytes + len(content) > MAX_ALL:
            self.lacks(name, f"left out: a report has at most {MAX_ALL:,} bytes")
            return
        self._bytes += len(content)
        self._write(name, content)

    def finish(self, about: Mapping[str, object]) -> bytes:
        """The archive, with what is known of the report itself."""
        self._write("about.json", (json.dumps({**about, "missing": self.missing}, indent=1) + "\n").encode())
        self._tar.close()
        self._packed.close()
        return self._content.getvalue()

    def _write(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(f"{FOLDER}/{name}")
        entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
        self._tar.addfile(entry, io.BytesIO(content))
