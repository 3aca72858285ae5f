import numpy as np
import pytest
from scipy.optimize import minimize

from stages.judging.intervals import Bootstrap
from stages.judging.pairwise import controlled, rates, settle

DICE = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("first", "second", "winner", "flipped"),
    [
        ("A", "B", "tuned", False),
        ("B", "A", "base", False),
        ("tie", "tie", "tie", False),
        ("A", "A", "tie", True),
        ("B", "B", "tie", True),
        ("A", "tie", "tie", True),
        ("tie", "A", "tie", True),
    ],
)
def test_a_win_only_where_both_orders_agree(first, second, winner, flipped):
    comparison = settle(first, second)
    assert (comparison["winner"], comparison["flipped"]) == (winner, flipped)


def test_the_rates_by_hand():
    pairs = dict(enumerate(settle(*orders) for orders in [("A", "B"), ("A", "B"), ("B", "A"), ("A", "A"), ("tie", "tie")]))
    figures = rates(pairs, np.array([5.0, -5, 5, -5, 0, 100]), Bootstrap(6, 200, 0.95, 1))  # the sixth has no verdicts
    assert figures["compared"] == 5
    assert figures["win_rate"]["value"] == pytest.approx((2 + 0.5 + 0.5) / 5)
    assert figures["ties"]["value"] == pytest.approx(2 / 5)
    assert figures["flip_rate"]["value"] == pytest.approx(1 / 5)
    assert figures["first_preferred"]["value"] == pytest.approx(5 / 8)  # each of the eight decided verdicts
    for name in ("win_rate", "win_rate_lc", "ties", "flip_rate", "first_preferred"):
        assert 0 <= figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"] <= 1


def test_the_fit_is_the_best_point():
    longer = np.tanh(DICE.normal(size=80))
    outcomes = DICE.choice([0, 0.5, 1], 80)

    def loss(point):
        odds = point[0] + point[1] * longer
        return (np.logaddexp(0, odds) - outcomes * odds).sum() + point[1] ** 2 / 2

    best = minimize(loss, [0, 0]).x[0]
    assert controlled(np.ones(80), outcomes, longer) == pytest.approx(1 / (1 + np.exp(-best)), abs=1e-4)


def test_a_row_drawn_twice_counts_twice():
    longer, outcomes = np.tanh(DICE.normal(size=30)), DICE.choice([0, 0.5, 1], 30)
    counts = DICE.integers(0, 3, (4, 30))
    win_rates = controlled(counts, outcomes, longer)
    for drawn, rate in zip(counts, win_rates, strict=True):
        whole = controlled(np.ones(drawn.sum()), np.repeat(outcomes, drawn), np.repeat(longer, drawn))
        assert rate == pytest.approx(whole, abs=1e-6)


def test_wins_by_length_alone_are_taken_back():
    lengths = DICE.normal(60, 100, 400)  # mostly longer
    wins = (DICE.random(400) < 1 / (1 + np.exp(-lengths / 30))).astype(int)
    pairs = {i: settle("A", "B") if won else settle("B", "A") for i, won in enumerate(wins)}
    figures = rates(pairs, lengths, Bootstrap(400, 100, 0.95, 1))
    assert figures["win_rate"]["value"] > 0.65
    assert abs(figures["win_rate_lc"]["value"] - 0.5) < 0.1


def test_length_is_no_excuse_where_it_explains_nothing():
    outcomes = np.r_[np.ones(30), np.zeros(10)]
    assert controlled(np.ones(40), outcomes, np.zeros(40)) == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize(("outcome", "rate"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_all_alike(outcome, rate):
    assert controlled(np.ones(20), np.full(20, outcome), np.tanh(DICE.normal(size=20))) == pytest.approx(rate, abs=1e-3)
