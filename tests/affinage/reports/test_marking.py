import csv
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from affinage.reports import marking
from affinage.reports.marking import COLUMNS, agreement, kappa, level, opinion, read_sheet, sheet, spearman, write_sheet
from affinage.reports.outputs import Revision
from affinage.reports.results import Results
from stages.common.errors import StageError
from tests.affinage.reports import made_up


def results(root: Path, **options) -> Results:
    return Results("model", Revision("workspace", made_up.write(root, **options)))


@pytest.fixture
def judged(tmp_path) -> Results:
    return results(tmp_path, count=30, texts=[*made_up.NASTY, "- a list", "-", ""])


def fill(path: Path, lines: list[dict], change) -> Path:
    """Write the lines to mark, each changed by `change(number, line)`."""
    for number, line in enumerate(lines):
        change(number, line)
    write_sheet(path, lines)
    return path


# the sheet ------------------------------------------------------------------------------------------------------------


def test_nothing_on_the_sheet_says_whose_an_answer_is(judged, tmp_path):
    lines = sheet(judged, "base", 30, seed=1)
    write_sheet(tmp_path / "marks.csv", lines)
    text = (tmp_path / "marks.csv").read_text(encoding="utf-8-sig")
    assert "tuned" not in text and "base" not in text and "embedded" not in text
    first = [line["answer_a"] == row.said("tuned") for line in lines for row in judged.rows if row.id == line["row"]]
    assert 5 < sum(first) < 25  # either may stand first
    assert [line["row"] for line in lines] != [row.id for row in judged.rows]


def test_a_seed_decides_the_sheet(judged):
    assert sheet(judged, "base", 10, 1) == sheet(judged, "base", 10, 1) != sheet(judged, "base", 10, 2)
    assert len(sheet(judged, "base", 10, 1)) == 10 and len(sheet(judged, "base", 999, 1)) == 30


def test_a_spreadsheet_computes_nothing(judged):
    for line in sheet(judged, "base", 30, 1):
        assert not any(text.startswith(("=", "+", "-", "@")) for text in line.values())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_answers_find_back_to_whose_they_are(judged, tmp_path, delimiter, encoding):
    lines = sheet(judged, "base", 30, 1)
    by_id = {row.id: row for row in judged.rows}
    for line in lines:
        tuned_first = line["answer_a"].lstrip("'") == by_id[line["row"]].said("tuned").lstrip("'")
        line["mark_a"], line["mark_b"] = ("5", "1") if tuned_first else ("1", "5")
        line["preferred"] = "A " if tuned_first else "b"
    with open(tmp_path / "marks.csv", "w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
        table.writeheader()
        table.writerows(lines)
    marked = read_sheet(tmp_path / "marks.csv", judged, "base")
    assert len(marked) == 30
    assert all(marks.marks == {"tuned": 5, "base": 1} and marks.preferred == "tuned" for marks in marked)


def test_what_is_left_empty_does_not_count(judged, tmp_path):
    def some(number, line):
        line.update([{"mark_a": "3"}, {"preferred": "tie"}, {"remark": "?"}][number % 3])

    marked = read_sheet(fill(tmp_path / "marks.csv", sheet(judged, "base", 9, 1), some), judged, "base")
    assert [(len(marks.marks), marks.preferred) for marks in marked] == [(1, None), (0, "tie")] * 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"mark_a": "6"}, "mark_a(.|\n)*'6'(.|\n)*from 1 to 5"),
        ({"mark_b": "good"}, "mark_b(.|\n)*'good'"),
        ({"mark_b": "3.5"}, "whole number"),
        ({"preferred": "c"}, "preferred(.|\n)*'c'(.|\n)*a, b, tie"),
        ({"row": "nowhere#1"}, "nowhere#1(.|\n)*no such test row"),
        ({"answer_a": "another answer"}, "another answer(.|\n)*what tuned or base answered(.|\n)*--rev"),
    ],
)
def test_errors_name_file_line_and_row(tmp_path, change, error):
    judged = results(tmp_path, count=4)
    path = tmp_path / "marks.csv"
    fill(path, sheet(judged, "base", 4, 1), lambda number, line: line.update(change if number == 2 else {"preferred": "a"}))
    with pytest.raises(StageError, match=f"marks.csv line 4, row (.|\n)*{error}"):
        read_sheet(path, judged, "base")


def test_files_that_are_no_sheet(judged, tmp_path):
    path = tmp_path / "marks.csv"
    with pytest.raises(StageError, match="no such file"):
        read_sheet(path, judged, "base")
    path.write_text("row,question\n1,2\n")
    with pytest.raises(StageError, match="no column expected, answer_a"):
        read_sheet(path, judged, "base")
    path.write_bytes("row,réponse\n".encode("latin-1"))
    with pytest.raises(StageError, match="not UTF-8"):
        read_sheet(path, judged, "base")
    write_sheet(path, sheet(judged, "base", 5, 1))
    with pytest.raises(StageError, match="0 of 5 rows filled in"):
        read_sheet(path, judged, "base")


# agreement ------------------------------------------------------------------------------------------------------------

PAIRS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40)


@given(PAIRS, st.booleans())
def test_kappa_is_that_of_scikit_learn(pairs, quadratic):
    table = marking._counts([[(a - 1, b - 1)] for a, b in pairs], 5)
    first, second = zip(*pairs, strict=True)
    mine = float(kappa(table.sum(0), quadratic))
    if len(set(first) | set(second)) == 1:
        assert mine == 0  # scikit-learn: undefined
    else:
        weights = "quadratic" if quadratic else None
        assert mine == pytest.approx(cohen_kappa_score(first, second, weights=weights, labels=[1, 2, 3, 4, 5]))


@given(PAIRS)
def test_spearman_is_that_of_scipy(pairs):
    first, second = np.array(pairs, float).T
    expected = spearmanr(first, second).statistic if len(set(first)) > 1 < len(set(second)) else 0.0
    assert spearman(first, second) == pytest.approx(expected)


def test_levels():
    assert [level(score, 0, 100) for score in (0, 19.9, 20, 50, 80, 100)] == [1, 1, 2, 3, 5, 5]
    assert [level(score, 1, 5) for score in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, 5]


def as_judged(judged: Results):
    """Marks that say what the judge says."""

    def change(number, line):
        row = next(row for row in judged.rows if row.id == line["row"])
        for side in "ab":
            contestant = "tuned" if line[f"answer_{side}"] == row.said("tuned") else "base"
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
    assert {marking._prefers(row, judged, "base", "embedded") for row in judged.rows} == {"base"}
    assert "tuned" in {marking._prefers(row, judged, "base_chat", "embedded") for row in judged.rows}  # not compared: by score


def test_what_people_say(tmp_path):
    judged = results(tmp_path, count=4)

    def tuned_wins(_, line):
        row = next(row for row in judged.rows if row.id == line["row"])
        side = "a" if line["answer_a"] == row.said("tuned") else "b"
        line.update({f"mark_{side}": "4", f"mark_{'ab'.replace(side, '')}": "2", "preferred": side})

    marked = read_sheet(fill(tmp_path / "m.csv", sheet(judged, "base", 4, 1), tuned_wins), judged, "base")
    said = opinion(marked, judged, "base")
    assert [said[name]["value"] for name in ("tuned", "base", "difference", "preferred")] == [4, 2, 2, 1]
