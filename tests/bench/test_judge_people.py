import dataclasses
import json
import sys

import numpy as np
import pytest

from bench import fit_judge, judge, judge_people
from bench.agreement import read_sets
from stages.judging.signals import SHARES
from tests import tiny
from tests.bench import judged


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / "scratch"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny.encoder(tmp_path_factory.mktemp("models") / "encoder")


def test_every_judge_stands_beside_every_other(tmp_path, encoder, capsys):
    folder = judged.write(tmp_path / "sets")
    judge_people.main([str(folder), "--encoder", str(encoder), "--resamples", "20"])
    printed = capsys.readouterr().out
    assert printed.startswith("liveqa: 12 answers to 4 questions; mohler: 12 answers to 4 questions")
    for name in (
        "content",
        "content, held out",
        "chrF",
        "ROUGE-L",
        "token F1",
        "TF-IDF",
        "cosine (encoder)",
        "BERTScore (encoder)",
    ):
        assert printed.count(f"\n| {name} |") == 8, name
    assert "| spearman | liveqa | mohler | pandalm | mean |" in printed and "| area |" in printed
    assert all("–" in line for line in printed.split("| area |")[1].splitlines()[2:10])  # pandalm's people only compared


def test_some_rows_of_each_set_are_whole_questions(tmp_path):
    _, rows = read_sets(judged.write(tmp_path / "sets"))
    part = judge_people.chosen(rows, 6)
    assert [len(entry.marks) for entry in part.by_set()] == [6, 6, 6]
    assert all((part.groups == group).sum() == 3 for group in set(part.groups))
    assert judge_people.chosen(rows, 0) is rows


def agreeing(rows, dice: np.random.Generator) -> np.ndarray:
    """Made-up signals [n, len(NAMES)] that agree with the marks, less what is known. Bad answers say the opposite."""
    known = dice.normal(0, 1, len(rows.marks))
    said = [rows.marks + 0.2 * known + dice.normal(0, 0.1, len(known)) for _ in SHARES]
    return np.stack([*said, known, rows.marks == 0], 1)


def test_one_set_with_lenient_graders_moves_no_score_of_the_others(tmp_path):
    _, rows = read_sets(judged.write(tmp_path / "sets", questions=9))
    signals = agreeing(rows, np.random.default_rng(1))
    lenient = rows.sets == "mohler"
    marks = np.where(lenient, 0.7 + 0.3 * rows.marks, rows.marks)
    scores = fit_judge.predict(fit_judge.fit(signals, dataclasses.replace(rows, marks=marks)), signals)
    assert (
        abs(scores[~lenient].mean() - 100 * marks[~lenient].mean()) < 5 < 100 * marks[lenient].mean() - scores[lenient].mean()
    )


def test_signals_keep_their_shares_and_what_is_for_testing_is_left_out(tmp_path):
    _, rows = read_sets(judged.write(tmp_path / "sets", questions=9))
    dice = np.random.default_rng(1)
    signals = agreeing(rows, dice)
    fitted = fit_judge.fit(signals, rows)
    assert np.ptp(fitted["weight"][:-2] / [*SHARES.values()]) < 1e-9 and max(fitted["weight"][-2:]) < 0 < fitted["weight"][0]
    other_unit = fit_judge.predict(fit_judge.fit(signals * [100, 1, 1, 1, 1, 1], rows), signals * [100, 1, 1, 1, 1, 1])
    scores = fit_judge.predict(fitted, signals)
    np.testing.assert_allclose(other_unit, scores, atol=0.1)
    assert np.corrcoef(scores, rows.marks)[0, 1] > 0.9 and ((scores > 0) & (scores < 100)).all()
    changed = signals + 5 * (rows.sets == "pandalm")[:, None] * dice.normal(0, 1, signals.shape)
    same = rows.sets != "pandalm"
    assert np.array_equal(fit_judge.held_out(signals, rows)[same], fit_judge.held_out(changed, rows)[same])


def test_weights_are_written_with_their_provenance(tmp_path, encoder, monkeypatch, capsys):
    folder = judged.write(tmp_path / "sets", questions=8)
    monkeypatch.setattr(fit_judge, "WEIGHTS", tmp_path / "content.json")
    monkeypatch.setattr(fit_judge, "SYNTAX_WEIGHTS", tmp_path / "syntax.json")
    monkeypatch.setattr(sys, "argv", ["fit_judge.py", str(folder), "--encoder", str(encoder), "--write"])
    fit_judge.main()
    content, syntax = (json.loads((tmp_path / name).read_text()) for name in ("content.json", "syntax.json"))
    assert content["fitted_on"]["rows"] == {"liveqa": 24, "mohler": 24} and "pandalm" in content["held_out_spearman"]
    assert set(content["fitted_on"]["sha256"]) == {"liveqa_dev.jsonl", "mohler_dev.jsonl"}
    assert content["encoder"]["name"] == "encoder" and len(content["encoder"]["sha256"]) == 64
    assert len(syntax["weight"]) == tiny.encoder.__globals__["_SMALL"]["hidden_size"] and "mohler" in capsys.readouterr().out


def test_published_answers_are_judged(tmp_path, encoder, capsys):
    rows = [
        {"instruction": row["messages"][0]["content"], "input": "", "output": row["completion"]}
        | {"first": row["completion"], "second": "The sea is deep."}
        for row in tiny.rows(4)
    ]
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    judge.main([str(tmp_path / "answers.json"), "--encoder", str(encoder)])
    printed = capsys.readouterr().out
    assert "4 rows, answers of first and second" in printed and "in 4 of 4 rows (100.0%)" in printed
    assert "4 exact answers against 4 others: area under the curve 1.000" in printed
