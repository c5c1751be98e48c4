"""The table of `make soak`, as in docs/performance.md; `python -m bench.soakreport` prints it again."""

import json
import sys
from pathlib import Path

from bench.scenarios import Figures

MAX_GROWTH = 1.5
"""How much larger stream and etcd may become in the second half, where that is long enough to tell."""
LONG_SECONDS = 1800
"""The stream keeps ten minutes, and etcd is compacted every five."""


def render(found: Figures) -> tuple[str, bool]:
    """Markdown, and whether all is as it must be."""
    uploads, good = found["uploads"], True
    kinds = ", ".join(f"{count:,} {name}" for name, count in found["kinds"].items())
    faults = ", ".join(f"{name} ({count})" for name, count in sorted(found["faults"].items()))
    lines = [
        "{uploads:,} uploads in {seconds:,.0f} s ({rate:g}/s), seed {seed}: ".format(**found) + f"{kinds}.",
        "",
        f"Faults: {faults}.",
        "",
        "| figure | measured | allowed |",
        "|---|---|---|",
    ]
    rows = [
        ("ended exactly once, with the right outcome", found["ended_once_as_they_must"], uploads),
        ("ended twice", found["ended_twice"], 0),
        ("not ended", found["not_ended"], 0),
        ("ends of unknown uploads", found["strangers"], 0),
        ("replicas that ended and were not killed", found["ended_by_itself"], 0),
        ("resources left after their time to live", found["left_over"], 0),
    ]
    for name, value, wanted in rows:
        good = good and value == wanted
        lines.append(f"| {name} | {value:,} | {wanted:,} |")
    for each in found["growth"]:
        good = good and each["growth"] <= each["allowed"]
        unit, digits = (1e6, " MB") if each["figure"].startswith("memory") else (1, "")
        name = each["figure"].replace("blocks", "memory blocks")
        mean, grown, allowed = (each[key] / unit for key in ("mean", "growth", "allowed"))
        measured = f"{mean:,.1f}{digits}; {grown:+,.1f} in {each['seconds']:,} s"
        lines.append(f"| {name}: mean, growth by regression | {measured} | +{allowed:,.1f} |")
    is_long = found["seconds"] > LONG_SECONDS
    for name, halves in found["sizes"].items():
        first, second = (halves[half] / 1e6 for half in ("first half", "second half"))
        good = good and (not is_long or second <= MAX_GROWTH * first)
        limit = f"{MAX_GROWTH * first:.0f} MB" if is_long else "not judged in a short run"
        what = name.replace("_bytes", "")
        lines.append(f"| largest {what}, first and second half | {first:.0f} MB; {second:.0f} MB | {limit} |")
    lines += [
        "",
        f"Time to the end: p50 {found['p50_s']} s, p99 {found['p99_s']} s, longest {found['longest_s']} s.",
    ]
    if found["wrong"]:
        lines += ["", f"Wrong: {json.dumps(found['wrong'])}"]
    return "\n".join(lines), good


def main() -> int:
    """Print the table of the last run."""
    text, is_good = render(json.loads(Path("bench/results/soak.json").read_text()))
    print(text)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
