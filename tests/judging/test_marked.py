import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from stages.common.errors import StageError
from stages.judging.intervals import Bootstrap
from stages.judging.marked import Calibration, Mark, calibration, fit, matched, odds, rank_agreement, read_marks

DICE = np.random.default_rng(3)
BOOTSTRAP = Bootstrap(10, 100, 0.95, 1)


def marks(values: np.ndarray) -> list[Mark]:
    """A mark each, two answers a question."""
    return [Mark((f"Question {i // 2}?", "It is so.", f"answer {i}"), float(value), "m.csv") for i, value in enumerate(values)]


def table(path, *lines: dict) -> None:
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        columns = ("row", "question", "expected", "answer_a", "answer_b", "mark_a", "mark_b", "preferred")
        writer = csv.DictWriter(file, columns, delimiter=";")
        writer.writeheader()
        writer.writerows({"question": "Why?", "expected": "So.", "answer_a": "'-1", "answer_b": "b", **line} for line in lines)


def saved(path, *entries: dict, **more) -> None:
    lines = [{"question": "Why?", "expected": "So.", "answer": "b", **changes} for changes in entries]
    path.write_text(json.dumps({"format": "affinage marks", "model": "m", "marks": lines, **more}))


def test_tables_and_pages_are_read_together(tmp_path):
    table(tmp_path / "a.csv", {"mark_a": "5", "mark_b": "2"}, {"mark_a": "", "mark_b": "", "question": "unmarked"})
    saved(tmp_path / "b.json", {"mark": 4}, {"mark": None, "answer": "c"}, {"mark": 1, "answer": "d", "question": "How? "})
    (tmp_path / "README.md").write_text("not read")
    levels = {mark.texts: mark.value for mark in read_marks(tmp_path)}
    assert levels == {("Why?", "So.", "-1"): 1.0, ("Why?", "So.", "b"): 0.5, ("How? ", "So.", "d"): 0.0}  # b: 2 and 4
    assert read_marks(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda path: table(path / "a.csv", {"mark_a": "6"}), "row 2, mark_a(.|\n)*from 1 to 5"),
        (lambda path: saved(path / "a.json", {"mark": 3}, {"mark": "good"}), "mark 2(.|\n)*from 1 to 5"),
        (lambda path: (path / "a.json").write_text("{"), "no JSON"),
        (lambda path: saved(path / "a.json", format="other"), "another kind of file"),
        (lambda path: (path / "a.csv").write_text("question,expected\nx,y\n"), "no column answer_a, mark_a"),
    ],
)
def test_what_is_no_mark_is_named(tmp_path, write, why):
    write(tmp_path)
    with pytest.raises(StageError, match=why):
        read_marks(tmp_path)


def test_a_judge_that_agrees_is_left_as_it_is():
    shares = DICE.uniform(0.05, 0.95, 4000)
    right = (DICE.uniform(size=4000) < shares).astype(float)
    slope, level = fit(odds(100 * shares, (0, 100)), right)
    assert slope == pytest.approx(1, abs=0.1) and level == pytest.approx(0, abs=0.1)
    assert fit(np.zeros(0), np.zeros(0)) == (1, 0)


def test_a_calibration_comes_nearer_to_the_marks_on_answers_that_it_has_not_seen():
    values = DICE.uniform(0, 1, 120)
    scores = 100 * np.clip(0.4 * values + DICE.normal(0, 0.05, 120), 0, 1)  # far too strict
    fitted = Calibration(marks(values), scores, (0, 100))
    agreement = fitted.describe(BOOTSTRAP)
    assert agreement["error_calibrated"]["high"] < agreement["error"]["low"] and agreement["spearman"]["value"] > 0.8
    assert (
        agreement["disagree"]
        and agreement["mark_less_score"]["low"] > 20
        and agreement["marks"] == 120
        and agreement["questions"] == 60
    )
    assert all(
        interval["low"] <= interval["value"] <= interval["high"] for interval in (agreement["spearman"], agreement["error"])
    )


def test_an_answer_is_never_scored_by_marks_of_its_own_question():
    values = DICE.uniform(0, 1, 60)
    scores = 100 * values
    fitted = Calibration(marks(values), scores, (0, 100))
    own = fitted.apply(scores[:2], ["Question 0?"] * 2)
    values[:2] = 1 - values[:2]
    changed = Calibration(marks(values), scores, (0, 100))
    assert np.array_equal(changed.apply(scores[:2], ["question  0?", "Question 0?"])[1:], own[1:])
    assert not np.array_equal(changed.apply(scores[:2], ["New?"] * 2), fitted.apply(scores[:2], ["New?"] * 2))


def test_failed_verdicts_stay_failed():
    fitted = Calibration(marks(DICE.uniform(0, 1, 60)), DICE.uniform(1, 5, 60), (1, 5))
    assert np.isnan(fitted.apply(np.array([np.nan, 3.0]), ["New?"] * 2)).tolist() == [True, False]


def test_few_marks_make_no_calibration():
    assert calibration(marks(np.full(39, 0.5)), np.full(39, 50.0), (0, 100)) is None
    one_question = [Mark(("Why?", "So.", str(i)), 0.5, "m") for i in range(60)]
    assert calibration(one_question, np.full(60, 50.0), (0, 100)) is None
    assert calibration(marks(np.full(40, 0.5)), np.full(40, 50.0), (0, 100)) is not None


def test_marks_of_answers_that_were_not_scored_are_stale():
    items = [("Question 0?", "It is  so.", "answer 0"), ("Question 0?", "It is so.", "answer 1")]
    there, scores = matched(marks(np.full(4, 0.5)), items, np.array([70.0, np.nan]))
    assert [mark.texts[2] for mark in there] == ["answer 0"] and scores.tolist() == [70]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40))
def test_rank_agreement_is_spearmans_correlation_of_scipy(pairs):
    first, second = np.array(pairs, float).T
    expected = spearmanr(first, second).statistic if len(set(first)) > 1 < len(set(second)) else 0.0
    assert rank_agreement(first, second) == pytest.approx(expected)
