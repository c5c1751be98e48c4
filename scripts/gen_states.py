"""Writes docs/states.md: the state diagram and the table of inputs, from the machine's own table.

`--check` writes nothing and fails when the file is out of date.
"""

import sys
from collections import defaultdict
from pathlib import Path

from uploadpp.core.machine import TABLE
from uploadpp.core.states import ENDED, IN_STEP, Stage

PAGE = Path(__file__).parent.parent / "docs" / "states.md"
FEW = 4
INTRODUCTION = """# States

Generated from `core/machine.py` by `make gen`; do not edit. The stage of an upload is the reason of its
condition `Succeeded`, and the STATUS column shows it. If the table has no row for an input in a stage,
the input changes nothing, and the decision says why.
"""


def diagram() -> list[str]:
    """Stage to stage, labelled with the inputs that lead there."""
    labels: dict[tuple[Stage, Stage], set[str]] = defaultdict(set)
    for row in TABLE:
        if len(row.stages - ENDED) > FEW or row.input.__name__ == "Published":
            continue  # what can come nearly everywhere is left to the table
        for start in row.stages - ENDED:
            for end in row.to:
                labels[start, end].add(row.input.__name__)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Stage.PENDING}"]
    lines += [f"    {a} --> {b}: {', '.join(sorted(labels[a, b]))}" for a, b in sorted(labels)]
    lines += [f"    {end} --> [*]" for end in sorted(ENDED)]
    return [*lines, "```"]


def table() -> list[str]:
    """Input by input: in which stages which rule answers, and where it can lead."""
    lines = ["| input | in stage | rule | leads to |", "|---|---|---|---|"]
    for row in TABLE:
        rule = f"`{row.rule.__module__.rpartition('.')[2]}.{row.rule.__name__}`"
        lines.append(
            f"| {row.input.__name__} | {_names(row.stages)} | {rule} | {_names(row.to) or 'the same'} |"
        )
    return lines


def _names(stages: frozenset[Stage]) -> str:
    groups = {"any": frozenset(Stage), "any not ended": frozenset(Stage) - ENDED, "any ended": ENDED}
    groups["any with a current step"] = IN_STEP
    for name, group in groups.items():
        if stages == group:
            return name
    rest = frozenset(Stage) - stages
    if len(rest) < len(stages) / 2:
        return "any but " + ", ".join(sorted(rest))
    return ", ".join(sorted(stages))


def main() -> int:
    """Write or check the page."""
    text = "\n".join([INTRODUCTION, "## Diagram", "", *diagram(), "", "## Inputs", "", *table(), ""])
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        sys.stderr.write("docs/states.md is out of date: run `make gen`\n")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
