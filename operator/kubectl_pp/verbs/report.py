"""`report`: everything that helps others to find the cause of a problem, in one archive, without secrets."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from kubectl_pp import foreign, selection
from kubectl_pp.bundle import Bundle
from kubectl_pp.client import TABLE, Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, PluginError, UsageError
from kubectl_pp.pages import path_of
from kubectl_pp.proxy import kubectl_path
from kubectl_pp.redaction import MAX_NAMES, POD_KEYS, UPLOAD_KEYS, Redaction, without_keys
from kubectl_pp.sorting import rank
from kubectl_pp.upload import GROUP, PLURAL, VERSION, collection
from kubectl_pp.verbs.doctor import OURS, findings
from kubectl_pp.verbs.events import events_of
from kubectl_pp.verbs.logs import STEP_PODS
from uploadpp import __version__

UPLOADS = 500
TELLING = {"filename": "filename", "user": "userID", "space": "spaceID"}
"""Columns of the server's table that tell who a user is, or what a file is."""
EVENTS = 2000
LINES = 2000
LOG_BYTES = 16 << 20
LOG_SECONDS = 60
MAX_RELEASE = 50_000_000
"""Bytes of what Helm keeps of a release, once it is unpacked."""
CHART = "upload-postprocessing"


def run(context: Context) -> int:
    """Write the archive; returns the exit code."""
    options = context.options
    if options.output == "-" and context.screen.tty:
        raise UsageError("the archive cannot be written to a terminal", "-o FILE, or -o - into a pipe")
    report = _Report(context)
    content = report.collect()
    if options.output == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        name = "standard output"
    else:
        name = options.output or time.strftime("kubectl-pp-report-%Y%m%d-%H%M%S.tar.gz")
        _write(name, content)
    context.screen.note(f"{name}: {len(content):,} bytes; review it before you pass it on")
    for line in report.bundle.missing:
        context.screen.note(f"  not in it: {line}")
    return ExitCode.OK


def _write(name: str, content: bytes) -> None:
    try:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
            file.write(content)
    except OSError as error:
        raise PluginError(
            f"{name} is not writable: {error.strerror}", "choose another file with -o"
        ) from error


class _Report:
    """Reads one thing after the other. What cannot be read is noted, and the rest is read anyway."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._place = context.default_namespace
        self._operators = context.options.operator_namespace or self._place
        self._redaction = Redaction(with_names=context.options.with_names)
        self.bundle = Bundle()

    def collect(self) -> bytes:
        """The archive."""
        self._try("uploads", self._uploads)
        self._try("events", self._events)
        self._try("leases", self._leases)
        self._try("crd", self._crd)
        self._try("chart values", self._values)
        self._try("doctor", self._doctor)
        for what, selector in (("operator", self._context.options.operator_selector), ("step", STEP_PODS)):
            self._try(f"{what} Pods", partial(self._pods, what, selector))
        about = {
            "plugin": __version__,
            "api": f"{GROUP}/{VERSION}",
            "server": self._server(),
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "namespace": self._place,
            "names": "kept" if self._context.options.with_names else "replaced",
        }
        return self.bundle.finish(about)

    def _try(self, what: str, read: Callable[[], None]) -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 -- one odd answer must not keep all others out of the archive
            said = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            self.bundle.lacks(what, self._redaction.text(said))

    def _server(self) -> str:
        try:
            return str(self._client.get("/version").get("gitVersion"))
        except PluginError as error:
            self.bundle.lacks("version of the API server", error)
            return ""

    def _uploads(self) -> None:
        """Those that need a person, those that move, and the newest of the others; of all of them numbers."""
        counts: Counter[str] = Counter()
        names: list[tuple[int, str, str, str]] = []

        def take(page: Json) -> None:
            columns = [column["name"].lower() for column in page["columnDefinitions"]]
            at = columns.index("status")
            telling = [(TELLING[name], i) for i, name in enumerate(columns) if name in TELLING]
            for row in page.get("rows") or []:
                meta, status = row["object"]["metadata"], row["cells"][at]
                for key, i in telling:
                    if isinstance(row["cells"][i], str):
                        self._redaction.remember(key, row["cells"][i])
                counts[str(status)] += 1
                names.append((rank(status), meta["creationTimestamp"], meta["namespace"], meta["name"]))

        selection.read_pages(self._context, [{"includeObject": "Metadata"}], take, TABLE)
        names.sort(key=lambda each: each[1], reverse=True)
        names.sort(key=lambda each: each[0])
        if len(names) > UPLOADS:
            self.bundle.lacks("uploads", f"{len(names) - UPLOADS:,} of {len(names):,} are left out")
        found = []
        for _, _, place, name in names[:UPLOADS]:
            try:
                found.append(self._client.get(f"{collection(place)}/{name}"))
            except PluginError as error:
                self.bundle.lacks(f"upload {name}", error)
        for resource in found:
            self._redaction.learn(resource)
        if not self._redaction.has_room:
            self.bundle.lacks(
                "some stand-ins", f"more than {MAX_NAMES:,} names: logs may contain the others unchanged"
            )
        self._json("uploads.json", found, UPLOAD_KEYS)
        self._json("counts.json", {"uploads": len(names), "by status": dict(counts)})

    def _events(self) -> None:
        self._json("events.json", events_of(self._client, self._context.namespace)[-EVENTS:])

    def _leases(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self._operators}/leases"
        self._json("leases.json", foreign.named(self._client, path, OURS.fullmatch))

    def _crd(self) -> None:
        name = f"{PLURAL}.{GROUP}"
        crd = self._client.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        versions = [{k: v for k, v in each.items() if k != "schema"} for each in crd["spec"]["versions"]]
        self._json("crd.json", {"metadata": crd["metadata"], "versions": versions, "status": crd["status"]})

    def _values(self) -> None:
        """The values that the release of the chart was given: Helm keeps them in a Secret."""
        path = f"/api/v1/namespaces/{self._operators}/secrets"
        params = {"labelSelector": "owner=helm,status=deployed"}
        releases = foreign.read(self._client, path, params, release_of_chart)
        for release in releases:
            self._json(f"values-{re.sub('[^a-z0-9.-]', '_', release['name'])}.json", release)
        if not releases:
            self.bundle.lacks(
                "chart values", f"Helm has no release of {CHART} in the namespace {self._operators}"
            )

    def _doctor(self) -> None:
        text = "".join(
            f"{each.verdict.name}: {each.text}" + (f" (try: {each.remedy})" if each.remedy else "") + "\n"
            for each in findings(self._context)
        )
        self.bundle.add("doctor.txt", _joined(self._redaction.lines(text)))

    def _pods(self, what: str, selector: str) -> None:
        path = f"/api/v1/namespaces/{self._operators}/pods"
        pods = self._client.items(path, {"labelSelector": selector})
        self._json(f"pods-{what}.json", pods, POD_KEYS)
        for pod in pods:
            name = pod["metadata"]["name"]
            for flag, suffix in ((), ".log"), (("--previous",), ".previous.log"):
                if flag and not _has_restarted(pod):
                    continue
                self._try(f"log of Pod {name}", partial(self._log, name, flag, suffix))
            if what == "operator":
                for page in ("readyz", "metrics"):
                    self._try(f"{page} of Pod {name}", partial(self._page, name, page))

    def _page(self, pod: str, page: str) -> None:
        status, body = self._client.probe(path_of(self._operators, pod, page))
        text = _joined(self._redaction.lines(body.decode(errors="replace")))
        self.bundle.add(f"{page}/{pod}.txt", f"# HTTP {status}\n{text}")

    def _log(self, pod: str, flags: tuple[str, ...], suffix: str) -> None:
        command = [kubectl_path(), *self._context.kubectl_arguments, "logs", pod, *flags]
        command += [f"--namespace={self._operators}", "--all-containers", f"--tail={LINES}"]
        command.append(f"--limit-bytes={LOG_BYTES}")  # a line need not end
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOG_SECONDS, check=False
        )
        if done.returncode:
            raise PluginError(done.stderr.decode(errors="replace").strip() or "kubectl logs failed")
        lines = without_keys(done.stdout.decode(errors="replace")).splitlines()
        self.bundle.add(f"logs/{pod}{suffix}", _joined(map(self._line, lines)))

    def _line(self, line: str) -> str:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        return (
            json.dumps(self._redaction.value(entry))
            if isinstance(entry, dict)
            else self._redaction.text(line)
        )

    def _json(self, name: str, value: object, harmless: frozenset[str] = frozenset()) -> None:
        self.bundle.add_json(name, self._redaction.value(value, harmless=harmless))


def _has_restarted(pod: Json) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(each.get("restartCount") for each in statuses)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def release_of_chart(secret: Json) -> Json | None:
    """Name, version and given values of a release, if it is of our chart or of one that contains it.

    Anybody who may make Secrets can make one that looks like a release; it hides no other.
    """
    try:
        return _release(secret)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OSError,
        EOFError,
        zlib.error,
        RecursionError,
    ):
        return None


def _release(secret: Json) -> Json | None:
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        release = json.loads(file.read(MAX_RELEASE))
    about, config = release["chart"]["metadata"], release.get("config") or {}
    if about["name"] == CHART:
        return {"name": release["name"], "version": about["version"], "config": config}
    for each in about.get("dependencies") or []:
        if each["name"] == CHART:
            part = {key: config[key] for key in (each.get("alias") or CHART, "global") if key in config}
            return {
                "name": release["name"],
                "version": each["version"],
                "within": about["name"],
                "config": part,
            }
    return None
