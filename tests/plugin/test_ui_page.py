"""The page of `kubectl pp ui` in a real browser: by keyboard, narrow, dark, and attacked."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from e2e.cluster.chromium import MISSING, program
from kubectl_pp.ui.answers import Answers
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.demo import Demo
from kubectl_pp.ui.fiction import HOSTILE, Fiction
from kubectl_pp.ui.server import Server
from kubectl_pp.upload import Upload
from tests.plugin.browser import Browser, browser
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at
from uploadpp.api.codec import to_status
from uploadpp.core.inputs import StepFinished

pytestmark = [
    pytest.mark.skipif(program() is None, reason=MISSING),
    pytest.mark.xdist_group("browser"),
]

FILL = (
    "(() => {{ const it = document.getElementById('{}'); it.value = '{}'; "
    "it.dispatchEvent(new Event('{}')) }})()"
)
ROWS = "document.querySelectorAll('#rows tr').length"
FOUND = "document.getElementById('found').textContent"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    with browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


class Page:
    """The page with made-up uploads that stand still, unless another demo is given."""

    def __init__(self, window: Browser, demo: Demo | None = None) -> None:
        self.window = window
        self.demo = demo or Demo(160, moving=False)
        self.demo.start()
        place = {"demo": True, "namespace": "ocis", "context": "", "selected": False}
        self.server = Server(Answers(self.demo, Commands(Namespace(), "ocis"), place))
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def open(self, fragment: str = "", **look: Any) -> None:  # noqa: ANN401 -- of Browser.look
        """Load it anew."""
        self.window.look(**look)
        self.window.open("about:blank#")
        self.window.open(self.server.url + fragment)
        self.window.until(f"/ found/.test({FOUND})")

    def put(self, fiction: Fiction) -> None:
        """An upload changes."""
        self.demo.model.put(Upload(fiction.resource()))

    def named(self, file: str) -> Fiction:
        """The upload with this file name."""
        return next(each for each in self.demo._uploads.values() if each.file == file)

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def page(window: Browser) -> Iterator[Page]:
    made = Page(window)
    yield made
    made.close()


def test_from_the_overview_to_a_copied_command_and_back_by_keyboard(page: Page) -> None:
    window = page.window
    page.open()
    origin = page.server.url.split("/", 3)
    window.call(
        "Browser.grantPermissions",
        origin="/".join(origin[:3]),
        permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
    )
    assert window.run(ROWS) == 50
    assert window.run(FOUND) == "167 uploads found"
    assert window.run("document.getElementById('announcement').textContent") == "6 uploads need attention"
    assert window.run("document.title").startswith("(6) ")
    window.press("j")
    first = window.run("document.activeElement.dataset.open")
    window.press("j")
    second = window.run("document.activeElement.dataset.open")
    assert first != second
    window.press("k")
    assert window.run("document.activeElement.dataset.open") == first
    window.press("/")
    assert window.run("document.activeElement.id") == "text"
    name = page.demo._uploads[second.split("/")[1]]
    window.type(name.file)
    window.until(f"{FOUND} === '1 upload found'")
    assert f"text={name.file}" in window.run("location.hash")
    window.press("Escape")
    window.press("j")
    window.press("Enter")
    window.until("document.querySelector('#detail .standing')")
    assert name.file in window.run("document.querySelector('#detail h2').textContent")
    command = f"kubectl pp resume {name.name} -n ocis"
    window.run(f"document.querySelector('[data-copy={json.dumps(command)}]').focus()")
    window.press("Enter")
    window.until("document.activeElement.textContent === 'Copied'")
    assert window.run("navigator.clipboard.readText()") == command
    window.press("Escape")
    window.until(f"document.activeElement.dataset.open === {json.dumps(second)}")
    assert window.run(FOUND) == "1 upload found"
    window.press("?")
    assert window.run("document.getElementById('help').open")


def test_filters_live_in_the_address(page: Page) -> None:
    window = page.window
    page.open()
    window.run("document.querySelector('[data-view=attention]').click()")
    window.until(f"{FOUND} === '6 uploads found'")
    window.run(FILL.format("step", "thumbnail", "change"))
    window.until(f"{FOUND} === '4 uploads found'")
    assert window.run("location.hash") == "#view=attention&step=thumbnail"
    chips = "[...document.querySelectorAll('#chips .chip')].map((each) => each.textContent.slice(0, -2))"
    assert window.run(chips) == ["need attention", "step thumbnail", "all"]
    assert "kubectl pp resume --stalled --step thumbnail -n ocis" in window.run(
        "document.getElementById('commands').textContent"
    )
    window.run("history.back()")
    window.until(f"{FOUND} === '6 uploads found'")
    window.run("history.forward()")
    window.until(f"{FOUND} === '4 uploads found'")
    window.call("Page.reload")
    window.until(f"{FOUND} === '4 uploads found'")
    assert window.run("document.getElementById('step').value") == "thumbnail"
    window.run("document.querySelector('#chips .chip').click()")
    window.until("location.hash === '#step=thumbnail'")
    window.run(FILL.format("retries", "99", "input"))
    window.until(f"{FOUND} === '0 uploads found'")
    assert "matches all of these filters" in window.run("document.getElementById('empty').textContent")
    window.run("document.querySelector('#empty button').click()")
    window.until(f"{FOUND} === '167 uploads found'")
    window.run("document.getElementById('after').click()")
    window.until("document.getElementById('range').textContent === '51 to 100 of 167'")
    assert window.run(ROWS) == 50


def test_changes_come_by_themselves_and_leave_the_focus_where_it_is(page: Page) -> None:
    window = page.window
    page.open("#status=Stalled")
    window.press("j")
    window.press("j")
    open_ = window.run("document.activeElement.dataset.open")
    fiction = page.demo._uploads[open_.split("/")[1]]
    fiction.message = "told anew"
    page.put(fiction)
    window.until("document.activeElement.closest('tr').textContent.includes('told anew')")
    assert window.run("document.activeElement.dataset.open") == open_
    window.press("Enter")
    window.until("document.querySelector('#why')?.textContent === 'told anew'")
    fiction.message = "and once more"
    fiction.version += 1
    page.put(fiction)
    window.until("document.querySelector('#why').textContent === 'and once more'")
    page.demo.model.drop(("ocis", fiction.name))
    window.until("document.querySelector('#detail').textContent.includes('cannot be shown')")
    page.demo.model.lose("the watch was interrupted: <b>bang</b>")
    window.until("!document.getElementById('stale').hidden")
    bar = window.run("document.getElementById('stale').textContent")
    assert re.fullmatch(r"As of \d\d:\d\d:\d\d, reconnecting: the watch was interrupted: <b>bang</b>", bar)
    page.put(fiction)
    window.until("document.getElementById('stale').hidden")


def test_names_that_attack_are_text(page: Page) -> None:
    window = page.window
    page.open()
    for name in HOSTILE:
        page.named(name)
    for text in ("<img", "</script>", "javascript:", "very-long"):
        window.run(f"location.hash = '#' + new URLSearchParams({{ text: {json.dumps(text)} }})")
        window.until(
            f"{ROWS} === 1 && document.querySelector('#rows').textContent.includes({json.dumps(text)})"
        )
        window.press("j")
        window.press("Enter")
        window.until(f"document.querySelector('#detail h2 bdi').textContent.includes({json.dumps(text)})")
        window.press("Escape")
    assert window.run("document.querySelectorAll('img, #detail script, #rows script').length") == 0
    assert window.run("document.title").endswith("Uploads in postprocessing")
    window.run("location.hash = '#text=fdp.exe'")
    window.until("document.querySelector('#rows').textContent.includes('fdp.exe')")
    shown = window.run("document.querySelector('#rows bdi').textContent")
    assert shown == "invoice\\u202efdp.exe"
    assert window.run("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_accessible(page: Page, dark: bool) -> None:  # noqa: FBT001 -- a parameter of a test
    """axe-core, with its rules for contrast, in both colours and in both widths."""
    window = page.window
    axe = files("axe_core_python").joinpath("axe.min.js").read_text()
    page.open(dark=dark)
    window.run(f"{axe}; 0")
    found = "axe.run().then((all) => all.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))"
    assert window.run(found) == []
    window.press("j")
    window.press("Enter")
    window.until("document.querySelector('#detail .standing')")
    assert window.run(found) == []
    window.press("Escape")
    window.until("document.activeElement.dataset.open")
    if not dark:
        window.look(width=360, height=740)
        assert window.run(found) == []
    background = window.run("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", background))) > 3 * 128
    assert light is not dark


def test_it_fits_a_phone(page: Page) -> None:
    window = page.window
    page.open(width=360, height=740)
    wide = "document.documentElement.scrollWidth"
    assert window.run(wide) == 360
    outside = (
        "[...document.querySelectorAll('#rows td, #steps li, .tile, figure, input, select')]"
        ".filter((each) => each.getBoundingClientRect().right > 360).length"
    )
    assert window.run(outside) == 0
    page.open("#text=very-long", width=360, height=740)
    window.until(f"{ROWS} === 1")
    window.press("j")
    window.press("Enter")
    window.until("document.querySelector('#detail .standing')")
    assert window.run(wide) == 360


def test_markup_cannot_get_in(page: Page) -> None:
    """Even a mistake in the page could not make markup or a script of a text."""
    window = page.window
    page.open()
    assert (
        window.run("(() => { try { document.body.innerHTML = '<b>x</b>' } catch (e) { return e.name } })()")
        == "TypeError"
    )
    violations = len(blocked(window))
    window.run("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:1/x.png' }))")
    deadline = time.monotonic() + 10
    while len(blocked(window)) == violations:
        assert time.monotonic() < deadline
        window.run("new Promise((done) => setTimeout(done, 20))")
    window.events.clear()  # these were ours


def blocked(window: Browser) -> list[str]:
    """What the policy has stopped."""
    entries = [
        each["params"]["entry"]["text"] for each in window.events if each["method"] == "Log.entryAdded"
    ]
    return [text for text in entries if "Content Security Policy" in text or "Trusted" in text]


SMOOTH_SECONDS = 1.0
"""Processor time for two seconds of frames: with so much, half of them would still be drawn in time."""
FRAMES = """new Promise((done) => {
    let count = 0
    const began = performance.now()
    const next = (now) => { count += 1; now - began < 2000 ? requestAnimationFrame(next) : done(count) }
    requestAnimationFrame(next)
})"""


def busy_seconds(window: Browser) -> float:
    """Processor time that the thread of the page has taken so far."""
    metrics = window.call("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def test_five_thousand_uploads_that_move_are_fifty_rows_and_smooth(window: Browser) -> None:
    window.look()
    window.open("about:blank#")
    window.call("Performance.enable", timeDomain="threadTicks")  # not while others have the processor
    page = Page(window, Demo(5000))
    try:
        page.open()
        found = int(window.run(FOUND).split()[0].replace(",", ""))
        assert found >= 5000
        before = busy_seconds(window)
        window.run(FRAMES)
        busy = busy_seconds(window) - before
        assert window.run(ROWS) == 50
        assert window.run("document.querySelectorAll('*').length") < 2500
        window.call("HeapProfiler.collectGarbage")
        assert window.call("Runtime.getHeapUsage")["usedSize"] < 20e6
        assert busy < SMOOTH_SECONDS, busy
    finally:
        window.call("Performance.disable")
        page.demo.close()
        page.close()


def test_with_a_real_cluster(pp: Plugin, writer: Writer, window: Browser) -> None:
    writer.put(at("waiting", ago_minutes=5))
    running = pp.start("ui")
    assert running.stdout is not None
    url = running.stdout.readline().strip()
    try:
        window.look()
        window.open(url)
        window.until(f"{FOUND} === '1 upload found'")
        assert "Running" in window.run("document.querySelector('#rows').textContent")
        failed = at("waiting", StepFinished("virusscan", "retry", "clamd: connection refused"), ago_minutes=5)
        writer.set_status("waiting", to_status(failed))
        window.until("document.querySelector('#rows').textContent.includes('clamd: connection refused')")
        window.press("j")
        window.press("Enter")
        window.until("document.querySelector('#detail .standing')")
        text = window.run("document.getElementById('detail').textContent")
        assert f"kubectl pp resume waiting -n {pp.namespace}" in text
        assert "no operator has run" in window.until("document.getElementById('findings').textContent")
        os.kill(proxy_of(running.pid), signal.SIGKILL)
        window.until("!document.getElementById('stale').hidden")
        assert "reconnecting: " in window.run("document.getElementById('stale').textContent")
        writer.put(at("another", ago_minutes=1))
        window.until("document.getElementById('stale').hidden")
        window.press("Escape")
        window.until(f"{FOUND} === '2 uploads found'")
    finally:
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
    assert running.returncode == 0, err
    window.until("document.getElementById('stale').textContent.includes('has ended')")
    window.events.clear()
    assert "Traceback" not in err


def proxy_of(pid: int) -> int:
    """The `kubectl proxy` of a plugin."""
    listed = subprocess.run(
        ["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout
    table = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    ours = {pid}
    for _ in table:
        ours |= {int(each[0]) for each in table if int(each[1]) in ours}
    return next(
        int(each[0]) for each in table if int(each[0]) in ours and re.match(r"\S*kubectl .*proxy ", each[2])
    )


def test_nothing_left_loopback_and_nothing_was_blocked(page: Page) -> None:
    """The last one: of all that the browser did in this file."""
    window = page.window
    page.open()
    asked = [
        each["params"]["request"]["url"]
        for each in window.events
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "about:blank"))] == []
    assert blocked(window) == []
    thrown = [each["params"] for each in window.events if each["method"] == "Runtime.exceptionThrown"]
    assert thrown == []
