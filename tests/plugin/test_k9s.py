"""The files for k9s in the real k9s, on a terminal of tmux. Skipped where one of the two is missing."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.binaries import available
from e2e.paths import REPO
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from tests.plugin.test_list import PASSED

K9S = available("k9s")
MISSING = [*(["k9s"] if K9S is None else []), *(["tmux"] if shutil.which("tmux") is None else [])]
# k9s asks GitHub for its newest release unless it is told not to.
SETTINGS = "k9s: {skipLatestRevCheck: true, ui: {logoless: true, splashless: true}}\n"
TIMEOUT = 60.0


class Screen:
    """k9s in a window of tmux."""

    def __init__(self, pp: Plugin, folder: Path) -> None:
        settings = folder / "k9s"
        settings.mkdir()
        for name in ("plugins.yaml", "views.yaml"):
            shutil.copy(REPO / "docs/k9s" / name, settings)
        (settings / "config.yaml").write_text(SETTINGS)
        self._socket = str(folder / "tmux")
        # The cache is named after the port, which other API servers of tests had before.
        own = {
            "K9S_CONFIG_DIR": str(settings),
            "KUBECACHEDIR": str(folder / "cache"),
            "TERM": "xterm-256color",
        }
        self._environment = {**pp.environment, **own}
        k9s = [
            str(K9S.path if K9S else "k9s"),
            "--context=local",
            "-n",
            pp.namespace,
            "--logFile",
            str(folder / "log"),
        ]
        self.tmux("new-session", "-d", "-x", "180", "-y", "40", *k9s)

    def tmux(self, *words: str) -> str:
        """What tmux says."""
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(
            command, env=self._environment, text=True, capture_output=True, check=True
        ).stdout

    def press(self, *keys: str) -> None:
        """Press keys."""
        self.tmux("send-keys", *keys)

    def until(self, pattern: str) -> str:
        """Wait until the screen shows this."""
        deadline = time.monotonic() + TIMEOUT
        while not re.search(pattern, shown := self.tmux("capture-pane", "-p")):
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return shown


@pytest.fixture
def screen(pp: Plugin, writer: Writer, tmp_path: Path) -> Iterator[Screen]:
    """k9s with our files, showing uploads."""
    writer.put(at("upload-one", *PASSED[:1], ago_minutes=5))
    found = Screen(pp, tmp_path)
    try:
        found.until("Context: +local")
        found.until("<pod>")
        found.press(":")
        found.until("🐶>")
        found.press("upp")
        found.until("🐶> *upp")
        found.press("Enter")
        found.until(r"upload-one +policies")
        yield found
        deadline = time.monotonic() + TIMEOUT
        while list(tmp_path.glob("kubectl-pp.*")):
            assert time.monotonic() < deadline, "the plugin goes on"
            time.sleep(0.1)
    finally:
        found.tmux("kill-server")


@pytest.mark.skipif(bool(MISSING), reason=f"missing: {', '.join(MISSING)} (docs/testing.md)")
def test_columns_and_verbs_in_k9s(screen: Screen, writer: Writer) -> None:
    shown = screen.until("<shift-x> +Cancel")
    assert re.search(r"NAME\S* +STEP +STATUS +RETRIES +PROGRESS +NEXT +FILENAME +SIZE +AGE", shown)
    for key, what in (("i", "Status"), ("l", "Operator's lines"), ("u", "Resume"), ("t", "Restart")):
        assert re.search(f"<shift-{key}> +{what}", shown)
    screen.press("I")
    screen.until("What you can do")
    screen.press("q")
    screen.until("<shift-x> +Cancel")
    screen.press("X")
    screen.until("kubectl pp cancel upload-one")
    assert "desiredState" not in writer.get("upload-one")["spec"]
    screen.press("Tab", "Enter")
    deadline = time.monotonic() + TIMEOUT
    while writer.get("upload-one")["spec"].get("desiredState") != "Cancelled":
        assert time.monotonic() < deadline, screen.tmux("capture-pane", "-p")
        time.sleep(0.2)
