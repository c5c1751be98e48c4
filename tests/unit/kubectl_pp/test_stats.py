"""`stats`: percentiles."""

from kubectl_pp.verbs.stats import rank


def test_percentiles_are_values_that_occurred() -> None:
    assert [rank([1.0, 2.0, 3.0, 4.0], p) for p in (0, 50, 95, 100)] == [1.0, 2.0, 4.0, 4.0]
    assert rank([7.0], 50) == 7.0
