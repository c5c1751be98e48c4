"""Faults outside functions, which mutmut does not make: in tables, sets, defaults and constants.

A module runs such code when it is imported, so each fault gets a process of its own.
"""

import ast
import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256

from mutation_attempts import Attempt, failures
from mutation_copy import ROOT, WORK, dotted, modules

TARGETS = {"STARTED", "BEGUN", "AFTER_FAILURE", "RELEASED", "VERDICTS"}
"""Sets that say where rows of the machine's table lead to."""
RESULTS = WORK / "tables.json"


@dataclass(frozen=True)
class Fault:
    """A part of a module replaced by something wrong."""

    module: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> str:
        """The same for the same fault in the same code."""
        return f"{self.module}:{self.line}:{sha256(self.source.encode()).hexdigest()[:12]}"


class _Places(ast.NodeVisitor):
    """The expressions that are evaluated at import."""

    def __init__(self) -> None:
        self.found: list[ast.expr] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """What mutmut takes care of."""

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for each in node.body:
            self.visit(each)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Docstrings."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        """Where a row of the machine's table leads to is left to `tests/property/test_exhaustive.py`."""
        for each in node.args[:3] if ast.unparse(node.func) == "_row" else ast.iter_child_nodes(node):
            self.visit(each)

    def visit_Assign(self, node: ast.Assign) -> None:
        is_table = isinstance(node.value, ast.Dict)
        if is_table or not TARGETS.issuperset(ast.unparse(each) for each in node.targets):
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Types."""

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr):
            self.found.append(node)
        super().generic_visit(node)


def _wrong(node: ast.expr) -> Iterator[ast.expr]:
    """What could stand there by mistake."""
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)):
            yield ast.Constant(f"XX{value}XX")
        case ast.Set(elts=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            for index in range(len(parts)):
                less = deepcopy(node)
                del less.elts[index]
                yield less
        case ast.Dict(keys=keys):
            for index in range(len(keys)):
                smaller = deepcopy(node)
                del smaller.keys[index], smaller.values[index]
                yield smaller
        case ast.BinOp(left=left, right=right) if not _is_type(node):
            yield from (left, right)


def _is_type(node: ast.expr) -> bool:
    """`A | B` of names: a type."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_type(left) and _is_type(right)
    return isinstance(node, ast.Name) and not node.id.isupper()


def faults(module: str, source: str) -> Iterator[Fault]:
    """All faults of a module."""
    places = _Places()
    places.visit(ast.parse(source))
    encoded = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in encoded:
        starts.append(starts[-1] + len(line))
    whole = b"".join(encoded)
    for node in places.found:
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        for wrong in _wrong(node):
            text = ast.unparse(wrong)
            changed = whole[:begin] + f"({text})".encode() + whole[end:]
            yield Fault(module, node.lineno, f"{ast.unparse(node)} -> {text}", changed.decode())


def run(jobs: int) -> dict[str, list[tuple[str, bool]]]:
    """Try every fault that no test has noticed yet; all faults by module, and whether they were noticed."""
    stored: dict[str, bool] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    every = [fault for path in modules() for fault in faults(dotted(path), path.read_text())]
    stored = {fault.key: stored.get(fault.key, False) for fault in every}
    left = [fault for fault in every if not stored[fault.key]]
    attempts = [Attempt(ROOT, module=f"uploadpp.core.{fault.module}", source=fault.source) for fault in left]
    for fault, failed in zip(left, failures("tables", attempts, Attempt(ROOT), jobs), strict=True):
        stored[fault.key] = failed
        RESULTS.write_text(json.dumps(stored))
    found: dict[str, list[tuple[str, bool]]] = {}
    for fault in every:
        found.setdefault(fault.module, []).append((fault.change, stored[fault.key]))
    return found
