import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bench import agreement
from bench.agreement import Judged, read_sets
from tests.bench import judged

DICE = np.random.default_rng(2)
MARKS = DICE.integers(0, 4, 60) / 3
SCORES = 100 * np.clip(MARKS + DICE.normal(0, 0.4, 60), 0, 1)
GROUPS = np.repeat(np.arange(12), 5).astype(str)


def test_figures_are_those_of_the_libraries():
    assert agreement.spearman(SCORES, MARKS) == pytest.approx(spearmanr(SCORES, MARKS)[0])
    assert agreement.correlation(SCORES, MARKS) == pytest.approx(np.corrcoef(SCORES, MARKS)[0, 1])
    assert agreement.area(SCORES, (MARKS > 0.5).astype(float)) == pytest.approx(roc_auc_score(MARKS > 0.5, SCORES))


def test_preferences_are_counted_within_a_question():
    marks, scores = np.array([1.0, 0.0, 0.0, 1.0]), np.array([60.0, 40.0, 90.0, 90.0])
    assert agreement.preference(scores, marks, np.array(["a", "a", "b", "b"])) == 0.75  # one right, one tie
    assert np.isnan(agreement.preference(scores, np.ones(4), np.array(["a"] * 4)))


def test_a_calibrated_score_is_as_high_as_its_marks():
    assert agreement.calibration_error(100 * MARKS, MARKS) == pytest.approx(0, abs=1e-12)
    assert agreement.calibration_error(np.full(60, 100.0), np.zeros(60)) == 1
    assert agreement.top_less_bottom(100 * MARKS, MARKS) == pytest.approx(100)


def test_intervals_hold_the_value_and_resample_questions():
    rows = Judged(np.array(["s"] * 60), GROUPS, MARKS, (MARKS > 0.5).astype(float), [("q", "e", "a")] * 60)
    result = agreement.agreement(rows, SCORES, resamples=200)["s"]
    assert list(result) == list(agreement.FIGURES)
    assert all(entry["low"] - 0.03 <= entry["value"] <= entry["high"] + 0.03 for entry in result.values())
    alone = Judged(rows.sets, np.array(["a"] * 60), rows.marks, rows.right, rows.texts)
    spread = agreement.agreement(alone, SCORES, resamples=20)["s"]["spearman"]
    assert spread["low"] == pytest.approx(spread["high"])  # one question: nothing to resample


def test_sets_are_read_and_comparisons_left_out(tmp_path):
    files, result = read_sets(judged.write(tmp_path / "sets"))
    assert [file.name for file in files] == ["liveqa_dev.jsonl", "mohler_dev.jsonl", "pandalm_dev.jsonl"]
    assert [set(part.sets) for part in result.by_set()] == [{"liveqa"}, {"mohler"}, {"pandalm"}]
    assert len(result.marks) == 36 and np.isnan(result.right[-1]) and len(set(result.groups)) == 12


def test_a_folder_without_sets_and_a_row_without_a_mark_are_told(tmp_path):
    with pytest.raises(SystemExit, match="no judged answers"):
        read_sets(tmp_path)
    (tmp_path / "x.jsonl").write_text('{"answer": "a", "set": "x"}\n')
    with pytest.raises(SystemExit, match="line 1: no group, question, reference, human"):
        read_sets(tmp_path)
