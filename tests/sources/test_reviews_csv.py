import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from tests.data_helpers import ROOT, read_file

HEADER = ",Review_Date,Author_Name,Vehicle_Title,Review_Title,Review,Rating"
GOOD = '0, on 08/19/18 17:42 PM (PDT),Ann ,2018 Ford Escape,Title," The brakes, ""new""",4.5'


def read(tmp_path, text: str) -> list[dict]:
    path = tmp_path / "reviews.csv"
    path.write_bytes(text.encode())
    return read_file("reviews_csv", path, "utf-8")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_record_without_its_author(tmp_path, end):
    (row,) = read(tmp_path, end.join([HEADER, GOOD, ""]))
    assert row == {
        "date": " on 08/19/18 17:42 PM (PDT)",
        "vehicle": "2018 Ford Escape",
        "title": "Title",
        "review": ' The brakes, "new"',
        "rating": 4.5,
        "problem": "",
        "note": "",
    }


def told(tmp_path, record: str, header: str = HEADER) -> tuple[str, str]:
    """Problem and note of a record that stands between two good ones."""
    good = GOOD + "," * (header.count(",") - HEADER.count(","))
    rows = read(tmp_path, "\n".join([header, good, record, good, ""]))
    assert [row["problem"] for row in rows[::2]] == ["", ""]
    assert len(rows) == 3
    return rows[1]["problem"], rows[1]["note"]


START = "1, on 01/02/18 10:00 AM (PST),Bob ,2018 Kia Rio"


@pytest.mark.parametrize(
    ("record", "problem", "note"),
    [
        (f"{START},T, text,five stars", "", "rating 'five stars' read as 5"),
        (f"{START},T, text,4.5 stars", "", "rating '4.5 stars' read as 4.5"),
        (f"{START},T, text,", "", "no rating"),
        (f"{START},T, text,9", "", "rating '9'"),
        (f"{START},T, text,so so", "", "rating 'so so'"),
        (f"{START},T, ,5", "empty review", ""),
        (f"{START},T, NA,5", "empty review; 'NA'", ""),
        (f"{START}, text,5", "shifted columns; 6 fields, the header has 7", "no rating"),
        (f"{START},T, text,5,", "shifted columns; 8 fields, the header has 7", ""),
        ("1, on 01/02/18 10:00 AM,2018 Kia Rio,T, text,4,", "shifted columns; Vehicle_Title holds 'T'", "no rating"),
        ("1,Bob,x,2018 Kia Rio,T, text,4", "shifted columns; Review_Date holds 'Bob'", ""),
        (f'{START},T," text never closed,4', "a quote never closes", "no rating"),
        (f'{START},T," two\nlines\rand more",4', "", ""),
    ],
)
def test_odd_records_are_named(tmp_path, record, problem, note):
    assert told(tmp_path, record) == (problem, note)


def test_a_trailing_column_that_holds_something(tmp_path):
    problem, _ = told(tmp_path, f"{START},T, small fix, long text,3", HEADER + ",")
    assert problem == "shifted columns; '3' after the last named one"


def test_line_ends_inside_fields_stay(tmp_path):
    rows = read(tmp_path, f'{HEADER}\r\n{START},T,"a \rb\r\nc\nd",4\r\n')
    assert [row["review"] for row in rows] == ["a \rb\nc\nd"]


def test_a_bare_return_outside_quotes_ends_no_record(tmp_path):
    rows = read(tmp_path, f"{HEADER}\n{START},T,a \rb,4\n{GOOD}\n")
    assert [row["review"] for row in rows] == ["a \rb", ' The brakes, "new"']


def test_other_columns_are_refused(tmp_path):
    with pytest.raises(StageError, match="reviews.csv line 1"):
        read(tmp_path, "a,b\n1,2\n")


def test_an_empty_file_has_no_rows(tmp_path):
    assert read(tmp_path, "") == read(tmp_path, HEADER + "\n") == []


field = st.text(st.characters(codec="utf-8", exclude_characters="\ufdd0\ufdd1\0"), max_size=12).filter(
    lambda text: "\r\n" not in text
)


@given(st.lists(st.tuples(field, field), max_size=6))
def test_well_formed_records_come_back_as_written(tmp_path_factory, pairs):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER.split(","))
    for number, (title, review) in enumerate(pairs):
        writer.writerow([number, " on 01/02/18 10:00 AM", "Ann", "2018 Kia Rio", title, f"x{review}.", "5"])
    rows = read(tmp_path_factory.mktemp("csv"), out.getvalue())
    assert [(row["title"], row["review"], row["problem"]) for row in rows] == [
        (title.replace("\r\n", "\n"), f"x{review}.", "") for title, review in pairs
    ]


@given(st.binary(max_size=200))
def test_any_bytes_after_the_header_give_rows_or_an_error_that_names_the_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "reviews.csv"
    path.write_bytes(HEADER.encode() + b"\n" + data)
    try:
        rows = read_file("reviews_csv", path, "latin-1")
    except StageError as error:
        assert "reviews.csv" in error.where
    else:
        assert all("Author_Name" not in row for row in rows)


def bad(path) -> tuple[int, dict[int, str]]:
    rows = read_file("reviews_csv", path, "utf-8")
    return len(rows), {number: row["problem"].partition(";")[0] for number, row in enumerate(rows, 1) if row["problem"]}


def test_the_corpus():
    bad_records = {
        path.stem.rpartition("_")[2]: bad(path) for path in (ROOT / "data/sources/car_reviews/reviews").glob("*.csv")
    }
    assert sum(count for count, _ in bad_records.values()) == 470
    assert {brand: problems for brand, (_, problems) in bad_records.items() if problems} == {
        "toyota": {22: "empty review"},
        "renault": {35: "empty review"},
        "kia": {43: "empty review"},
        "volkswagen": {32: "shifted columns"},
        "honda": {20: "shifted columns"},
    }


def test_the_real_files(real_data):
    empty = dict.fromkeys((284, 319, 322, 398, 689, 702), "empty review")
    assert bad(real_data / "car_reviews" / "Scraped_Car_Review_dodge.csv") == (1584, empty)
    tesla = {46: "shifted columns", 75: "shifted columns", 122: "empty review"}
    assert bad(real_data / "car_reviews" / "Scraped_Car_Review_tesla.csv") == (140, tesla)
