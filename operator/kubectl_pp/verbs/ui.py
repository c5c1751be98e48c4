"""`ui`: the page, until Ctrl-C."""

import os
import shutil
import tempfile
from html import escape
from pathlib import Path, PurePath

from kubectl_pp import selection
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, PluginError, UsageError
from kubectl_pp.ui.answers import Answers
from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.demo import COUNT, NAMESPACE, Demo
from kubectl_pp.ui.server import Server
from kubectl_pp.ui.source import Cluster, Source

MOST_DEMO = 20_000
MOST_PORT = 65_535


def run(context: Context) -> int:
    """Serve until Ctrl-C."""
    options = context.options
    port = _number(options.port, "--port", MOST_PORT)
    demo = options.demo
    source: Source
    if demo is not None:
        source = Demo(_number(demo or str(COUNT), "--demo", MOST_DEMO))
        namespace: str | None = NAMESPACE
    else:
        namespace = context.namespace
        source = Cluster(context, lambda: Context(options, context.screen))
    place = {
        "demo": demo is not None,
        "namespace": namespace or "",
        "context": options.context or "",
        "selected": bool(selection.params(options)) and demo is None,
    }
    answers = Answers(source, Commands(options, namespace), place)
    try:
        server = Server(answers, port)
    except OSError as error:
        raise PluginError(f"port {port} cannot be used: {error.strerror}", "--port, or none") from error
    folder = tempfile.mkdtemp(prefix="kubectl-pp-ui.") if options.open else ""
    try:
        source.start()
        context.screen.line(server.url)
        context.screen.note("Do not share this address. The page is read-only and ends with Ctrl-C.")
        context.screen.out.flush()
        if folder:
            _open(server.url, folder)
        server.serve_forever()
    except KeyboardInterrupt:
        return ExitCode.OK
    finally:
        server.server_close()
        source.close()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return ExitCode.OK


def _number(text: str, flag: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:9]) > most:
        raise UsageError(f"{flag} must be a whole number up to {most:,}, not {text!r}")
    return int(text[:9])


def _open(url: str, folder: str) -> None:
    """Open the browser by a file in that folder. Command lines are public, so the token is not in one."""
    import webbrowser  # noqa: PLC0415 -- takes 20 ms to load

    path = Path(folder, "open.html")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:  # noqa: PTH123 -- with its mode
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(url)}">')
    webbrowser.open(address_of(path))


def address_of(path: PurePath) -> str:
    """The address of a file, as browsers take it: with a slash before the drive, and blanks escaped."""
    return path.as_uri()
