"""Scores compare only where the judge that gave them is the same."""

import pytest

from affinage.history.judges import another

JUDGE = {"version": "content.v3", "weights": {"words": 2.0, "topic": 1.0}, "auc": {"other": 1.0}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"auc": {"other": 0.5}}, None),  # found with it, and no part of it
        ({"weights": {"words": 2.0001, "topic": 1.0}}, None),  # machines differ in last digits
        ({"version": "content.v2"}, "another judge: its version changed"),
        ({"weights": {"words": 2.5, "topic": 1.0}}, "it was fitted otherwise: its weights changed"),
        ({"weights": {"words": 2.0}}, "it was fitted otherwise: its weights changed"),
    ],
)
def test_what_makes_it_another_judge(changes, reason):
    assert another(JUDGE, JUDGE | changes) == reason
    assert another(JUDGE | changes, JUDGE) == reason


def test_a_side_of_which_nothing_is_known_is_not_told_apart():
    assert another({}, JUDGE) is None
