import numpy as np
import pytest

from stages.judging.intervals import Bootstrap, mean, with_count


def test_intervals_cover_the_true_mean():
    dice, covered = np.random.default_rng(1), 0
    bootstrap = Bootstrap(40, 300, 0.9, 1)
    for _ in range(300):
        interval = bootstrap.interval(with_count(dice.normal(5, 2, 40)), mean)
        covered += interval["low"] <= 5 <= interval["high"]
    assert 0.84 <= covered / 300 <= 0.95


def test_an_interval_is_as_wide_as_theory_says():
    values = np.random.default_rng(2).normal(0, 1, 400)
    interval = Bootstrap(400, 2000, 0.95, 1).interval(with_count(values), mean)
    assert interval["value"] == pytest.approx(values.mean())
    assert interval["high"] - interval["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_more_confidence_is_wider():
    rows = with_count(np.arange(20.0))
    narrow, wide = (Bootstrap(20, 1000, confidence, 1).interval(rows, mean) for confidence in (0.8, 0.99))
    assert wide["low"] < narrow["low"] < narrow["value"] < narrow["high"] < wide["high"]


def test_the_seed_alone_decides():
    rows = with_count(np.arange(20.0) ** 1.5)
    first, same, other = (Bootstrap(20, 200, 0.95, seed).interval(rows, mean) for seed in (1, 1, 2))
    assert first == same != other


def test_the_difference_of_the_same_is_nothing():
    rows = with_count(np.random.default_rng(1).normal(size=30))
    assert Bootstrap(30, 500, 0.95, 1).difference(rows, rows, mean) == {"value": 0, "low": 0, "high": 0}


def test_differences_are_paired():
    """Two answers that differ by one in every row differ by one for sure, however much the rows differ."""
    values = np.random.default_rng(1).normal(0, 100, 30)
    interval = Bootstrap(30, 500, 0.95, 1).difference(with_count(values + 1), with_count(values), mean)
    assert interval == pytest.approx({"value": 1, "low": 1, "high": 1})


def test_a_statistic_of_totals_is_computed_on_each_resample():
    rows = np.array([[1.0, 1], [30, 10]])  # a ratio of sums, not a mean of ratios
    interval = Bootstrap(2, 500, 0.95, 1).interval(rows, mean)
    assert interval["value"] == pytest.approx(31 / 11)
    assert (interval["low"], interval["high"]) == pytest.approx((1, 3))


@pytest.mark.parametrize(
    ("good", "bad", "value"),
    [([3, 4, 5], [0, 1, 2], 1), ([1, 1, 1], [1, 1, 1], 0.5), ([0, 1, 2], [3, 4, 5], 0), ([1, 2, 3], [2, 2, 0], 2 / 3)],
)
def test_auc(good, bad, value):
    interval = Bootstrap(3, 200, 0.95, 1).auc(np.array(good, float), np.array(bad, float))
    assert interval["value"] == pytest.approx(value)
    if value in (0, 0.5, 1):
        assert interval == pytest.approx({"value": value, "low": value, "high": value})


def test_auc_interval_holds_the_value():
    dice = np.random.default_rng(1)
    interval = Bootstrap(60, 500, 0.95, 1).auc(dice.normal(1, 1, 60), dice.normal(0, 1, 60))
    assert 0.5 < interval["low"] < interval["value"] < interval["high"] < 1
