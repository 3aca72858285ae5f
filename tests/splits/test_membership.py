"""Membership within classes; without them see tests/test_split.py."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.splits import PARTS
from stages.splits.membership import Membership, part_of, place_of, shares_of
from tests.data_helpers import split_params


def row(number: int, name: str = "a", **more) -> dict:
    return {"id": f"f#{number}", "text": f"text {number}", "label": name, **more}


def divided(rows: list[dict], **changes) -> dict[str, str]:
    params = split_params(stratify="label", **changes)
    membership = Membership.of(rows, params)
    return {row["id"]: membership.placed(row)[1] for row in rows}


def natural(labelled: dict, **changes) -> str:
    """Where a row's own hash puts it."""
    return part_of(labelled, split_params(stratify="label", **changes))


def sides(rows: list[dict], parts: dict[str, str]) -> dict[str, Counter]:
    counts = defaultdict(Counter)
    for row in rows:
        counts[row["label"]][parts[row["id"]]] += 1
    return counts


some_rows = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(
    lambda classes: [row(i, f"class {name}") for i, name in enumerate(classes)]
)
rare = st.sampled_from(
    [{}, {"train": 0.9, "validation": 0.05, "test": 0.05}, {"train": 0.02, "validation": 0.49, "test": 0.49}]
)


@given(some_rows, rare)
def test_a_class_of_three_is_on_every_side_a_smaller_one_trains_first(rows, shares):
    for counts in sides(rows, divided(rows, **shares)).values():
        wanted = ("train", "test", "validation")[: counts.total()]
        assert all(counts[part] for part in wanted)


@given(some_rows, rare, st.randoms())
def test_membership_does_not_depend_on_order(rows, shares, rng):
    assert divided(rows, **shares) == divided(rng.sample(rows, len(rows)), **shares)


@given(some_rows, some_rows, rare)
def test_added_rows_move_no_row_of_a_class_that_is_on_every_side_by_its_hashes(rows, more, shares):
    more = [{**new, "id": f"new {new['id']}", "text": f"new {new['text']}"} for new in more]
    before, after = divided(rows, **shares), divided(rows + more, **shares)
    for name in {row["label"] for row in rows}:
        of_class = [row for row in rows if row["label"] == name]
        if {natural(row, **shares) for row in of_class} == set(PARTS):
            assert all(before[row["id"]] == after[row["id"]] == natural(row, **shares) for row in of_class)


@given(some_rows, rare)
def test_only_stand_ins_lie_elsewhere_than_their_hash_says(rows, shares):
    parts = divided(rows, **shares)
    for name, counts in sides(rows, parts).items():
        of_class = [row for row in rows if row["label"] == name]
        moved = [row for row in of_class if parts[row["id"]] != natural(row, **shares)]
        if counts.total() >= 3:
            own = Counter(natural(row, **shares) for row in of_class)
            missing = sum(not own[part] for part in PARTS)
            assert len(moved) <= 2 * missing  # one a missing side, and one that makes room between


@given(some_rows, st.integers(1, 4))
def test_groups_are_whole_within_their_class(rows, size):
    rows = [{**row, "group": f"group {i // size}"} for i, row in enumerate(rows)]
    part_of = divided(rows, group="group")
    parts = {(row["label"], row["group"], part_of[row["id"]]) for row in rows}
    assert len(parts) == len({(name, group) for name, group, _ in parts})


def test_a_large_class_keeps_the_shares():
    rows = [row(i) for i in range(3000)]
    counts = sides(rows, divided(rows))["a"]
    assert all(
        abs(counts[part] / 3000 - share) < 0.03 for part, share in {"train": 0.6, "validation": 0.2, "test": 0.2}.items()
    )


def test_shares_are_within_the_binomial_bound_and_reported():
    rows = [row(i, f"class {i % 5}") for i in range(2000)]
    shares = Membership.of(rows, split_params(stratify="label")).shares
    assert shares["beyond_bound"] == 0
    widest = shares["widest"]
    assert abs(widest["share"] - widest["asked"]) == pytest.approx(
        widest["standard_errors"] * (widest["asked"] * (1 - widest["asked"]) / 400) ** 0.5
    )


def test_a_share_beyond_the_bound_is_counted():
    counts = {"a": {"train": 60, "validation": 20, "test": 20}, "b": {"train": 100, "validation": 0, "test": 0}}
    shares = shares_of(counts, split_params(stratify="label"))
    assert shares["beyond_bound"] == 3
    assert (shares["widest"]["class"], shares["widest"]["share"]) == ("b", 1)


@given(st.integers(10, 60), st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.5, 0.0, 0.5)]), st.booleans())
def test_exact_shares_are_exact_to_the_group(count, shares, stratify):
    asked = dict(zip(PARTS, shares, strict=True))
    rows = [row(i, f"class {i % 2}" if stratify else "a") for i in range(2 * count)]
    params = split_params(stratify="label" if stratify else "", exact=True, **asked)
    membership = Membership.of(rows, params)
    of_class = [line for line in rows if line["label"] == rows[0]["label"]]
    counts = Counter(membership.placed(line)[1] for line in of_class)
    for part, share in asked.items():
        assert abs(counts[part] - share * len(of_class)) <= 1
        assert bool(counts[part]) == bool(share)


def test_classes_have_orders_of_their_own():
    params = split_params(stratify="label", group="group")
    assert place_of(row(1, "a", group="g"), params) != place_of(row(1, "b", group="g"), params)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (0.0, 0.5, 0.5), (1.0, 0.2, 0.2)])
def test_sides_that_nobody_asked_for_stay_empty(shares):
    asked = dict(zip(PARTS, shares, strict=True))
    rows = [row(i, f"class {i % 7}") for i in range(60)]
    for counts in sides(rows, divided(rows, **asked)).values():
        assert all(bool(counts[part]) == bool(share) for part, share in asked.items() if part != "train" or share < 1)


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_row_without_a_class_is_named(value):
    with pytest.raises(StageError, match=r"row f#1\n[^$]*label = "):
        divided([row(1, value)])
