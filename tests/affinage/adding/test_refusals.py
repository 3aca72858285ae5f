"""What cannot be added, or not without a word more: each is said so that a person knows what to do, and nothing is written."""

import io
import json
import zipfile
from pathlib import Path

import openpyxl
import pytest

from affinage.adding import deciding
from stages.common.errors import StageError
from stages.common.params import read
from tests.affinage.adding.place import add
from tests.affinage.adding.test_to_formatted_rows import lines, plain
from tests.data_helpers import names

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(20)


def locked() -> bytes:
    """A zip archive whose member says that it has a password."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "question,answer\nWho?,I.\n")
    data = bytearray(packed.getvalue())
    data[data.find(b"PK\x03\x04") + 6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    "file, content, words",
    [
        ("a.csv", b"", "an empty file"),
        ("a.txt", b" \n\n", "nothing but white space"),
        ("a.csv", bytes(range(256)) * 50, "a binary file"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(20), "image"),
        ("a.csv", PICTURE, "image"),
        ("a.pdf", b"%PDF-1.7 ", "PDF"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0" + bytes(20), "old Office file, or one with a password"),
        ("a.zip", locked(), "an archive with a password"),
        ("a.zip", b"PK\x03\x04 and no more", "a broken zip archive"),
        ("a.tar.gz", b"\x1f\x8b\x08 and no more", "a broken archive"),
        ("a.csv", b"question\nWho?\nWhere is it?\n", "one column alone"),
        ("a.csv", b"Who is it?,It is me.\nWhere is it?,It is here.\n", "the first row looks like data"),
        ("a.csv", b"one,two,three\na b,c d,e f\ng h,i j,k l\n", "no names or contents that tell"),
        ("a.txt", b"Clutch\nBrake\nSeat\n", "names alone"),
        ("a.json", b'{"question": 1}', "a JSON dict"),
        ("a.json", b'[{"question": "a", "answer": "b"},', "broken JSON"),
    ],
)
def test_a_file_that_cannot_be_added(here, outside, file, content, words):
    (outside / file).write_bytes(content)
    before = names(here)
    with pytest.raises(StageError) as error:
        add(outside / file)
    assert words in str(error.value)
    assert str(outside) in str(error.value)
    assert names(here) == before


def test_a_folder_of_images(here, outside):
    (outside / "a.png").write_bytes(PICTURE)
    (outside / "b.png").write_bytes(PICTURE)
    with pytest.raises(StageError, match="2 files .png: image"):
        add(outside)


def test_an_empty_folder_and_a_path_that_is_not_there(here, outside):
    with pytest.raises(StageError, match="an empty folder"):
        add(outside)
    plain(outside)
    with pytest.raises(StageError, match="no such file or folder[^$]*colours.csv"):
        add(outside / "colors.csv")


def test_a_folder_of_several_kinds_names_them(here, outside):
    plain(outside)
    (outside / "more.json").write_text("[]x")
    with pytest.raises(StageError, match="files of several kinds: 1 .csv, 1 .json"):
        add(outside)


def test_what_cannot_be_told_is_listed_as_options_that_work(here, outside):
    rows = [{"alpha": f"The thing {i}", "beta": f"It is long and has many words, number {i}."} for i in range(30)]
    (outside / "two.jsonl").write_text(lines(rows))
    with pytest.raises(StageError) as error:
        add(outside / "two.jsonl")
    assert '--question "alpha" --answer "beta"' in error.value.fix
    assert "beta                     30 of 30 rows" in error.value.found
    assert "30 rows: 30 kept" in add(outside / "two.jsonl", "--question", "alpha", "--answer", "beta")


def test_on_a_terminal_it_asks(here, outside, monkeypatch):
    rows = [{"alpha": f"The thing {i}", "beta": f"It is long and has many words, number {i}."} for i in range(30)]
    (outside / "two.jsonl").write_text(lines(rows))
    said = iter(["q", "What is {alpha}?", "beta"])
    monkeypatch.setattr(deciding, "is_terminal", lambda: True)
    monkeypatch.setattr(deciding.typer, "prompt", lambda *_, **__: next(said))
    assert "30 rows: 30 kept" in add(outside / "two.jsonl")
    columns = read(Path("params.yaml"))["datasets"]["two"]["scrape"]["sources"]["rows"]["columns"]
    assert columns == {"instruction": "What is {alpha}?", "response": "beta"}


@pytest.mark.parametrize(
    "options, words",
    [
        (["--question", "q"], "no column 'q'"),
        (["--as", "poems"], "no such kind of dataset"),
        (["--as", "classification"], "as classification it needs --text and --label"),
        (["--question", "question", "--label", "answer"], "one pair"),
        (["--model", "gpt9"], "no such base"),
        (["--model", "minilm"], "a base of architecture encoder"),
        (["--name", "Colours"], "not a usable name"),
        (["--rows", "data[*].qa"], "no row"),
    ],
)
def test_options_that_do_not_fit(here, outside, options, words):
    path, before = plain(outside), Path("params.yaml").read_bytes()
    if options[0] == "--rows":
        path = outside / "a.json"
        path.write_text(json.dumps({"rows": [{"question": "Who?", "answer": "I."}]}))
    with pytest.raises(StageError, match=words):
        add(path, *options)
    assert Path("params.yaml").read_bytes() == before
    assert not Path("data/sources/colours").exists()


def test_another_file_of_the_same_name_gets_a_name_of_its_own(here, outside):
    add(plain(outside))
    (outside / "more").mkdir()
    (outside / "more" / "colours.jsonl").write_text(lines([{"q": f"Who is {i}?", "a": f"Number {i}."} for i in range(20)]))
    assert "datasets.colours_2" in add(outside / "more" / "colours.jsonl")


def test_an_entry_that_was_edited_is_left_alone(here, outside):
    add(plain(outside))
    text = Path("params.yaml").read_text().replace("answer}, licence: not stated", "answer}, licence: MIT")
    Path("params.yaml").write_text(text)
    with pytest.raises(StageError, match="an entry for the same files, otherwise"):
        add(outside / "colours.csv")
    assert Path("params.yaml").read_text() == text


def test_a_column_that_some_rows_lack_is_not_taken_for_one_that_all_have(here, outside):
    rows = [
        {"text": f"The thing {i} is here.", "label": i % 2, **({"prompt": {"text": "x y"}} if i == 3 else {})}
        for i in range(30)
    ]
    (outside / "some.jsonl").write_text(lines(rows))
    assert "labels   2: 0 15, 1 15" in add(outside / "some.jsonl")


def test_one_archive_in_a_folder_is_opened(here, outside):
    with zipfile.ZipFile(outside / "rows.zip", "w") as archive:
        archive.writestr("a.jsonl", lines([{"question": f"What is {i}?", "answer": f"It is {i}."} for i in range(20)]))
    assert "20 rows: 20 kept" in add(outside)


def test_classes_of_two_rows_have_no_validation(here, outside):
    (outside / "few.jsonl").write_text(lines([{"text": f"The thing {i} is here.", "label": f"l{i % 2}"} for i in range(4)]))
    assert "split    2 train, 0 validation, 2 test" in add(outside / "few.jsonl")


@pytest.mark.parametrize("column", ["label", "kto_tag", "is_good"])
def test_answers_that_are_marked_as_bad_are_not_learned_in_silence(here, outside, column):
    rows = [{"prompt": f"What is thing {i}?", "completion": f"It is thing {i}.", column: bool(i % 2)} for i in range(12)]
    (outside / "kto.jsonl").write_text(lines(rows))
    with pytest.raises(StageError, match=f"{column} .true or false. seems to tell good answers from bad ones"):
        add(outside / "kto.jsonl")
    assert "12 kept" in add(outside / "kto.jsonl", "--question", "prompt", "--answer", "completion")


def test_broken_utf8_is_told_as_what_it_is(here, outside):
    (outside / "a.csv").write_bytes("question,answer\nWhat?,café\nWhy?,né".encode()[:-1])
    with pytest.raises(StageError, match=r"a\.csv line 3\n[^$]*bytes that are not UTF-8, in 1 of 2 lines"):
        add(outside / "a.csv")


def test_sheets_that_are_not_read_and_classes_that_look_alike_are_told(here, outside):
    book = openpyxl.Workbook()
    for name, sheet in (("rows", book.active), ("more", book.create_sheet("more"))):
        sheet.append(["text", "label"])
        for i in range(12):
            sheet.append([f"The {name} {i} are here.", f"{i % 2}" if i < 8 else f"{i % 2}.0"])
    book.save(outside / "two.xlsx")
    said = add(outside / "two.xlsx")
    assert "that are not read: more (--rows SHEET reads one)" in said and "these look like one class: '0', '0.0'" in said
    assert "The more 0 are here." in add(outside / "two.xlsx", "--rows", "more", "--name", "other")
