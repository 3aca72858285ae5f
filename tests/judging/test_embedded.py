import json

import numpy as np
import pytest

from stages.judging import embedded
from stages.judging.embedded import EmbeddedJudge, shipped
from stages.judging.encoder import Encoder
from stages.judging.signals import NAMES, SHARES, Signals
from tests import tiny


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return EmbeddedJudge(Signals(Encoder(tiny.encoder(tmp_path_factory.mktemp("models") / "encoder"))))


def items(answer=None) -> list[tuple[str, str, str]]:
    """Rows with the expected answer unless another is given."""
    return [
        (row["messages"][0]["content"], row["completion"], row["completion"] if answer is None else answer(row))
        for row in tiny.rows(8, 20)
    ]


def test_scores_lie_between_0_and_100(judge):
    texts = ["", "a", "The apple is red.", "word " * 300, "🍎", "\n"]
    scores = judge.score([("What?", "The apple is red.", text) for text in texts])
    assert scores.shape == (6,) and ((scores >= 0) & (scores <= 100)).all()
    assert judge.score([]).shape == (0,)


def test_an_empty_answer_scores_nothing(judge):
    assert judge.score([("What?", "The apple is red.", text) for text in ("", " ", "\n\t")]).tolist() == [0, 0, 0]


def test_the_expected_answer_scores_over_bad_ones(judge):
    best = judge.score(items())
    for bad in (lambda row: row["messages"][0]["content"], lambda row: "No idea at all"):
        assert (best > judge.score(items(bad))).all()
    assert best.min() > 75


def test_shipped_weights_are_the_signals_shares_and_say_where_they_come_from(judge):
    """What is known beforehand lowers the level."""
    weights = judge.describe()["weights"]
    bias, known, opposite = (weights.pop(name) for name in ("bias", "known", "opposite"))
    assert list(weights) == list(SHARES) and weights["words"] > 0 > known > opposite
    assert np.ptp([weights[name] / share for name, share in SHARES.items()]) < 1e-9
    assert isinstance(bias, float) and list(shipped()["signals"]) == list(NAMES)
    assert shipped()["fitted_on"]["rows"].keys() == shipped()["held_out_spearman"].keys() - {"pandalm"}
    assert "pandalm" not in json.dumps(shipped()["fitted_on"])


def test_another_encoder_than_the_fitted_one_is_said(judge):
    assert judge.describe()["encoder_as_fitted"] is False


def test_company_changes_no_score(judge):
    together = judge.score(items())
    np.testing.assert_allclose(together, [judge.score([item])[0] for item in items()], atol=1e-3)


def test_lists_are_scored_as_each_alone_and_a_text_is_read_once(judge, monkeypatch):
    lists = {"right": items(), "echo": items(lambda row: row["messages"][0]["content"]), "again": items(), "none": []}
    states, texts = judge.signals.encoder._states, []
    monkeypatch.setattr(judge.signals.encoder, "_states", lambda parts: texts.extend(map(str, parts)) or states(parts))
    together = judge.score_lists(lists)
    assert len(texts) == len(set(texts)) > 0
    assert {name: len(scores) for name, scores in together.items()} == {"right": 8, "echo": 8, "again": 8, "none": 0}
    assert np.array_equal(together["right"], together["again"])
    for name, scores in together.items():
        np.testing.assert_allclose(judge.score(lists[name]), scores, atol=0.01)


def test_yes_where_no_was_expected_scores_little(judge):
    asked = "Can lawyers lie?", "No, lawyers are not allowed to lie."
    right, wrong = judge.score([(*asked, text) for text in ("No, lawyers may not lie", "Yes, lawyers are allowed to lie")])
    assert wrong < 35 < right


def test_right_answers_score_alike_whatever_was_asked(judge):
    """What the question gives away moves the score of a right answer by a point or two."""
    right = [(question, expected, expected) for question, expected, _ in items()]
    asked = [(f"{question} {more}", expected, expected) for question, expected, _ in right for more in ("Say it.", expected)]
    scores = judge.score(right + asked)
    assert scores.min() > 95 and np.ptp(scores) < 3


def test_the_weights_are_those_of_the_file(judge, monkeypatch):
    before = judge.score(items(lambda row: "The apple"))
    monkeypatch.setattr(embedded, "shipped", lambda: {**shipped.__wrapped__(), "bias": -50.0})
    assert (EmbeddedJudge(judge.signals).score(items(lambda row: "The apple")) < before).all()


def test_the_question_said_again_earns_nothing(judge):
    question, expected = "Which colour is the apple in the garden?", "The apple is red."
    plain, echoed, echo = judge.score(
        [(question, expected, text) for text in ("It is", f"It is {question} {question}", question)]
    )
    assert echo == 0 and echoed == pytest.approx(plain, abs=1)
    assert judge.score([("Is it so?", "Is it so?", "Is it so?")])[0] > 75
