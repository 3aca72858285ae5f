import csv

import pandas
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.schema_sources import Csv
from stages.sources import SourceFile, rows_of
from tests.data_helpers import read_file


def read_csv(tmp_path, data: bytes | str, encoding: str = "utf-8") -> list[dict]:
    (tmp_path / "f.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    return read_file("csv", tmp_path / "f.csv", encoding)


def test_csv_quotes_commas_and_line_ends_inside_fields(tmp_path):
    rows = read_csv(tmp_path, 'a,b\r\n"x, ""y""","1\r\n2"\r\n\r\n ,"\n"\r\n')
    assert rows == [{"a": 'x, "y"', "b": "1\r\n2"}, {"a": " ", "b": "\n"}]


def test_csv_a_bare_carriage_return_inside_quotes_stays(tmp_path):
    assert read_csv(tmp_path, 'a,b\n"x\ry",2\n3,4\n') == [{"a": "x\ry", "b": "2"}, {"a": "3", "b": "4"}]


def test_csv_without_a_last_line_end_or_with_old_ones(tmp_path):
    assert read_csv(tmp_path, "a,b\n1,2") == read_csv(tmp_path, "a,b\r1,2\r") == [{"a": "1", "b": "2"}]


def test_csv_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert read_csv(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n") == [{"a": "1", "b": "2"}]


def test_csv_in_another_encoding(tmp_path):
    assert read_csv(tmp_path, "a\né\n".encode("latin-1"), "latin-1") == [{"a": "é"}]
    assert read_csv(tmp_path, "a\né\n".encode("utf-16"), "utf-16") == [{"a": "é"}]


def test_csv_a_long_field_is_read(tmp_path):
    assert read_csv(tmp_path, f"a\n{'x' * 200_000}\n") == [{"a": "x" * 200_000}]  # the module's own limit is 131,072


def test_csv_columns_without_a_name_may_be_several(tmp_path):
    assert read_csv(tmp_path, ",a,\n0,1,\n") == [{"": "", "a": "1"}]


def test_csv_a_header_alone_or_nothing_has_no_rows(tmp_path):
    assert read_csv(tmp_path, "a,b\n") == read_csv(tmp_path, "") == []


@pytest.mark.parametrize(
    ("text", "rows", "line"),
    [
        ("a,b\n1,2\n1,2,3\n4,5\n", 2, "line 3: 3 fields, not 2: ['1', '2', '3']"),
        ("a,b\n1,2\n1\n4,5\n", 2, "line 3: 1 fields, not 2: ['1']"),
        ('a,b\n"1\n2",3\n4,5,6\n7,8\n', 2, "line 4: 3 fields, not 2: ['4', '5', '6']"),
        ('a,b\n1,"2\n3,4\n5,6\n', 2, "line 2: unexpected end of data"),  # the quote that never closes takes no other row along
        ('a,b\n1,"2\n3,"4"\n5,6\n', 2, "line 2: ',' expected after"),
        ('a,b\n1,"2"3\n4,5\n', 1, "line 2: ',' expected after"),
        ("a;b\n1,5;2\n3;4;5\n6;7\n", 2, "line 3: 3 fields, not 2: ['3', '4', '5']"),
    ],
)
def test_csv_a_bad_line_is_left_out_and_named(tmp_path, text, rows, line):
    (tmp_path / "f.csv").write_text(text, newline="")
    file = SourceFile(tmp_path / "f.csv")
    assert len(list(rows_of(file, "csv"))) == rows
    assert file.bad_lines.count == 1
    assert file.bad_lines.first[0].startswith(line)


def test_csv_more_bad_lines_than_rows_are_an_error_that_shows_them(tmp_path):
    with pytest.raises(StageError, match="2 bad lines and 1 rows; line 3: 3 fields, not 2"):
        read_csv(tmp_path, "a,b\n1,2\n1,2,3\n1,2,3,4\n")


def test_csv_columns_named_twice_are_refused(tmp_path):
    with pytest.raises(StageError, match=r"f\.csv line 1\n[^$]*columns named twice: a"):
        read_csv(tmp_path, "a,b,a\n1,2,3\n")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n0,1,2\n1,3,4\n", [{"": "0", "a": "1", "b": "2"}, {"": "1", "a": "3", "b": "4"}]),  # the rows' numbers
        ("a,b\n1,2,\n3,4,\n", [{"a": "1", "b": "2", "": ""}, {"a": "3", "b": "4", "": ""}]),  # a delimiter ends each line
        ("a,b,\n1,2\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (",a,b\n1,2\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("a,b,c\n1,2\n3,4\n", [{"a": "1", "b": "2", "c": ""}, {"a": "3", "b": "4", "c": ""}]),
        ("text\nHello, world\nno\n", [{"text": "Hello, world"}, {"text": "no"}]),  # one column, commas in it
        ("sep=;\na;b\n1;2\n", [{"a": "1", "b": "2"}]),
        ("a|b\n1, 2|3\n", [{"a": "1, 2", "b": "3"}]),
        ('a,b\n"x \\"y\\", z",1\n"\\"",2\n', [{"a": 'x "y", z', "b": "1"}, {"a": '"', "b": "2"}]),
        ("a,b\n'x, y',1\n'z',2\n", [{"a": "x, y", "b": "1"}, {"a": "z", "b": "2"}]),
        ('a,b\n5" pipe,1\nthe "long" one,2\n', [{"a": '5" pipe', "b": "1"}, {"a": 'the "long" one', "b": "2"}]),
        ("a,b\nx \ry,1\nz,2\n", [{"a": "x \ry", "b": "1"}, {"a": "z", "b": "2"}]),  # a bare return outside quotes
    ],
)
def test_csv_as_others_write_it(tmp_path, text, rows):
    assert read_csv(tmp_path, text) == rows


def test_csv_a_header_that_cannot_be_set_right_is_refused(tmp_path):
    with pytest.raises(StageError, match="2 names over records of 3 fields"):
        read_csv(tmp_path, "text,label\nHello, world,pos\nBye, moon,neg\n")


def test_csv_a_delimiter_can_be_named(tmp_path):
    (tmp_path / "f.csv").write_text("a:b\n1,2:3\n")
    assert read_file(Csv(kind="csv", delimiter=":"), tmp_path / "f.csv") == [{"a": "1,2", "b": "3"}]


# text that survives a change of encodings and has no line ends that CSV would have to guess at
cell = st.text(st.characters(codec="utf-8", exclude_categories=["C"]) | st.sampled_from(list("\n,;\t|\"'")), max_size=12)


@given(
    rows=st.lists(st.tuples(cell, cell, cell), min_size=2, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_csv_of_any_dialect_comes_back_and_as_pandas_reads_it(tmp_path_factory, rows, delimiter, quoting, end, encoding):
    several = (sum(field.count("\n") for field in row) and sum(field.count(delimiter) for field in row) > 1 for row in rows)
    assume(not any(several))  # each line could be a record: these are told apart below
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerows([("one", "two", "three"), *rows])
    expected = [dict(zip(("one", "two", "three"), row, strict=True)) for row in rows]
    source = SourceFile(path, encoding="auto")
    assert list(rows_of(source, Csv(kind="csv", delimiter=delimiter))) == expected
    frame = pandas.read_csv(path, sep=delimiter, encoding=encoding, dtype=str, keep_default_na=False, skip_blank_lines=False)
    assert frame.to_dict("records") == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(rows=st.lists(st.tuples(st.text("abé ,.;|!", max_size=12), st.text("xyz", min_size=1)), min_size=4, max_size=8))
def test_csv_the_delimiter_is_found_out(tmp_path_factory, delimiter, rows):
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("question", "label"), *rows])
    assert [(row["question"], row["label"]) for row in read_file("csv", path)] == rows


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Où est l’été ? Là-bas, à Noël — 12 €", "cp1252"),
        ("Größe, Straße, Übung", "latin-1"),
        ("Где находится ближайшая больница в этом городе?", "cp1251"),
        ("これは日本語の文章です。品質を確認してください。", "shift_jis"),
        ("plain text, no more", "utf-16-le"),
        ("plain text, no more", "utf-16-be"),
        ("é", "utf-16"),
        ("é", "utf-8-sig"),
    ],
)
def test_csv_the_encoding_is_found_out(tmp_path, text, encoding):
    (tmp_path / "f.csv").write_bytes(f'a\n"{text}"\n'.encode(encoding))
    assert read_csv(tmp_path, f'a\n"{text}"\n'.encode(encoding), "auto") == [{"a": text}]


def test_files_of_one_glob_may_have_other_columns(tmp_path):
    (tmp_path / "one.csv").write_text(",Review,Rating\n0,good,5\n")
    (tmp_path / "two.csv").write_text("Rating;Title;Review\n4;t;fine, thanks\n")
    assert [row["Review"] for name in ("one.csv", "two.csv") for row in read_file("csv", tmp_path / name)] == [
        "good",
        "fine, thanks",
    ]


def test_csv_spaces_before_a_quote_are_no_part_of_the_field(tmp_path):
    text = 'question, answer\nWhat is a?, "A letter, the first"\n"What, is b?", "A letter"\n'
    assert [row["answer"] for row in read_csv(tmp_path, text)] == ["A letter, the first", "A letter"]


def test_csv_a_comma_and_a_quote_inside_a_field_stay(tmp_path):
    text = 'q,a\nx,"He said, ""yes"" and, ""no"""\ny, z\n'
    assert [row["a"] for row in read_csv(tmp_path, text)] == ['He said, "yes" and, "no"', " z"]


def test_csv_the_header_of_a_second_file_is_no_row(tmp_path):
    (tmp_path / "f.csv").write_bytes("\ufeffq,a\n1,2\n\ufeffq,a\n3,4\nq,b\n".encode())
    file = SourceFile(tmp_path / "f.csv")
    assert list(rows_of(file, "csv")) == [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}, {"q": "q", "a": "b"}]
    assert file.bad_lines.first == ["line 3: the names of the columns once more"]


def test_csv_two_stray_quotes_take_no_records_along_in_silence(tmp_path):
    (tmp_path / "f.csv").write_text('q,a\n1,"one\n2,two\n3,three"\n4,four\n5,five\n')
    file = SourceFile(tmp_path / "f.csv")
    assert [row["q"] for row in rows_of(file, "csv")] == ["4", "5"]
    assert file.bad_lines.first[0].startswith("line 2: quotes around 3 lines, each of which looks like a record")


@pytest.mark.parametrize(
    "answer",
    [
        "Roses are red, I say,\nviolets blue, as they,\nsugar is sweet, today.",
        "name,age\nAda,36\nAlan,41",
        "one\ntwo, three",
        "1,5 kg\n2,5 kg\n3 kg",
    ],
)
def test_csv_lines_inside_quotes_that_are_no_records_stay(tmp_path, answer):
    rows = [{"q": f"Question {i}", "a": answer} for i in range(3)]
    with open(tmp_path / "f.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["q", "a"])
        writer.writeheader()
        writer.writerows(rows)
    assert read_file("csv", tmp_path / "f.csv") == rows


def test_csv_a_text_of_two_lines_with_commas_in_its_numbers_stays(tmp_path):
    text = 'id,text,label\n1,"costs 1,234\nand 2,345 more",x\n2,"costs little",y\n'
    assert [row["text"] for row in read_csv(tmp_path, text)] == ["costs 1,234\nand 2,345 more", "costs little"]
