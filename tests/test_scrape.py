import datetime
import decimal
import hashlib
import io
import json
import re
import shutil
import zipfile

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from stages import scrape
from stages.common.errors import StageError
from stages.common.files import read_json
from stages.sources import SourceFile
from tests.data_helpers import ROOT, folder_with, jsonl, names, scrape_params
from tests.processes import module

XML = "<Document><QAPair><Question>q</Question><Answer>a</Answer></QAPair></Document>"


def run(tmp_path, reader: str, **changes) -> dict[str, list[dict]]:
    """Scrape `tmp_path/source`; the rows of each file written."""
    out = tmp_path / "data" / "raw"
    scrape.main("set", scrape_params(reader, **changes), scrape.Paths(tmp_path / "source", out))
    return {path.relative_to(out / "local").as_posix(): jsonl(path) for path in sorted(out.rglob("*.jsonl"))}


def refused(tmp_path, reader: str, **changes) -> str:
    """The message that scraping `tmp_path/source` ends with; nothing may be written."""
    with pytest.raises(StageError) as caught:
        run(tmp_path, reader, **changes)
    assert not (tmp_path / "data").exists() or names(tmp_path / "data") == set()
    return str(caught.value)


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("json", '[{"question": "q", "answer": "a", "more": "m"}]'),
        ("jsonl", '{"question": "q", "answer": "a", "more": "m"}\n'),
        ("csv", "more,answer,question\nm,a,q\n"),
        ("medquad", XML),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, reader, content):
    folder_with(tmp_path / "source", f=content)
    assert run(tmp_path, reader) == {"f.jsonl": [{"id": "local/f#1", "instruction": "q", "response": "a"}]}


def test_parquet(tmp_path):
    source = folder_with(tmp_path / "source")
    parquet.write_table(pa.table({"answer": ["a", "b"], "question": ["q", "r"]}), source / "f.parquet")
    assert run(tmp_path, "parquet")["f.parquet.jsonl"] == [
        {"id": "local/f.parquet#1", "instruction": "q", "response": "a"},
        {"id": "local/f.parquet#2", "instruction": "r", "response": "b"},
    ]


def test_columns_are_kept_where_a_source_has_them(tmp_path):
    folder_with(tmp_path / "source", f='[{"question": 1, "answer": null, "x": [2]}, {"question": "", "answer": "", "y": 3}]')
    assert run(tmp_path, "json", keep=["x", "z"])["f.jsonl"] == [
        {"id": "local/f#1", "instruction": 1, "response": None, "x": [2]},
        {"id": "local/f#2", "instruction": "", "response": ""},
    ]


def test_files_come_in_order_of_their_paths_with_their_hashes(tmp_path):
    rows = {"b": "question,answer\n1,2\n3,4\n", "a": "question,answer\n5,6\n", "C": "question,answer\n7,8\n"}
    source = folder_with(tmp_path / "source", **rows)
    folder_with(source / "a_folder", a="question,answer\n9,10\n")
    listed = run(tmp_path, "csv", files="**/*", licence="MIT")
    assert [row["id"] for row in listed["a_folder/a.jsonl"] + listed["b.jsonl"]] == [
        "local/a_folder/a#1",
        "local/b#1",
        "local/b#2",
    ]
    index = read_json(tmp_path / "data/raw/sources.json")["sources"]["local"]
    assert (index["kind"], index["licence"], index["yields"]) == ("local", "MIT", "rows")
    assert [(entry["file"], entry["rows"]) for entry in index["files"]] == [("C", 1), ("a", 1), ("a_folder/a", 1), ("b", 2)]
    assert index["files"][3]["sha256"] == hashlib.sha256(rows["b"].encode()).hexdigest()
    assert index["files"][3]["bytes"] == len(rows["b"])


def test_a_rerun_gives_the_same_bytes_and_forgets_removed_files(tmp_path):
    source = folder_with(tmp_path / "source", a="question,answer\n1,2\n", b="question,answer\n3,4\n")
    run(tmp_path, "csv")
    before = {path: path.read_bytes() for path in sorted((tmp_path / "data/raw").rglob("*.json*"))}
    run(tmp_path, "csv")
    assert {path: path.read_bytes() for path in sorted((tmp_path / "data/raw").rglob("*.json*"))} == before
    (source / "a").unlink()
    run(tmp_path, "csv")
    assert names(tmp_path / "data") == {"raw", "raw/local", "raw/local/b.jsonl", "raw/sources.json"}


def test_no_source_folder_is_named(tmp_path):
    assert "no such file or directory" in refused(tmp_path, "csv")


def test_no_file_behind_the_glob_names_what_there_is(tmp_path):
    folder_with(tmp_path / "source", a__csv="x", b__txt="x")
    text = refused(tmp_path, "json", files="*.json")
    assert f"{tmp_path / 'source'}/*.json" in text
    assert "there are: .csv, .txt" in text


@pytest.mark.parametrize("files", ["../*.csv", "a/../../*.csv", "/etc/*"])
def test_a_glob_cannot_leave_the_source(tmp_path, files):
    folder_with(tmp_path / "source" / "a")
    folder_with(tmp_path, secret__csv="question,answer\n1,2\n")
    assert "a pattern that leaves the source" in refused(tmp_path, "csv", files=files)


@pytest.mark.parametrize("files", ["", ".", "**x"])
def test_a_glob_that_is_none_is_refused(tmp_path, files):
    folder_with(tmp_path / "source", a="x")
    assert "edit datasets.<name>.scrape.sources.<source>.files" in refused(tmp_path, "csv", files=files)


@pytest.mark.parametrize(
    ("reader", "content", "expected"),
    [
        ("json", "", "broken JSON"),
        ("medquad", "", "broken XML"),
        ("parquet", "", "a Parquet file"),
        ("jsonl", '{"question": 1, "answer": 2}\n{"question"', "line 2"),
        ("csv", b"question,answer\n\xe9,2\n", "byte 0xe9"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_written(tmp_path, reader, content, expected):
    good = {"jsonl": '{"question": 1, "answer": 2}', "csv": "question,answer\n1,2\n", "medquad": XML}
    folder_with(tmp_path / "source", a=good.get(reader, '[{"question": 1, "answer": 2}]'), bad=content)
    if reader == "parquet":
        (tmp_path / "source" / "a").unlink()
    text = refused(tmp_path, reader)
    assert str(tmp_path / "source" / "bad") in text
    assert expected in text


@pytest.mark.parametrize(
    ("reader", "content"),
    [("jsonl", ""), ("json", "[]"), ("csv", ""), ("csv", "question,answer\n"), ("medquad", "<Document/>")],
)
def test_a_source_without_any_row_is_refused(tmp_path, reader, content):
    folder_with(tmp_path / "source", a=content, b=content)
    assert f"{tmp_path / 'source'}\n  found:    no row in 2 files" in refused(tmp_path, reader)


def test_a_file_without_rows_beside_others_is_noted(tmp_path, capsys):
    folder_with(tmp_path / "source", a="", b="question,answer\n1,2\n")
    assert [len(rows) for rows in run(tmp_path, "csv").values()] == [0, 1]
    assert [entry["rows"] for entry in read_json(tmp_path / "data/raw/sources.json")["sources"]["local"]["files"]] == [0, 1]
    assert "no row in 1 of 2 files: a" in capsys.readouterr().err


def test_a_bad_file_leaves_the_output_of_the_run_before(tmp_path):
    source = folder_with(tmp_path / "source", a="question,answer\n1,2\n")
    before = run(tmp_path, "csv")
    folder_with(source, b="answer\n1\n")
    with pytest.raises(StageError):
        run(tmp_path, "csv")
    assert {"a.jsonl": jsonl(tmp_path / "data/raw/local/a.jsonl")} == before
    assert names(tmp_path / "data") == {"raw", "raw/local", "raw/local/a.jsonl", "raw/sources.json"}


def test_a_missing_column_names_what_was_found_and_wanted(tmp_path):
    folder_with(tmp_path / "source", f='{"question": 1, "answer": 2}\n{"question": 3, "reply": 4}\n')
    text = refused(tmp_path, "jsonl")
    assert f"{tmp_path / 'source' / 'f'} row 2" in text
    assert "columns question, reply" in text
    assert "also answer" in text


@pytest.mark.parametrize("value", [b"raw", [b"raw"], {"day": datetime.timedelta(1)}])
def test_values_that_json_cannot_hold_are_refused_only_where_they_are_wanted(tmp_path, value):
    source = folder_with(tmp_path / "source")
    row = {"question": "q", "answer": "a", "strange": value}
    parquet.write_table(pa.Table.from_pylist([row]), source / "f")
    assert "f row 1\n  found:    not text or numbers: strange (" in refused(tmp_path, "parquet", keep=["strange"])
    assert run(tmp_path, "parquet")["f.jsonl"] == [{"id": "local/f#1", "instruction": "q", "response": "a"}]


def test_dates_and_decimals_are_their_text_and_nan_is_nothing(tmp_path):
    source = folder_with(tmp_path / "source")
    row = {"question": decimal.Decimal("1.50"), "answer": datetime.date(2020, 1, 2), "at": datetime.datetime(2020, 1, 2, 3)}
    parquet.write_table(pa.Table.from_pylist([row | {"scores": [float("nan"), float("-inf"), 1.5]}]), source / "f")
    assert run(tmp_path, "parquet", keep=["at", "scores"])["f.jsonl"] == [
        {
            "id": "local/f#1",
            "instruction": "1.50",
            "response": "2020-01-02",
            "at": "2020-01-02T03:00:00",
            "scores": [None, "-Infinity", 1.5],
        }
    ]


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        ("json", '[{"question": "q", "answer": NaN, "score": [Infinity, {"x": NaN}]}]'),
        ("jsonl", '{"question": "q", "answer": NaN, "score": [1e999, {"x": NaN}]}\n'),
    ],
)
def test_raw_rows_are_strict_json(tmp_path, reader, text):
    folder_with(tmp_path / "source", f=text)
    run(tmp_path, reader, keep=["score"])
    written = (tmp_path / "data/raw/local/f.jsonl").read_text()

    def refuse(constant: str):
        raise AssertionError(constant)

    row = json.loads(written, parse_constant=refuse)
    assert (row["response"], row["score"]) == (None, ["Infinity", {"x": None}])


UNMEANT = [
    *(".ipynb_checkpoints/a-checkpoint.csv", "._a.csv", ".DS_Store", "__MACOSX/._a.csv", "Thumbs.db", "desktop.ini"),
    *("~$a.csv", "a.csv~", "#a.csv#", ".a.csv.swp", "a.csv.bak", ".git/a.csv", "__pycache__/a.csv", "deep/.hidden/a.csv"),
    *(".~lock.a.csv#", "a.csv.crdownload", "a.csv.dvc", "$RECYCLE.BIN/a.csv", "a.csv.lock", "a.csv.old", "a.csv.lnk"),
    *("a (Ann's conflicted copy 2024-05-01).csv", "a.sync-conflict-20240501-101010-ABCDEFG.csv", "node_modules/b/a.csv"),
    *("_SUCCESS", "_committed_123", "_started_123", "_temporary/0/a.csv", "_delta_log/0.csv", "_common_metadata", ".a.csv.crc"),
]
ROWS = "question,answer\n1,2\n"


def test_files_that_nobody_meant_are_left_out_and_counted(tmp_path):
    for name in ["a.csv", "deep/b.csv", *UNMEANT]:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROWS)
    assert list(run(tmp_path, "csv", files="**/*")) == ["a.csv.jsonl", "deep/b.csv.jsonl"]
    left_out = read_json(tmp_path / "data/raw/sources.json")["sources"]["local"]["left_out"]
    assert sum(left_out.values()) == len(UNMEANT)
    assert left_out["._*"] == left_out[".ipynb_checkpoints"] == left_out["thumbs.db"] == 1


def test_an_archive_in_an_archive_is_named(tmp_path):
    inner, outer = io.BytesIO(), tmp_path / "source" / "a.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", ROWS)
    outer.parent.mkdir()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("b.zip", inner.getvalue())
    assert re.search(r"a\.zip: b\.zip\n.*a zip archive(.|\n)*to be unpacked", refused(tmp_path, "csv", members="**/*"))


def test_a_glob_that_spells_a_hidden_name_means_it(tmp_path):
    for name in (".config/a.csv", "b.bak", ".config/._a.csv"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROWS)
    assert list(run(tmp_path, "csv", files=".config/*.csv")) == [".config/a.csv.jsonl"]
    assert list(run(tmp_path, "csv", files="*.bak")) == ["b.bak.jsonl"]


def test_only_files_that_nobody_meant_are_no_file(tmp_path):
    folder_with(tmp_path / "source", **{"~$a__csv": ROWS})
    assert "no file; left out: 1 of ~$*" in refused(tmp_path, "csv")


def test_a_source_may_be_one_file(tmp_path):
    folder_with(tmp_path, source=ROWS)
    assert run(tmp_path, "csv", files="")["source.jsonl"] == [{"id": "local/source#1", "instruction": "1", "response": "2"}]


@pytest.fixture
def project(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    folder_with(tmp_path / "source", a__jsonl='{"question": "q", "answer": "a", "focus": "f"}\n')
    return tmp_path


def test_on_the_command_line(project):
    done = module(project, "stages.scrape", "medical_qa", "--source", "source", "--out", "raw")
    assert (done.returncode, done.stdout) == (0, "")
    assert jsonl(project / "raw/local/a.jsonl.jsonl") == [
        {"id": "local/a.jsonl#1", "instruction": "q", "response": "a", "focus": "f"}
    ]


def test_wrong_parameters_on_the_command_line_end_with_a_message_and_no_traceback(project):
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace("reader: jsonl", "raeder: jsonl", 1), encoding="utf-8")
    done = module(project, "stages.scrape", "medical_qa", "--source", "source", "--out", "raw")
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml\n")
    assert "datasets.medical_qa.scrape.sources.local.raeder: unknown key; did you mean 'reader'?" in done.stderr
    assert "datasets.medical_qa.scrape.sources.local.reader: missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "raw").exists()


def test_broken_yaml_on_the_command_line_ends_with_a_message_and_no_traceback(project):
    (project / "params.yaml").write_text("a: [")
    done = module(project, "stages.scrape", "medical_qa", "--source", "source", "--out", "raw")
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml\n")
    assert "Traceback" not in done.stderr


def test_car_reviews(tmp_path, real_data):
    shutil.copytree(real_data / "car_reviews", tmp_path / "source")
    columns = {"instruction": "Review", "response": "Rating"}
    rows_by_file = run(tmp_path, "csv", files="*.csv", columns=columns, keep=["Vehicle_Title"])
    assert all(set(row) == {"id", "instruction", "response", "Vehicle_Title"} for rows in rows_by_file.values() for row in rows)
    assert all(len(rows) > 100 for rows in rows_by_file.values())


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    source = folder_with(tmp_path / "source", a__jsonl='{"question": "q", "answer": "a"}\n')
    (source / "b.jsonl").symlink_to(tmp_path / "gone")
    (source / ".#a.jsonl").symlink_to("me@here.1")  # an editor's lock
    with pytest.raises(StageError, match=r"b\.jsonl\n[^$]*a link to .*gone, which is not there[^$]*dvc checkout"):
        scrape.main("set", scrape_params(files="*.jsonl"), scrape.Paths(source, tmp_path / "raw"))


@pytest.mark.parametrize("reader", ["jsonl", "csv", {"kind": "text", "rows": "line"}])
def test_a_pointer_of_git_lfs_is_not_read_as_rows(tmp_path, reader):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123\n"
    source = folder_with(tmp_path / "source", a__txt=pointer)
    with pytest.raises(StageError, match=r"a\.txt\n[^$]*pointer of Git LFS[^$]*git lfs pull"):
        scrape.main("set", scrape_params(reader), scrape.Paths(source, tmp_path / "raw"))


def test_a_name_that_is_too_long_to_be_written_is_refused(tmp_path):
    source = folder_with(tmp_path / "source", **{"x" * 241: '{"question": "q", "answer": "a"}\n'})
    with pytest.raises(StageError, match=r"found:    a name of 241 letters\n[^$]*rename"):
        scrape.main("set", scrape_params(), scrape.Paths(source, tmp_path / "raw"))


def test_a_name_that_the_disk_takes_for_another_loses_no_file(tmp_path):
    written = tmp_path / "A.jsonl"
    written.write_text("{}\n")
    with pytest.raises(StageError, match="name of another file"):
        scrape.check_name(SourceFile(tmp_path / "a", "a", "a.zip: a"), written)


def test_sheets_that_are_not_read_are_told(tmp_path, capsys):
    book = openpyxl.Workbook()
    for sheet in (book.active, book.create_sheet("more")):
        sheet.append(["question", "answer"])
        sheet.append(["q", "a"])
    (tmp_path / "source").mkdir()
    book.save(tmp_path / "source" / "a.xlsx")
    scrape.main("set", scrape_params("excel"), scrape.Paths(tmp_path / "source", tmp_path / "raw"))
    assert "sheet Sheet is read; not read: more" in capsys.readouterr().err
    assert read_json(tmp_path / "raw" / "sources.json")["sources"]["local"]["files"][0]["other_sheets"] == ["more"]
