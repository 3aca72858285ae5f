import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from stages.common.errors import StageError
from stages.judging.intervals import Bootstrap
from stages.judging.opinion import Opinion, bounds, figure, health, rank_correlation, verdict_rows
from stages.judging.scoring import summarize

NAN = np.nan
BOOTSTRAP = Bootstrap(4, 200, 0.95, 1)
ANSWERS = {"tuned": ["a", "bb", "ccc", "dddd"], "base": ["a"] * 4}


def opinion(tuned=(80, 60, NAN, 100), base=(10, NAN, 30, 20), good=(90, 80), bad=(10, NAN)) -> Opinion:
    judged = Opinion(
        {"tuned": np.array(tuned, float), "base": np.array(base, float)},
        [1, 3],
        {kind: np.array(bad, float) for kind in ("other", "orders")} | {"good": np.array(good, float)},
        (0, 100),
        {"model": "m"},
    )
    judged.failed = {"tuned": {2: "timeout"}, "base": {1: "unparsable"}, "control other": {3: "unparsable"}}
    judged.said = {"timeout": "nothing", "unparsable": "Well…"}
    judged.reasons = {"tuned": {0: "well put"}}
    judged.pairs = {0: {"winner": "tie"}}
    return judged


def test_failed_verdicts_are_neither_scored_nor_dropped():
    rows, mean = figure(np.array([80, 60, NAN, 100]))
    assert mean(rows.sum(0)) == 80
    judge_health = health("j", opinion(), ANSWERS, BOOTSTRAP, 0.5)
    assert judge_health["failed"] == {"timeout": 1, "unparsable": 2}
    assert judge_health["bounds"]["tuned"] == {"low": 60, "high": 85}


def test_bounds_hold_whatever_the_missing_would_have_been():
    values = np.array([4, NAN, 2, NAN])
    bound = bounds(values, 1, 5)
    for missing in ([1, 1], [5, 5], [1, 5], [3, 2]):
        filled = values.copy()
        filled[np.isnan(values)] = missing
        assert bound["low"] <= filled.mean() <= bound["high"]
    assert (bound["low"], bound["high"]) == (2, 4)


def test_gains_are_those_of_rows_with_both_verdicts():
    judged = opinion()
    figures = {contestant: {"j": figure(scores)} for contestant, scores in judged.scores.items()}
    assert summarize(figures, BOOTSTRAP)["gain"]["j"]["value"] == pytest.approx(((80 - 10) + (100 - 20)) / 2)


def test_a_weak_judge_is_marked_and_said(capsys):
    judge_health = health("j", opinion(good=(50, 60), bad=(70, 55)), ANSWERS, BOOTSTRAP, 0.8)
    assert list(judge_health["weak"]) == ["orders", "other"]
    assert "warning: judge 'j'" in capsys.readouterr().err
    assert health("j", opinion(), ANSWERS, BOOTSTRAP, 0.8)["weak"] == {}
    assert capsys.readouterr().err == ""


def test_fooled_is_half_of_the_scale():
    judged = opinion(good=(5, 5), bad=(3, 2.9))
    judged.scale = (1, 5)
    assert health("j", judged, ANSWERS, BOOTSTRAP, 0)["fooled"]["value"] == 0.5


def test_no_verdict_at_all_is_an_error():
    opinion().require_verdicts("j")
    with pytest.raises(StageError, match="timeout: 1, such as nothing"):
        opinion(tuned=[NAN] * 4).require_verdicts("j")
    with pytest.raises(StageError, match="such as Well…"):
        opinion(bad=(NAN, NAN)).require_verdicts("j")


def test_rows_of_the_verdicts_file():
    first, second, third, fourth = verdict_rows([{"id": i} for i in range(4)], {"j": opinion()})
    assert first == {
        "id": 0,
        "scores": {"j": {"tuned": 80, "base": 10}},
        "reasons": {"j": {"tuned": "well put"}},
        "pairs": {"j": {"winner": "tie"}},
    }
    assert third == {"id": 2, "scores": {"j": {"tuned": None, "base": 30}}, "failed": {"j": {"tuned": "timeout"}}}
    assert second["scores"]["j"]["control other"] == 10 and fourth["scores"]["j"]["control other"] is None
    assert fourth["failed"]["j"] == {"control other": "unparsable"}
    json.dumps([first, second, third, fourth], allow_nan=False)


def test_liking_for_length():
    values, lengths = np.array([3.0, 1, 2, 9, 9, NAN]), [30, 10, 20, 80, 90, 500]
    rows, statistic = rank_correlation(values, lengths)
    assert statistic(rows.sum(0)) == pytest.approx(spearmanr(values[:5], lengths[:5]).statistic)
    rows, statistic = rank_correlation(np.array([5.0, 5, 5]), [1, 2, 3])
    assert statistic(rows.sum(0)) == 0
