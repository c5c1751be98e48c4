"""`policy test`: what the operator's policies would do with an upload, and why."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from kubectl_pp import pages, yaml
from kubectl_pp.client import Json
from kubectl_pp.context import Context
from kubectl_pp.errors import ExitCode, PluginError, UnavailableError, UsageError
from kubectl_pp.proxy import kubectl_path
from kubectl_pp.screen import Color, Screen, harmless, wrap
from kubectl_pp.table import Paint, layout
from kubectl_pp.verbs.doctor import shards

TEST = "test"
FACTS = ("storage", "space", "initiator")
RESULTS = {"Matched": "matches", "NoMatch": "no match", "Failed": "cannot be used"}
BUSY_TRIES = 5
MOST_FILE_BYTES = 1 << 20
_SIZE = re.compile(r"([0-9]{1,18})([kMGT]|[KMGT]i)?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_REASONS: dict[int, str] = {
    HTTPStatus.CONFLICT: "kubectl pp doctor",
    HTTPStatus.NOT_FOUND: "helm upgrade with policies.enabled=true; an older operator has no policies",
}

MOST_SAID = 300
"""Maximum number of characters of what kubectl says about a file."""


def run(context: Context) -> int:
    """Ask the operator and print its answer."""
    if context.options.names != TEST:
        raise UsageError(
            f"kubectl pp policy has one command: {TEST}", "kubectl get postprocessingpolicies lists policies"
        )
    question = _question(context)
    body = _documents(context, context.options.f) if context.options.f else b""
    answer = _answer(_ask(context, question, body))
    if context.options.output == "json":
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    elif context.options.output == "yaml":
        sys.stdout.write(yaml.dump(answer))
    else:
        context.screen.lines(_told(context.screen, answer))
    return ExitCode.OK


def _question(context: Context) -> str:
    """The query of the request."""
    options = context.options
    if not options.filename:
        raise UsageError("--filename is needed", "kubectl pp policy test --filename report.pdf --size 10Mi")
    given = {"filename": options.filename, "size": str(size_of(options.size or "0"))}
    if options.user_id:
        given["user"] = options.user_id
    given.update({name: getattr(options, name) for name in FACTS if getattr(options, name)})
    return urlencode(given)


def size_of(text: str) -> int:
    """A number of bytes, with the units of Kubernetes.

    Raises:
        UsageError: it is not one.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"--size: {text!r} is not a size", "write bytes, or a unit as in 500k, 10Mi, 2G")
    unit = found[2] or ""
    return int(found[1]) * (_BINARY[unit] if unit in _BINARY else _UNITS[unit])


def _documents(context: Context, path: str) -> bytes:
    """The policies of a file as JSON; kubectl reads YAML for us, and asks no cluster for it.

    Raises:
        PluginError: they cannot be read.
    """
    words = ["annotate", "--local", f"--filename={path}", "--output=json", "uploadpp.io/none-"]
    done = subprocess.run(
        [kubectl_path(), *context.kubectl_arguments, *words],
        stdin=sys.stdin if path == "-" else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # For a folder kubectl quotes each of its files.
        said = harmless(done.stderr.strip().partition("\n")[0].removeprefix("error: ")[:MOST_SAID])
        raise PluginError(f"cannot read {path}: {said}", "check the file of -f")
    found: list[Json] = []
    decoder, text = json.JSONDecoder(), done.stdout.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found += document["items"] if isinstance(document.get("items"), list) else [document]
        text = text[end:].lstrip()
    policies = [each for each in found if each.get("kind") == "PostprocessingPolicy"]
    if not policies:
        raise PluginError(f"there is no PostprocessingPolicy in {path}", "check the file of -f")
    return json.dumps(policies).encode()


def _ask(context: Context, question: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the operator's response; the first replica that responds answers."""
    if url := context.options.metrics_url:
        place = url.rstrip("/")
        place = place.removesuffix("/metrics")
        return pages.fetch(f"{place}/policies/test?{question}", body or None)
    client = context.client
    namespace = context.options.operator_namespace or context.default_namespace
    found = shards(context, namespace)
    if not found.holders:
        finding = found.findings[0]
        raise UnavailableError(finding.text, finding.remedy)
    pod = min(found.holders).rpartition("_")[0]
    path = pages.path_of(namespace, pod, "policies/test")
    for attempt in range(BUSY_TRIES):
        status, said = client.probe(f"{path}?{question}", body or None)
        if status != HTTPStatus.TOO_MANY_REQUESTS or attempt == BUSY_TRIES - 1:
            break
        time.sleep(0.5)
    return status, said


def _answer(response: tuple[int, bytes]) -> Any:  # noqa: ANN401 -- what the operator says
    """What the operator has answered.

    Raises:
        PluginError: it has not.
    """
    status, body = response
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if status == HTTPStatus.OK and isinstance(said, dict) and isinstance(said.get("rules"), list):
        return said
    if isinstance(said, dict) and said.get("kind") == "Status":  # it is the API server's
        remedy = "ask an administrator for the permission to use pods/proxy, or set --metrics-url"
        raise UnavailableError(f"cannot ask the operator: {harmless(str(said.get('message', '')))}", remedy)
    text = harmless(" ".join(body.decode(errors="replace").split())[:500])
    error = UsageError if status == HTTPStatus.BAD_REQUEST else PluginError
    raise error(f"the operator answers {status}: {text}", _REASONS.get(status, ""))


def _told(screen: Screen, answer: Json) -> list[str]:
    file, result = answer["file"], answer["result"]
    kind = harmless(str(file.get("mimeType") or "unknown type"))
    lines = [f"{harmless(str(file['filename']))}, {int(file['size']):,} bytes, {kind}", ""]
    if answer["rules"]:
        lines += [*_table(screen, answer["rules"]), ""]
    lines += _why(screen, answer, result)
    lines += _steps(result)
    problems = answer.get("problems") or []
    if problems:
        lines += ["", "Policies with problems:"]
        for each in problems:
            lines += wrap(harmless(f"{each['policy']}: {each['message']}"), screen.width, "  ")
    return lines


def _table(screen: Screen, rules: list[Json]) -> list[str]:
    rows: list[tuple[str, ...]] = [("POLICY", "RULE", "MODE", "RESULT")]
    paint: Paint = {}
    for rule in rules:
        result = str(rule["result"])
        if result != "NoMatch":
            paint[len(rows), 3] = Color.GOOD if result == "Matched" else Color.BAD
        shown = [rule["policy"], rule["rule"] or "-", rule["mode"], RESULTS.get(result, result)]
        rows.append(tuple(harmless(str(each)) for each in shown))
    return layout(rows, screen, paint)


def _why(screen: Screen, answer: Json, result: Json) -> list[str]:
    policy = result.get("policy")
    if policy is None:
        if not answer["policies"]:
            return ["There are no policies: the configured steps run."]
        return ["No rule decides: the configured steps run."]
    rule = (
        f"Rule {policy['rule']} of policy {policy['name']} decides"
        if policy["rule"]
        else (f"Policy {policy['name']} decides")
    )
    does = {
        "Run": "these steps run.",
        "Skip": "no step runs, and the file is released at once.",
        "Hold": "the upload is held until a person resumes it.",
    }[str(result["action"])]
    lines = [harmless(f"{rule}: {does}")]
    failed = any(each["result"] == "Failed" and each["mode"] != "DryRun" for each in answer["rules"])
    if failed:
        lines += wrap(harmless(str(result.get("message", ""))), screen.width)
    if result.get("priorityClass"):
        lines.append(harmless(f"Priority class: {result['priorityClass']}"))
    return lines


def _steps(result: Json) -> list[str]:
    if result["action"] == "Skip":
        return []
    if not result["steps"]:
        return ["No steps are configured: the file is released at once."]
    lines = ["", "Steps after the resume:" if result["action"] == "Hold" else "Steps:"]
    rows = []
    for number, step in enumerate(result["steps"], 1):
        others = [f"{name}={value}" for name, value in step.items() if name != "name"]
        rows.append((f"  {number}. {harmless(str(step['name']))}", harmless(" ".join(others))))
    return lines + [line.rstrip() for line in layout(rows)]
