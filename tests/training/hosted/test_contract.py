"""The measure that requests and answers are held against can fail; with the description and without it."""

import pytest

from tests.training.hosted import contract

GOOD = {"model": "m", "training_file": "file-1", "seed": 1, "metadata": {"a": "b"}}


@pytest.fixture(params=["described", "by hand"])
def measure(request, monkeypatch):
    if request.param == "by hand":
        monkeypatch.setattr(contract, "described", lambda: None)
    elif not contract.described():
        pytest.skip("AFFINAGE_CONTRACTS names no directory")


def test_a_good_request_passes(measure):
    assert contract.problems("CreateFineTuningJobRequest", GOOD) == []
    assert contract.problems("CreateFileRequest", {"file": "x", "purpose": "fine-tune"}) == []
    assert contract.query_problems("/fine_tuning/jobs", {"limit": "5", "after": "x"}) == []


@pytest.mark.parametrize("change", [{"model": None}, {"training_file": 7}, {"n_epochs": 3}])
def test_a_wrong_request_fails(measure, change):
    assert contract.problems("CreateFineTuningJobRequest", GOOD | change)


@pytest.mark.parametrize("value", [{}, {"object": "list", "data": [{}], "has_more": False}])
def test_a_wrong_list_fails(measure, value):
    assert contract.problems("ListPaginatedFineTuningJobsResponse", {"data": []} | value)


@pytest.mark.parametrize("query", [{"size": "5"}, {"limit": "x"}])
def test_a_wrong_query_fails(measure, query):
    assert contract.query_problems("/fine_tuning/jobs", query)


def test_ranges_of_the_description():
    if not contract.described():
        pytest.skip("AFFINAGE_CONTRACTS names no directory")
    for name, wrong, right in (("n_epochs", 51, 50), ("batch_size", 0, "auto"), ("learning_rate_multiplier", 0, 0.5)):
        for value, fails in ((wrong, True), (right, False)):
            method = {"type": "supervised", "supervised": {"hyperparameters": {name: value}}}
            assert bool(contract.problems("CreateFineTuningJobRequest", GOOD | {"method": method})) == fails
