"""The report: what was measured beside what was possible on the same machine in the same run."""

from bench.charts import CHARTS
from bench.scenarios import Figures


def render(found: dict[str, Figures], stamp: str, *, quick: bool) -> str:
    """Markdown with every figure, ratios first."""
    bare, raw = found["bare_nats"], found["raw_api"]
    single, busy, flood = found["one_at_a_time"], found["burst_400_in_flight"], found["burst_all_at_once"]
    steady, twice, killed = found["sustained"], found["everything_twice"], found["killed_half_retrying"]
    full, cpu, bare_cpu = found["sustained_full"], steady["cpu_ms_per_upload"], raw["cpu_ms_per_upload"]
    recovery, replaced = found["recovery"], found["replaced"]
    pairs = [(steady, raw, "")]
    if "raw_api_apart" in found:
        where = ", control plane on a processor of its own"
        pairs.append((found["sustained_apart"], found["raw_api_apart"], where))
    rows = [
        *(
            (
                f"sustained API writes / raw API writes, offered 0.90{where}",
                f"{steady['api_writes_per_second'] / raw['writes_per_second']:.2f}",
                "≥ 0.85",
            )
            for steady, raw, where in pairs
        ),
        *(
            (
                f"uploads through, with the removals after the load / raw{where}",
                f"{3 * steady['through_per_second'] / raw['writes_per_second']:.2f}",
                "-",
            )
            for steady, raw, where in pairs
        ),
        (
            "sustained API writes / raw API writes, offered 1.00",
            f"{full['api_writes_per_second'] / raw['writes_per_second']:.2f}",
            "≥ 0.90",
        ),
        ("CPU of the operator per upload, sustained", f"{cpu['operator']:.1f} ms", "≤ 2.5 ms"),
        (
            "CPU of operator, API server, etcd and NATS; of API server and etcd for the raw writes alone",
            f"{sum(cpu.values()):.1f} ms; {sum(bare_cpu.values()):.1f} ms",
            "-",
        ),
        ("CPU of the operator from its start until it is ready", f"{single['cpu_s_until_ready']} s", "≤ 1 s"),
        ("API writes per upload, sustained", f"{steady['api_writes_per_upload']:.2f}", "≤ 3"),
        ("API writes per upload, idle (no removal)", f"{single['api_writes_per_upload']:.2f}", "≤ n+3"),
        (
            "p50 one at a time / bare NATS",
            f"{single['back_to_back']['p50_ms'] / bare['back_to_back']['p50_ms']:.2f}",
            "≤ 1.2",
        ),
        (
            "the same with a pause between two uploads",
            f"{single['p50_ms'] / bare['single']['p50_ms']:.2f}",
            "-",
        ),
        ("burst rate / bare NATS rate", f"{busy['rate'] / bare['burst']['rate']:.2f}", "-"),
        ("uploads/s, all at once", f"{flood['rate']:.0f}", "≥ 1000 where bare NATS allows"),
        ("memory per upload in flight", f"{flood['memory_kb_per_upload']} KB", "≤ 4 KB"),
        ("memory at rest", f"{flood['base_mb']} MB", "≤ 110 MB"),
        (
            "extra starts / extra finishes, everything twice",
            f"{twice['extra_starts']:g} / {twice['extra_finishes']:g}",
            "0 / 0",
        ),
        (
            "completed after kill -9, half retrying",
            f"{killed['completed']} of {killed['uploads']}",
            "all",
        ),
        (
            "working again after kill -9",
            f"{killed['working_again_after_s']} s",
            f"≤ {killed['lease_s']} + 5 s",
        ),
        (
            f"working again after kill -9 with {flood['uploads']} finished uploads kept",
            f"{flood['working_again_after_s']} s, {flood['memory_kb_per_finished']} KB each",
            f"≤ {killed['lease_s']} + 5 s",
        ),
        (
            f"kill -9 under {replaced['uploads']} uploads at 200/s, another replica stands by: longest wait",
            "{longest_ms:.0f} ms; {completed} completed, {extra_starts:g} started twice".format(**replaced),
            f"≤ {replaced['lease_s']} + 5 s; all; 0",
        ),
        (
            f"working again after kill -9 with {recovery['in_flight']} in flight",
            f"{recovery['working_again_after_s']} s; {recovery['extra_starts']:g} starts twice",
            f"≤ {recovery['lease_s']} + 5 s; 0",
        ),
    ]
    lines = [f"# Benchmark of {stamp}{' (quick)' if quick else ''}", ""]
    lines += ["Ratios come from one run on one machine; absolute figures move with the machine.", ""]
    lines += ["| figure | measured | goal |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {goal} |" for name, value, goal in rows]
    lines += ["", *(f"![{name}]({name}.svg)" for name in CHARTS)]
    lines += ["", "## All figures", ""]
    for name, figures in found.items():
        lines += [f"### {name}", ""]
        lines += [f"* {key}: {_text(value)}" for key, value in figures.items()]
        lines.append("")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    return str(value)
