import numpy as np
import pytest

from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.scoring import items, known_answers, summarize, trust
from tests import tiny

BOOTSTRAP = Bootstrap(4, 200, 0.95, 1)


def rows() -> list[dict]:
    return [
        {
            **row,
            "expected": row["completion"],
            "answers": {"tuned": {"text": "t"}, "base": {"text": "b"}, "parent": {"text": "p"}},
        }
        for row in tiny.rows(4)
    ]


def figures(**means: tuple[float, float]) -> dict:
    """(score, perplexity) of every contestant, the same for all rows but for a fixed spread."""
    spread = np.array([-1, 0, 0, 1])
    return {
        contestant: {"score": (with_count(score + spread), mean), "perplexity": (with_count(nats + spread), mean)}
        for contestant, (score, nats) in means.items()
    }


def test_every_figure_has_an_interval():
    summary = summarize(figures(tuned=(50, 9), base=(40, 20)), BOOTSTRAP)
    for contestant in ("tuned", "base"):
        for interval in summary[contestant].values():
            assert interval["low"] <= interval["value"] <= interval["high"] and interval["low"] < interval["high"]


def test_the_gain_is_paired_and_over_the_better_prompt_of_the_base():
    summary = summarize(figures(tuned=(50, 9), base=(40, 20), base_chat=(45, 30), parent=(49, 1)), BOOTSTRAP)["gain"]
    assert summary["score"] == pytest.approx({"over": "base_chat", "value": 5, "low": 5, "high": 5})
    assert summary["perplexity"] == pytest.approx({"over": "base", "value": -11, "low": -11, "high": -11})


def test_without_a_base_there_is_no_gain():
    assert summarize(figures(tuned=(50, 9), parent=(40, 20)), BOOTSTRAP)["gain"] == {}


def test_items_are_question_expected_and_answer():
    assert items(rows()[:1], ["mine"]) == [("What is the colour of apple 0?", "The apple is red.", "mine")]


def test_known_answers_hold_the_controls_the_expected_and_the_base():
    by_kind = known_answers(rows(), np.eye(4), 1)
    assert by_kind["expected"] == [row["completion"] for row in tiny.rows(4)]
    assert by_kind["base"] == ["b"] * 4
    assert not {"tuned", "parent"} & by_kind.keys() and {"good", "other", "half"} <= by_kind.keys()
    assert all(len(texts) == 4 for texts in by_kind.values())


def test_what_controls_say_of_a_judge():
    scores = {
        "good": np.array([60.0, 70, 80, 90]),
        "expected": np.array([99.0, 99, 99, 99]),
        "other": np.array([1.0, 2, 3, 4]),
        "orders": np.array([49.9, 50, 51, 0]),
        "echo": np.array([60.0, 70, 80, 90]),
    }
    on_controls = trust(scores, BOOTSTRAP, 50)
    assert {kind: auc["value"] for kind, auc in on_controls["auc"].items()} == {"other": 1, "orders": 1, "echo": 0.5}
    assert on_controls["fooled"]["value"] == 0.5
    assert on_controls["control_means"]["good"] == 75 and on_controls["control_means"]["expected"] == 99


def test_a_flag_of_form_puts_an_answer_below_all_others():
    scores = {kind: np.full(4, 50.0) for kind in ("good", "half", "orders", "quarter", "expected")}
    flagged = {kind: np.full(4, kind == "half") for kind in scores}
    on_controls = trust(scores, BOOTSTRAP, 50, flagged)
    assert {kind: area["value"] for kind, area in on_controls["auc"].items()} == {"half": 1, "orders": 0.5}
    assert on_controls["auc_content"] == {"half": 0.5, "orders": 0.5}


def test_known_answers_hold_what_could_have_been_said_where_some_is_longer():
    assert "cut_at_limit" not in known_answers(rows(), np.eye(4), 1)
    assert known_answers(rows(), np.eye(4), 1, ["The"] * 4)["cut_at_limit"] == ["The"] * 4
