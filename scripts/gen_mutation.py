"""Writes why faults survive into docs/mutation.md, from scripts/mutation_survivors.toml.

`--check` writes nothing and fails when the page is out of date.
"""

import sys
from pathlib import Path

from mutation_survivors import Survivors, survivors

PAGE = Path(__file__).parent.parent / "docs" / "mutation.md"
BEGIN, END = "<!-- survivors: written by `make gen` -->\n", "<!-- end of survivors -->\n"


def section(kind: Survivors) -> str:
    """One reason, and how many faults it explains."""
    count = len(kind.lines)
    return f"**{kind.title}** ({count} fault{'s' * (count != 1)})\n\n{kind.reason}\n"


def main() -> int:
    """Write or check the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    wanted = before + BEGIN + "\n" + "\n".join(map(section, survivors())) + "\n" + END + after
    if "--check" not in sys.argv:
        PAGE.write_text(wanted)
    elif page != wanted:
        sys.stderr.write("docs/mutation.md is out of date: run `make gen`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
