"""Nobody overwrites another object's attributes: what an object uses, its constructor is given.

Found are assignments to an attribute of anything but `self`. Two kinds are right, and stand in the tables
below: fields of records whose only purpose is to be changed, and objects of libraries that are configured so.
A row that is not used any more fails, so the tables only get shorter.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "operator" / "uploadpp"

RECORDS = {
    # By folder: the variable or attribute that holds the record, and the class of the record.
    "core": {"uploads": "slots._Uploads"},
    "kube": {"known": "sightings._Sighting"},
    "migration": {"self._report": "report.Report"},
    "pipeline": {
        "tracked": "TrackedUpload",
        "earlier.tracked": "TrackedUpload",
        "message": "acks.PendingMessage",
        "deferred.message": "acks.PendingMessage",
        "fact": "unknown_uploads.Fact",
        "doubt": "lost_uploads._Doubt",
    },
    "process": {"connection": "health._Connection"},
    "resources": {"tracked": "TrackedUpload", "evicted": "finished.FinishedUpload"},
    "steps": {
        "job": "job.Job",
        "attempt": "judge.Attempt",
        "note": "testing.bench.Note",
        "self.notes[job.start.upload_id]": "testing.bench.Note",
        "self.notes[start.upload_id]": "testing.bench.Note",
        "stored": "testing.memory.Stored",
        "self.stored": "testing.memory.Stored",
    },
    "wire": {"found": "history._Found", "entry": "publisher._InFlight"},
}
OF_LIBRARIES = {
    "__main__.py": {"parser": "argparse.ArgumentParser"},
    "kube": {"context": "ssl.SSLContext"},
    "migration": {"parser": "argparse.ArgumentParser"},
    "process": {
        "asyncio": "Python before 3.12",
        "context": "ssl.SSLContext",
        "pool": "urllib3.HTTPConnectionPool",
        "record": "logging.LogRecord",
        "response": "requests.Response",
        "sys": "hooks of the interpreter",
        "threading": "hooks of the interpreter",
    },
    "resources": {
        **dict.fromkeys(
            (
                "settings.networking",
                "settings.peering",
                "settings.persistence",
                "settings.posting",
                "settings.queueing",
                "settings.scanning",
                "settings.watching",
            ),
            "kopf.OperatorSettings",
        ),
        "answer": "aiohttp.ClientResponse",
        "request": "aiohttp.ClientRequest",
    },
    "steps": {
        "config": "nats.js.api.ConsumerConfig",
        "message": "nats.aio.msg.Msg",
        "parser": "argparse.ArgumentParser",
        "subscription": "nats.js.JetStreamContext.PullSubscription",
    },
    "wire": {"context": "ssl.SSLContext"},
}
DOUBLES = "testing"
"""Simulated machines, servers and faults: what goes wrong with them is set from outside, by design."""


def targets(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Assign() | ast.Delete():
            yield from node.targets
        case ast.AugAssign() | ast.AnnAssign() | ast.For() | ast.AsyncFor() | ast.NamedExpr():
            yield node.target
        case ast.With() | ast.AsyncWith():
            yield from (each.optional_vars for each in node.items if each.optional_vars is not None)
        case ast.Tuple() | ast.List():
            yield from (each for each in node.elts if isinstance(node.ctx, ast.Store))


def owner_of(target: ast.expr) -> str:
    """The object whose attribute is written, as it is written in the source; empty when it is `self`."""
    if not isinstance(target, ast.Attribute):
        return ""
    owner = ast.unparse(target.value)
    return "" if owner in {"self", "cls"} else owner


def outside_writes(path: Path) -> Iterator[tuple[str, int]]:
    """The objects of which a module writes attributes, and where."""
    for node in ast.walk(ast.parse(path.read_text())):
        for target in targets(node):
            if owner := owner_of(target):
                yield owner, target.lineno
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "object.__setattr__"}:
            owner = ast.unparse(node.args[0])
            if owner != "self":
                yield owner, node.lineno


def found() -> Iterator[tuple[str, str, str]]:
    """The folder, the object, and where that is, of each such write."""
    for path in sorted(ROOT.rglob("*.py")):
        folder = path.relative_to(ROOT).parts[0]
        if folder != DOUBLES:
            for owner, line in outside_writes(path):
                yield folder, owner, f"{path.relative_to(ROOT)}:{line}: {owner}"


def test_only_records_are_changed_from_outside() -> None:
    allowed = {
        (folder, owner) for table in (RECORDS, OF_LIBRARIES) for folder in table for owner in table[folder]
    }
    writes = list(found())
    assert [where for folder, owner, where in writes if (folder, owner) not in allowed] == []
    assert allowed - {(folder, owner) for folder, owner, _ in writes} == set(), "rows that nothing needs"


def test_the_guard_sees_each_form_of_a_write(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "class A:\n"
        "    def f(self, b, c):\n"
        "        self.x = 1\n"
        "        b.on_end = self.f\n"
        "        b.one = c.two = 3\n"
        "        b.count += 1\n"
        "        self.d.y, self.e.z = 1, 2\n"
        "        setattr(c, 'name', 1)\n"
        "        del c.d.e\n"
        "        for b.i in c:\n"
        "            pass\n"
    )
    seen = sorted(f"{line} {owner}" for owner, line in outside_writes(module))
    assert seen == ["10 b", "4 b", "5 b", "5 c", "6 b", "7 self.d", "7 self.e", "8 c", "9 c.d"]
