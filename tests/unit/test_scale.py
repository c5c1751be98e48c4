"""The cost model of docs/scale.md: it keeps every upload, and more of anything never makes a day worse."""

from dataclasses import replace

import pytest

from bench.scale import ROOT, Load, Plant, limits, main, page, shards_for, simulate

DAY = Load(uploads_per_day=10e6, bulk=50_000)


def test_the_page_is_up_to_date() -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert page(text) == text, "run `make gen`"


@pytest.mark.parametrize("peak", [1.0, 2.0, 3.0, 10.0])
def test_a_day_has_as_many_uploads_as_it_says(peak: float) -> None:
    load = replace(DAY, peak=peak)
    rates = list(load.rates())
    assert sum(rates) == pytest.approx(load.uploads_per_day + load.bulk, rel=1e-6)
    assert max(replace(load, bulk=0).rates()) == pytest.approx(load.mean * peak, rel=1e-6)


def test_the_operator_is_the_first_limit_and_then_the_api_server() -> None:
    one, two = limits(Plant(shards=1)), limits(Plant(shards=2))
    assert min(one, key=lambda name: one[name]) == "operator"
    assert min(two, key=lambda name: two[name]) == "API server"
    assert two["operator"] < 2 * one["operator"], "each owner reads the whole stream"


def test_shards_do_not_help_beyond_what_reading_the_stream_costs() -> None:
    assert shards_for(300, Plant()) == 1
    assert shards_for(600, Plant()) == 2
    assert shards_for(1e9, Plant()) == 0


SMALL = Plant(shards=2, api_cores=3.0)


@pytest.mark.parametrize(
    "more",
    [replace(SMALL, shards=3), replace(SMALL, api_cores=6.0), replace(SMALL, etcd_writes=4000.0)],
    ids=["shards", "API server", "etcd"],
)
def test_more_of_anything_never_makes_a_day_worse(more: Plant) -> None:
    few, many = simulate(DAY, SMALL), simulate(DAY, more)
    assert many.longest_wait_seconds <= few.longest_wait_seconds
    assert many.recorded_at <= few.recorded_at
    assert many.left <= few.left


def test_too_small_an_api_server_never_catches_up() -> None:
    day = simulate(DAY, Plant(shards=2, api_cores=0.5))
    assert day.left > DAY.mean
    assert day.most_unrecorded == pytest.approx(2 * Plant().window, rel=0.05), "the window is the bound"


def test_it_tells_what_limits_a_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--uploads-per-day", "18e6"]) == 0
    told = capsys.readouterr().out
    assert "2 shards" in told
    assert told.index("API server") < told.index("NATS")
