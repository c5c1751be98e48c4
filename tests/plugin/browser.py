"""A real Chromium without a window, driven over a pipe by the DevTools protocol: no driver and no library."""

import base64
import fcntl
import json
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.cluster.chromium import program

Json = dict[str, Any]
SECONDS = 20.0
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-pipe", "--disable-background-networking", "--disable-component-update"),
    *(
        "--disable-extensions",
        "--disable-sync",
        "--mute-audio",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "Tab": ("", 9)}


class Browser:
    """One process, one page."""

    def __init__(self, path: str, folder: Path) -> None:
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (theirs_in, theirs_out)]
        words = [path, *FLAGS, f"--user-data-dir={folder}", "--window-size=1280,900", "about:blank"]
        self._pid = os.posix_spawn(
            path,
            words,
            {**os.environ, "HOME": str(folder)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(folder / "log"), os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, ends[0], 3),
                (os.POSIX_SPAWN_DUP2, ends[1], 4),
            ],
            setpgroup=0,
        )
        for each in (*ends, theirs_in, theirs_out):
            os.close(each)
        self._out, self._in = os.fdopen(ours_out, "wb", buffering=0), os.fdopen(ours_in, "rb")
        self._answers: queue.Queue[Json] = queue.Queue()
        self.events: list[Json] = []
        self._number, self._session = 0, ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        target = next(
            each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page"
        )
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _read(self) -> None:
        buffer = b""
        while chunk := os.read(self._in.fileno(), 1 << 20):
            *messages, buffer = (buffer + chunk).split(b"\0")
            for text in messages:
                message = json.loads(text)
                (self._answers.put if "id" in message else self.events.append)(message)

    def call(self, method: str, **params: object) -> Json:
        """One command and its answer."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._out.write(
            json.dumps({"id": self._number, "method": method, "params": params, **session}).encode() + b"\0"
        )
        while True:
            answer = self._answers.get(timeout=SECONDS)
            if answer["id"] == self._number:
                assert "error" not in answer, (method, answer["error"])
                found: Json = answer["result"]
                return found

    def run(self, code: str) -> Any:  # noqa: ANN401 -- whatever the expression is
        """The value of an expression in the page; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, (code, found["exceptionDetails"])
        return found["result"].get("value")

    def until(self, code: str) -> Any:  # noqa: ANN401 -- whatever the expression is
        """The value of an expression once it is true; looked at each time the page is drawn."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = self.run(
                f"(() => {{ try {{ const it = ({code}); return it instanceof Node || it }} "
                "catch { return null } })()"
            )
            if found:
                return found
            self.run("new Promise((done) => setTimeout(done, 20))")
        raise AssertionError((code, self.run("document.body.innerText")[:3000]))

    def open(self, url: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def press(self, key: str) -> None:
        """One key."""
        text, code = KEYS.get(key, (key, ord(key[0].upper())))
        about = (
            {"key": key, "windowsVirtualKeyCode": code, "text": text}
            if text
            else {"key": key, "windowsVirtualKeyCode": code}
        )
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Change the window and the colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call(
            "Emulation.setEmulatedMedia",
            features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}],
        )

    def picture(self, path: Path) -> None:
        """A screenshot of what is in the window."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End it and all of its processes."""
        self._out.close()
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._reader.join(SECONDS)
        self._in.close()


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser for a while."""
    path = program()
    assert path is not None
    made = Browser(path, folder)
    try:
        yield made
    finally:
        made.close()
