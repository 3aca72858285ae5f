import csv

import pytest

from affinage.reports.marking import COLUMNS, read_sheet, sheet, write_sheet
from affinage.reports.results import Results
from stages.common.errors import StageError
from tests.affinage.reports import made_up
from tests.affinage.reports.made_up import fill, results


@pytest.fixture
def judged(tmp_path) -> Results:
    return results(tmp_path, count=30, texts=[*made_up.NASTY, "- a list", "-", ""])


def test_nothing_on_the_sheet_says_whose_an_answer_is(judged, tmp_path):
    lines = sheet(judged, "base", 30, seed=1)
    write_sheet(tmp_path / "marks.csv", lines)
    text = (tmp_path / "marks.csv").read_text(encoding="utf-8-sig")
    assert "tuned" not in text and "base" not in text and "embedded" not in text
    first = [line["answer_a"] == row.text_of("tuned") for line in lines for row in judged.rows if row.id == line["row"]]
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
        tuned_first = line["answer_a"].lstrip("'") == by_id[line["row"]].text_of("tuned").lstrip("'")
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
