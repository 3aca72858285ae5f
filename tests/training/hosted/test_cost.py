import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.schema_models import Price
from stages.training.hosted.cost import Estimate, auto_epochs, estimate, price_of, within_limit
from tests.training.hosted.helpers import params

PRICES = [Price(model=name, dollars_per_million_tokens=price) for name, price in (("gpt-4o", 25.0), ("gpt-4o-mini", 3.0))]


@pytest.mark.parametrize(
    ("model", "price"),
    [("gpt-4o", 25), ("gpt-4o-2024-08-06", 25), ("gpt-4o-mini", 3), ("gpt-4o-mini-2024-07-18", 3), ("gpt-4o-0806", 25)],
)
def test_a_dated_name_has_the_price_of_its_model(model, price):
    assert price_of(model, PRICES, "prices") == price


def test_an_exact_name_comes_first():
    dated = Price(model="gpt-4o-2024-08-06", dollars_per_million_tokens=20.0)
    assert price_of("gpt-4o-2024-08-06", [*PRICES, dated], "prices") == 20


@pytest.mark.parametrize("model", ["gpt-4o-audio", "gpt-4o-mini-x", "gpt-4", "ft:gpt-4o:org::1", "xgpt-4o", ""])
def test_a_price_is_not_guessed(model):
    with pytest.raises(StageError, match="no price for"):
        price_of(model, PRICES, "prices")


@pytest.mark.parametrize(
    ("rows", "epochs"), [(1, 25), (4, 25), (10, 10), (33, 3), (34, 3), (8_333, 3), (8_334, 2), (12_500, 2), (30_000, 1)]
)
def test_auto_is_taken_as_the_cookbook_says(rows, epochs):
    assert auto_epochs(rows) == epochs


def test_the_estimate_is_tokens_times_epochs_times_price():
    bound = estimate("m", params(n_epochs=4, limit_dollars=0.5), "gpt-4o-mini", 10, 50_000)
    assert bound.dollars == pytest.approx(0.6)
    assert str(bound) == "10 rows, at most 50000 tokens x 4 epochs x $3 a million = at most $0.6 (limit $0.5)"
    with pytest.raises(StageError, match="models.m.train.limit_dollars"):
        within_limit("m", bound)
    within_limit("m", estimate("m", params(n_epochs=4, limit_dollars=0.6), "gpt-4o-mini", 10, 50_000))


@given(st.integers(1, 10**7), st.integers(1, 50), st.integers(1, 50), st.floats(0, 100), st.floats(0, 100))
def test_more_epochs_than_guessed_exceed_only_what_the_limit_forbids(tokens, guessed, chosen, price, limit):
    bound = Estimate(10, tokens, guessed, price, limit)
    if bound.dollars <= limit and bound.exceeds(chosen):
        assert chosen > guessed and Estimate(10, tokens, chosen, price, limit).dollars > limit * (1 - 1e-9)
    assert not bound.exceeds("auto") and not bound.exceeds(guessed)
