"""Splits that files or a column give, and rows that belong together: what `affinage add` makes of them, and says."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affinage.adding import preview
from affinage.adding.dividing import parts_of
from stages.common.errors import StageError
from stages.common.params import read
from tests.affinage.adding.place import add, run
from tests.affinage.adding.test_to_formatted_rows import lines, table
from tests.data_helpers import jsonl


def asked(count: int, of: str, **more) -> list[dict]:
    return [{"question": f"What is {of} {i}?", "answer": f"It is number {i} of {of}."} | more for i in range(count)]


def split_of(name: str) -> dict:
    return read(Path("params.yaml"))["datasets"][name]["split"]


def files_of(name: str, part: str) -> set[str]:
    return {row["id"].partition("/")[2].rpartition("#")[0] for row in jsonl(Path("data") / name / "splits" / f"{part}.jsonl")}


def folder(outside: Path, **files: int) -> Path:
    (outside / "colours").mkdir()
    for name, count in files.items():
        (outside / "colours" / f"{name}.jsonl").write_text(lines(asked(count, name)))
    return outside / "colours"


def test_a_given_test_file_stays_the_test_rows(here, outside):
    said = add(folder(outside, train=40, test=12))
    assert "given split: test.jsonl: test; train.jsonl: train" in said
    assert "given    of the rows looked at: 12 test, 40 train" in said
    assert split_of("colours") == {"given": {"test": "test.jsonl"}, "test": 0.0}
    done = run("colours")
    assert (done["split"]["test"], done["split"]["train"] + done["split"]["validation"]) == (12, 40)
    assert files_of("colours", "test") == {"test.jsonl"}
    assert files_of("colours", "train") == files_of("colours", "validation") == {"train.jsonl"}


def test_a_given_split_of_which_the_first_rows_alone_are_looked_at(here, outside, monkeypatch):
    monkeypatch.setattr(preview, "SMALL", 0)
    monkeypatch.setattr(preview, "SAMPLE", 30)
    said = add(folder(outside, train=40, a_test=60))
    assert "given    of the rows looked at: 30 test; their division here is by hash, for not every part is among them" in said
    assert run("colours")["split"]["test"] == 60


def test_rows_of_a_given_test_file_that_repeat_others_are_counted(here, outside):
    at = folder(outside, a_train=40, b_test=12)
    with open(at / "b_test.jsonl", "a") as file:
        file.write(lines(asked(3, "a_train")))
    said = add(at)
    assert "left out 3 given test rows: they repeat rows of other files, or hold nothing to learn" in said


def test_given_validation_and_test_files_leave_the_rest_to_train(here, outside):
    add(folder(outside, a_train=40, b_dev=9, c_test=12))
    done = run("colours")
    assert [done["split"][part] for part in ("train", "validation", "test")] == [40, 9, 12]
    assert files_of("colours", "validation") == {"b_dev.jsonl"}


def test_folders_called_train_and_test_in_an_archive(here, outside):
    with zipfile.ZipFile(outside / "colours.zip", "w") as archive:
        for name in ("train/a", "train/b", "test/a", "test/b"):
            archive.writestr(f"data/{name}.jsonl", lines(asked(15, name)))
    assert "given split: data/test/a" in add(outside / "colours.zip").replace("colours.zip/", "")
    assert run("colours")["split"]["test"] == 30
    assert files_of("colours", "test") == {"colours.zip/data/test/a.jsonl", "colours.zip/data/test/b.jsonl"}


def test_classes_of_a_given_split_are_kept_apart(here, outside):
    (outside / "banks").mkdir()
    for name, count in (("train", 40), ("test", 8)):
        rows = [{"text": f"My card of {name} {i} is lost.", "category": f"card_{i % 4}"} for i in range(count)]
        (outside / "banks" / f"{name}.csv").write_text(table(rows))
    (outside / "banks" / "categories.json").write_text('["card_0"]')
    add(outside / "banks", "--model", "minilm")
    assert split_of("banks") == {"given": {"test": "test.csv"}, "stratify": "label", "test": 0.0}
    assert run("banks")["split"]["classes"] == {"train": 4, "validation": 4, "test": 4}


def test_by_hash_where_asked_is_said(here, outside):
    said = add(folder(outside, train=40, test=12), "--split", "hash")
    assert "--split hash: rows are divided by hash all the same; rows of the given test may be trained on" in said
    assert "given" not in split_of("colours")


def test_a_given_split_that_is_not_there(here, outside):
    with pytest.raises(StageError, match="no split in files or columns[^$]*--split hash"):
        add(folder(outside, red=40, blue=12), "--split", "given")
    with pytest.raises(StageError, match="no such way to divide"):
        add(outside / "colours", "--split", "random")


def test_files_that_happen_to_be_called_so_are_no_given_split(here, outside):
    said = add(folder(outside, blood_test=20, sight=20, hearing=20, smell=20))
    assert "1 of 4 files are called test or the like: no given split" in said
    assert "given" not in split_of("colours")


@pytest.mark.parametrize(("parts", "validation"), [(("train", "validation", "test"), True), (("train", "test"), False)])
def test_a_column_that_says_the_part(here, outside, parts, validation):
    rows = [row for part in parts for row in asked(12, part, split=part)]
    (outside / "colours.csv").write_text(table(rows))
    said = add(outside / "colours.csv")
    assert "given split: column split says 12 train" in said
    assert split_of("colours")["given"] == "split"
    done = run("colours")["split"]
    assert (done["train"], done["validation"], done["test"]) == (12, 12 * validation, 12)


def test_a_column_of_other_parts_is_named(here, outside):
    rows = [row for part in ("train", "dev", "test") for row in asked(12, part, split=part)]
    (outside / "colours.csv").write_text(table(rows))
    assert "column split says dev, test, train: not kept" in add(outside / "colours.csv")


words = st.sampled_from(["train", "test", "dev", "validation", "en", "fr", "part", "0001"])


@given(st.lists(st.lists(words, min_size=1, max_size=3).map("_".join), min_size=1, max_size=6, unique=True))
def test_every_file_is_of_one_part(names):
    parts = parts_of([f"{name}.csv" for name in names])
    assert sorted(file for some in parts.values() for file in some) == sorted(f"{name}.csv" for name in names)
    for part, files in parts.items():
        others = {"train", "test", "dev", "validation"} - {part, "dev" if part == "validation" else part}
        assert not part or not any(others & set(file.removesuffix(".csv").split("_")) for file in files)


@pytest.mark.parametrize(
    ("column", "values", "group"),
    [
        ("topic", 30, True),  # many values of few rows
        ("topic", 5, False),  # categories
        ("thread_id", 12, True),
        ("articleId", 12, True),
        ("topic", 120, False),  # each row its own
        ("colour", 30, False),  # no name of what belongs together
    ],
)
def test_a_column_whose_rows_belong_together(here, outside, column, values, group):
    rows = [row | {column: f"{column} {i % values}"} for i, row in enumerate(asked(120, "a thing"))]
    (outside / "colours.jsonl").write_text(lines(rows))
    said = add(outside / "colours.jsonl")
    assert split_of("colours") == ({"group": column} if group else {})
    assert (f"group {column} has {values} values in 120 rows" in said) is group
    assert ("a category, no group" in said) is (values == 5)
    run("colours")
    sides = [{row.get(column) for row in jsonl(Path(f"data/colours/splits/{part}.jsonl"))} for part in ("train", "test")]
    assert not group or sides[0].isdisjoint(sides[1])


def test_a_group_that_is_sorted_is_known_by_all_rows(here, outside):
    rows = [row | {"topic": f"topic {i // 60}"} for i, row in enumerate(asked(1500, "a thing"))]
    (outside / "colours.jsonl").write_text(lines(rows))
    add(outside / "colours.jsonl")
    assert split_of("colours") == {"group": "topic"}


def test_questions_on_one_passage_stay_together(here, outside):
    rows = [
        row | {"context": f"A passage of text that says what number {i // 4} is."} for i, row in enumerate(asked(120, "it"))
    ]
    (outside / "colours.jsonl").write_text(lines(rows))
    add(outside / "colours.jsonl")
    assert split_of("colours") == {"group": "input"}
    run("colours")


def test_a_group_by_option(here, outside):
    rows = [row | {"topic": f"topic {i % 5}", "colour": f"colour {i % 30}"} for i, row in enumerate(asked(120, "a thing"))]
    (outside / "colours.jsonl").write_text(lines(rows))
    add(outside / "colours.jsonl", "--group", "colour")
    assert split_of("colours") == {"group": "colour"}
    with pytest.raises(StageError, match="no such column[^$]*one of question, answer, topic, colour"):
        add(outside / "colours.jsonl", "--group", "color")
