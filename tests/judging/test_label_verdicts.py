import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support

from stages.common.files import read_json, read_rows, write_rows
from stages.judging.intervals import Bootstrap
from stages.judging.label_verdicts import LEAST, by_class, compare, figures
from tests import labelled, tiny

CLASSES = ["a", "b", "c"]


def sure(label: str, share: float = 1.0) -> dict:
    """An answer: `share` for the label, the rest dealt out evenly."""
    rest = (1 - share) / (len(CLASSES) - 1)
    shares = {label: share} | {other: rest for other in CLASSES if other != label}
    return {"label": label, "probabilities": shares}


def row(number: int, expected: str, **answers: dict) -> dict:
    return {"id": f"r#{number}", "task": "label", "text": "t", "expected": expected, "answers": answers}


def drawn(count: int = 40, classes: list[str] = CLASSES) -> list[dict]:
    """Rows whose shares are drawn at random."""
    dice, rows = np.random.default_rng(3), []
    for i in range(count):
        answers = {}
        for contestant in ("tuned", "majority", "tfidf"):
            shares = dict(zip(CLASSES, dice.dirichlet([1, 1, 1]).tolist(), strict=True))
            answers[contestant] = {"label": max(shares, key=shares.get), "probabilities": shares}
        rows.append(row(i, classes[int(dice.integers(len(classes)))], **answers))
    return rows


def values(rows: list[dict], contestant: str = "tuned", labels: list[str] = CLASSES) -> dict[str, float]:
    return {name: float(statistic(sums.sum(0))) for name, (sums, statistic) in figures(rows, contestant, labels).items()}


@pytest.mark.parametrize("classes", [CLASSES, ["a", "b"]], ids=["all", "one absent from test"])
def test_figures_are_those_of_scikit_learn(classes):
    rows = drawn(classes=classes)
    meant, answered = [row["expected"] for row in rows], [row["answers"]["tuned"]["label"] for row in rows]
    shares = [[row["answers"]["tuned"]["probabilities"][label] for label in CLASSES] for row in rows]
    assert set(answered) == set(CLASSES) and set(meant) == set(classes)
    figure_values = values(rows)
    assert figure_values["accuracy"] == pytest.approx(accuracy_score(meant, answered))
    # averaged over the labels that the test rows have
    assert figure_values["macro_f1"] == pytest.approx(f1_score(meant, answered, labels=classes, average="macro"))
    assert figure_values["log_loss"] == pytest.approx(log_loss(meant, shares, labels=CLASSES))
    table = by_class(rows, "tuned", CLASSES)
    expected = precision_recall_fscore_support(meant, answered, labels=CLASSES, zero_division=0)
    for i, label in enumerate(CLASSES):
        assert list(table[label].values()) == pytest.approx([column[i] for column in expected])


def test_calibration_error_by_its_definition():
    rows = [row(0, "a", tuned=sure("a", 0.95)), row(1, "b", tuned=sure("a", 0.97)), row(2, "b", tuned=sure("b", 0.52))]
    rows.append(row(3, "c", tuned=sure("c", 1.0)))
    # [0.5, 0.6): one row, right; [0.9, 1]: three rows, two right
    expected = abs(1 - 0.52) / 4 + 3 / 4 * abs(2 / 3 - (0.95 + 0.97 + 1.0) / 3)
    assert values(rows)["calibration_error"] == pytest.approx(expected)


def test_calibration_error_against_a_loop_over_bins():
    rows = drawn()
    stated = np.array([max(row["answers"]["tuned"]["probabilities"].values()) for row in rows])
    right = np.array([row["answers"]["tuned"]["label"] == row["expected"] for row in rows])
    total = 0.0
    for low in range(10):
        inside = (stated >= low / 10) & (stated < (low + 1) / 10)
        total += abs(right[inside].sum() - stated[inside].sum()) / len(rows)
    assert values(rows)["calibration_error"] == pytest.approx(total)


def test_perfect_and_worst():
    perfect = [row(i, label, tuned=sure(label)) for i, label in enumerate("abcab")]
    assert values(perfect) == {"accuracy": 1, "macro_f1": 1, "log_loss": 0, "calibration_error": 0}
    worst = [row(i, label, tuned=sure("abc"["abc".index(label) - 1])) for i, label in enumerate("abcab")]
    figure_values = values(worst)
    assert (figure_values["accuracy"], figure_values["macro_f1"], figure_values["calibration_error"]) == (0, 0, 1)
    assert figure_values["log_loss"] == pytest.approx(-np.log(LEAST))  # finite, though the right label was ruled out


def test_a_label_that_an_answer_does_not_know_has_no_share():
    only = {"label": "a", "probabilities": {"a": 1.0}}
    assert values([row(0, "c", tuned=only)])["log_loss"] == pytest.approx(-np.log(LEAST))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.floats(0.34, 1)), min_size=1, max_size=20))
def test_figures_stay_in_their_bounds(triples):
    rows = [row(i, expected, tuned=sure(label, share)) for i, (expected, label, share) in enumerate(triples)]
    figure_values = values(rows)
    assert all(0 <= figure_values[name] <= 1 + 1e-12 for name in ("accuracy", "macro_f1", "calibration_error"))
    assert 0 <= figure_values["log_loss"] <= -np.log(LEAST)
    assert (
        (figure_values["macro_f1"] == 1)
        == (figure_values["accuracy"] == 1)
        == all(expected == label for expected, label, _ in triples)
    )


def test_intervals_and_the_paired_gain_over_the_better_rival():
    rows = drawn()
    for answer_row in rows[:30]:
        answer_row["answers"]["tuned"] = sure(answer_row["expected"], 0.9)
    by_contestant = {contestant: figures(rows, contestant, CLASSES) for contestant in ("tuned", "majority", "tfidf")}
    bootstrap = Bootstrap(len(rows), 300, 0.95, 1)
    result = compare(by_contestant, bootstrap)
    for contestant in ("tuned", "majority", "tfidf", "gain"):
        for interval in result[contestant].values():
            assert interval["low"] <= interval["value"] <= interval["high"] and interval["low"] < interval["high"]
    for name, pick in (("accuracy", max), ("macro_f1", max), ("log_loss", min), ("calibration_error", min)):
        over = pick(("majority", "tfidf"), key=lambda contestant, name=name: result[contestant][name]["value"])
        gain = result["gain"][name]
        assert gain["over"] == over
        assert gain["value"] == pytest.approx(result["tuned"][name]["value"] - result[over][name]["value"])
    over, right = result["gain"]["accuracy"]["over"], {}
    for contestant in ("tuned", over):
        right[contestant] = np.array([row["answers"][contestant]["label"] == row["expected"] for row in rows], float)
    means = (bootstrap.counts @ (right["tuned"] - right[over])) / len(rows)
    bounds = np.percentile(means, [2.5, 97.5])
    assert [result["gain"]["accuracy"][key] for key in ("low", "high")] == pytest.approx(bounds.tolist())


def test_a_tie_of_the_rivals_and_the_same_answers_gain_nothing():
    rows = [
        row(i, label, tuned=sure("a", 0.8), majority=sure("a", 0.8), tfidf=sure("a", 0.8)) for i, label in enumerate("aabc")
    ]
    result = compare(
        {contestant: figures(rows, contestant, CLASSES) for contestant in rows[0]["answers"]}, Bootstrap(4, 100, 0.95, 1)
    )
    assert {"accuracy", "macro_f1"} <= result["gain"].keys()
    for gain in result["gain"].values():
        assert gain == {"over": "majority", "value": 0, "low": 0, "high": 0}


def test_what_is_written(tmp_path):
    rows = drawn(12, ["a", "b"])
    write_rows(tmp_path / "answers.jsonl", rows)
    verdicts, metrics, details, table = labelled.judged(tmp_path, tmp_path / "answers.jsonl")
    written = read_json(details)
    assert written["rows"] == 12 and set(written["classes"]) == {"tuned", "majority", "tfidf"}
    assert set(written["classes"]["tuned"]) == set(CLASSES) and written["classes"]["tuned"]["c"]["rows"] == 0
    assert set(read_json(metrics)) == {"accuracy", "macro_f1", "calibration_error"}
    for name, headline in read_json(metrics).items():
        gain = written["gain"][name]
        assert headline == {
            "tuned": written["tuned"][name]["value"],
            "gain": gain["value"],
            "low": gain["low"],
            "high": gain["high"],
        }
    right = [
        {contestant: int(a["label"] == answer_row["expected"]) for contestant, a in answer_row["answers"].items()}
        for answer_row in rows
    ]
    expected = [{"id": answer_row["id"], "scores": {"right": of}} for answer_row, of in zip(rows, right, strict=True)]
    assert list(read_rows(verdicts)) == expected
    with open(table, newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["id", "actual", "predicted", "probability", "majority", "tfidf"]
    for line, answer_row in zip(lines, rows, strict=True):
        labels = {contestant: answer["label"] for contestant, answer in answer_row["answers"].items()}
        assert (line["id"], line["actual"], line["predicted"]) == (answer_row["id"], answer_row["expected"], labels["tuned"])
        assert (line["majority"], line["tfidf"]) == (labels["majority"], labels["tfidf"])
        assert float(line["probability"]) == pytest.approx(
            max(answer_row["answers"]["tuned"]["probabilities"].values()), rel=1e-3
        )


def test_a_parent_is_judged_too_and_is_no_rival(tmp_path):
    rows = drawn(12)
    for answer_row in rows:
        answer_row["answers"]["parent"] = sure(answer_row["expected"])
    write_rows(tmp_path / "answers.jsonl", rows)
    written = read_json(labelled.judged(tmp_path, tmp_path / "answers.jsonl")[2])
    assert written["parent"]["accuracy"]["value"] == 1
    assert {gain["over"] for gain in written["gain"].values()} <= {"majority", "tfidf"}


def test_a_classifier_from_its_answers_to_its_figures_the_same_bytes_twice(tmp_path):
    formatted, base = labelled.formatted(tmp_path / "formatted"), tiny.encoder(tmp_path / "base")
    model = labelled.tuned(formatted, base, tmp_path / "tuned")
    rows = labelled.answer(tmp_path, formatted, model, base, base)
    first = tiny.contents(*(outs := labelled.judged(tmp_path, tmp_path / "answers.jsonl")))
    right = [answer_row["answers"]["tuned"]["label"] == answer_row["expected"] for answer_row in rows]
    assert read_json(outs[1])["accuracy"]["tuned"] == pytest.approx(np.mean(right), abs=1e-6)
    assert tiny.contents(*labelled.judged(tmp_path, tmp_path / "answers.jsonl")) == first
    assert tiny.contents(*labelled.judged(tmp_path, tmp_path / "answers.jsonl", seed=2)) != first


def test_texts_without_a_word_are_compared_by_characters_and_the_details_say_so(tmp_path):
    formatted = labelled.formatted(tmp_path / "formatted")
    tiny.encoder(tmp_path / "base")
    for words in (True, False):
        if not words:
            for part, count, first in (("train", 24, 0), ("validation", 6, 24), ("test", 9, 30)):
                rows = labelled.rows(count, first)
                rows = [row | {"text": f"{row['place'] % 10} {'+-*'[row['place'] % 3]} {row['place'] % 7}"} for row in rows]
                write_rows(formatted / part / "000.jsonl", rows)
        model = labelled.tuned(formatted, tmp_path / "base", tmp_path / f"model_{words}", epochs=1)
        rows = labelled.answer(tmp_path, formatted, model, tmp_path / "base", tmp_path / "base")
        _, _, details, _ = labelled.judged(tmp_path, tmp_path / "answers.jsonl")
        said = read_json(details).get("notes", {})
        assert ["reads" in row["answers"]["tfidf"] for row in rows] == [not words] * 9
        assert "single characters" in said["tfidf"] if not words else said == {}
