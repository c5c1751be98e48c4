"""`logs`: the operator's lines about an upload, from all of its Pods, through `kubectl logs`."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from kubectl_pp import selection
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, UnavailableError, UsageError
from kubectl_pp.proxy import kubectl_path
from kubectl_pp.screen import Color, Screen, harmless
from kubectl_pp.times import parse_age

STEP_PODS = "app.kubernetes.io/component=step"
"""The label of the Pods of `stepServices` of the chart."""
MOST_BYTES = 1 << 20
"""Maximum length of a line; the rest is skipped, because a line need not end."""
_MOST_SAID = 8192
_LEVELS = {"ERROR": Color.BAD, "CRITICAL": Color.BAD, "WARNING": Color.WAITING}
_KNOWN = ("time", "level", "message", "logger", "exc_info")


def run(context: Context) -> int:
    """Print the lines that name one of the uploads."""
    options = context.options
    wanted: set[str] = set()
    if options.names:
        for upload in selection.find_named(context, options.names):
            wanted |= {upload.id, upload.name}
    found = _print_lines(context, wanted)
    if not found:
        who = "step services" if options.steps else "operator"
        whom = "these uploads" if wanted else f"the {who}"
        context.screen.note(
            f"no lines about {whom}; they may be older than the logs that the Pods still have"
        )
    return ExitCode.OK


def _print_lines(context: Context, wanted: set[str]) -> int:
    count = 0
    with subprocess.Popen(
        _command(context),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        assert process.stderr is not None  # noqa: S101 -- it is a pipe
        said = bytearray()
        listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
        listener.start()
        try:
            for line in lines_of(process.stdout):
                text = line.decode(errors="replace")
                if not wanted or any(word in text for word in wanted):
                    count += 1
                    _print(text, context)
        except BaseException:
            process.kill()
            raise
        listener.join()
    words = said.decode(errors="replace").strip()
    if process.returncode or "No resources found" in words:
        first = words.partition("\n")[0].removeprefix("Error from server ").removeprefix("error: ")
        raise UnavailableError(
            first or "kubectl logs failed",
            "where do the Pods of stepServices run? --operator-namespace names their namespace"
            if context.options.steps
            else "where does the operator run? --operator-namespace, --operator-selector; kubectl pp doctor",
        )
    sys.stdout.flush()
    return count


def lines_of(output: IO[bytes], most: int = MOST_BYTES) -> Iterator[bytes]:
    """Lines without their ends, each cut to so many bytes."""
    while line := output.readline(most):
        part = line
        while part and not part.endswith(b"\n"):
            part = output.readline(most)
        yield line.rstrip(b"\n")


def _listen(errors: IO[bytes], said: bytearray) -> None:
    """Keep the beginning of kubectl's own messages. All is read, or kubectl would wait for us."""
    while part := errors.read(_MOST_SAID):
        said.extend(part[: _MOST_SAID - len(said)])


def _print(text: str, context: Context) -> None:
    if context.options.raw:
        context.screen.out.write(f"{text}\n")
    else:
        context.screen.line(pretty(text, context.screen))
    context.screen.out.flush()


def _command(context: Context) -> list[str]:
    options = context.options
    namespace = options.operator_namespace or context.default_namespace
    command = [kubectl_path(), *context.kubectl_arguments, "logs", f"--namespace={namespace}"]
    selector = STEP_PODS if options.steps else options.operator_selector
    command += [f"--selector={selector}", f"--tail={options.tail}", "--max-log-requests=20"]
    command += ["--follow"] if options.follow else ["--ignore-errors"]
    if not options.tail.lstrip("-").isdecimal():
        raise UsageError(f"--tail must be a whole number, not {options.tail!r}", "--tail=-1 prints all lines")
    if options.since:
        command.append(f"--since={max(int(parse_age(options.since, '--since')), 1)}s")
    return command


def pretty(line: str, screen: Screen) -> str:
    """A JSON line for people; any other line as it is."""
    try:
        entry: dict[str, Any] = json.loads(line)
        level, text = str(entry["level"]), str(entry["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return harmless(line)
    extra = " ".join(
        f"{key}={value}" for key, value in entry.items() if key not in _KNOWN and value not in ("", None)
    )
    time, word = harmless(str(entry.get("time", ""))), f"{harmless(level):<7}"
    head = f"{time} {screen.paint(word, _LEVELS.get(level))}"
    trace = entry.get("exc_info")
    tail = "".join(f"\n    {harmless(each)}" for each in str(trace).splitlines()) if trace else ""
    return f"{head} {harmless(text)}" + (f"  {harmless(extra)}" if extra else "") + tail
