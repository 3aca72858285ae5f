"""How far judges agree with marks: kappa as others compute it, agreement by chance, failed verdicts, comparisons."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from affinage.reports import marks_agreement
from affinage.reports.marking import read_sheet, sheet
from affinage.reports.marks_agreement import agreement, kappa, level, opinion
from affinage.reports.results import Results
from tests.affinage.reports import made_up
from tests.affinage.reports.made_up import fill, results

PAIRS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40)


@given(PAIRS, st.booleans())
def test_kappa_is_that_of_scikit_learn(pairs, quadratic):
    table = marks_agreement._counts([[(a - 1, b - 1)] for a, b in pairs], 5)
    first, second = zip(*pairs, strict=True)
    mine = float(kappa(table.sum(0), quadratic))
    if len(set(first) | set(second)) == 1:
        assert mine == 0  # scikit-learn: undefined
    else:
        weights = "quadratic" if quadratic else None
        assert mine == pytest.approx(cohen_kappa_score(first, second, weights=weights, labels=[1, 2, 3, 4, 5]))


def test_levels():
    assert [level(score, 0, 100) for score in (0, 19.9, 20, 50, 80, 100)] == [1, 1, 2, 3, 5, 5]
    assert [level(score, 1, 5) for score in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, 5]


def as_judged(judged: Results):
    """Marks that say what the judge says."""

    def change(number, line):
        row = next(row for row in judged.rows if row.id == line["row"])
        for side in "ab":
            contestant = "tuned" if line[f"answer_{side}"] == row.text_of("tuned") else "base"
            line[f"mark_{side}"] = str(level(row.scores["embedded"][contestant], 0, 100))
            if row.scores["embedded"][contestant] == max(row.scores["embedded"][rival] for rival in ("tuned", "base")):
                line["preferred"] = side

    return change


def test_a_judge_that_says_the_same_agrees_fully(tmp_path):
    judged = results(tmp_path, count=12)
    marked = read_sheet(fill(tmp_path / "marks.csv", sheet(judged, "base", 12, 1), as_judged(judged)), judged, "base")
    agreed = agreement(marked, judged, "base", "embedded")
    assert agreed.answers == 24 and agreed.rows == 12
    assert agreed.kappa["value"] == agreed.kappa["low"] == 1 and agreed.preference["value"] == 1
    assert agreed.spearman["value"] > 0.9


def test_marks_by_chance_agree_by_chance(tmp_path):
    judged, dice = results(tmp_path, count=300), random.Random(0)

    def chance(number, line):
        line.update(mark_a=str(dice.randint(1, 5)), mark_b=str(dice.randint(1, 5)), preferred=dice.choice(["a", "b"]))

    agreed = agreement(
        read_sheet(fill(tmp_path / "m.csv", sheet(judged, "base", 300, 1), chance), judged, "base"), judged, "base", "embedded"
    )
    for figure in (agreed.kappa, agreed.spearman, agreed.preference):
        assert figure["low"] < 0.1 and abs(figure["value"]) < 0.15 and figure["low"] <= figure["value"] <= figure["high"]


def test_failed_verdicts_do_not_count(tmp_path):
    def fail(answered, verdict):
        if answered["id"].endswith("1"):
            verdict["scores"]["embedded"]["tuned"] = None

    judged = results(tmp_path, count=8, change=fail)
    lines = sheet(judged, "base", 8, 1)
    marked = read_sheet(
        fill(tmp_path / "m.csv", lines, lambda _, line: line.update(mark_a="3", mark_b="2", preferred="a")), judged, "base"
    )
    agreed = agreement(marked, judged, "base", "embedded")
    assert (agreed.answers, agreed.rows) == (15, 7)


def test_a_comparison_in_both_orders_counts_before_scores(tmp_path):
    judged = results(tmp_path, count=6, change=lambda _, verdict: verdict.update(pairs={"embedded": {"winner": "base"}}))
    made_up.edit_json(
        tmp_path / "metrics/model/details.json", lambda d: d["judges"]["embedded"].update(pairwise={"over": "base"})
    )
    assert {marks_agreement._prefers(row, judged, "base", "embedded") for row in judged.rows} == {"base"}
    assert "tuned" in {marks_agreement._prefers(row, judged, "base_chat", "embedded") for row in judged.rows}


def test_what_people_say(tmp_path):
    judged = results(tmp_path, count=4)

    def tuned_wins(_, line):
        row = next(row for row in judged.rows if row.id == line["row"])
        side = "a" if line["answer_a"] == row.text_of("tuned") else "b"
        line.update({f"mark_{side}": "4", f"mark_{'ab'.replace(side, '')}": "2", "preferred": side})

    marked = read_sheet(fill(tmp_path / "m.csv", sheet(judged, "base", 4, 1), tuned_wins), judged, "base")
    said = opinion(marked, judged, "base")
    assert [said[name]["value"] for name in ("tuned", "base", "difference", "preferred")] == [4, 2, 2, 1]
