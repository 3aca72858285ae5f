"""Inputs that went wrong once, from `scrape` to `label`: the handed ones, with their right values.

Others of these kinds are in the tests of each reader. The handed cases of texts are in test_same_text.py, those of models in
test_model_cases.py.
"""

import json

import pytest

from stages import label, scrape
from stages.common.errors import StageError
from stages.common.files import read_json
from tests.data_helpers import jsonl, label_params, scrape_params
from tests.repository import ROOT

CASES = ROOT.parent / "shared" / "cases"
QUESTIONS = {"instruction": "instruction", "response": "response"}
PARTS = {"kind": "html_table", "within": "//body", "column": "Part", "without": [], "notes": "keep"}


def scraped(tmp_path, case: str, reader="jsonl", **changes) -> list[dict]:
    """The raw rows of a handed case; the test is skipped where there is none."""
    source = CASES / case / "src"
    if not source.is_dir():
        pytest.skip(f"no {source}")
    raw = tmp_path / "raw"
    scrape.main("d", scrape_params(reader, **{"columns": QUESTIONS} | changes), scrape.Paths(source, raw))
    return [row for file in sorted(raw.rglob("*.jsonl")) for row in jsonl(file)]


def labelled(tmp_path, *required: str) -> dict:
    """What `label` counts."""
    paths = label.Paths(tmp_path / "raw", tmp_path / "labeled.jsonl", tmp_path / "dropped.jsonl", tmp_path / "label.json")
    label.main("d", label_params(required=list(required)), paths)
    return read_json(tmp_path / "label.json")


def test_rows_of_files_that_nobody_meant_are_not_read(tmp_path):
    rows = scraped(tmp_path, "hidden_files", files="**/*.jsonl")
    assert len(rows) == 12 and all(row["response"].startswith("The corrected colour is blue") for row in rows)
    assert read_json(tmp_path / "raw" / "sources.json")["sources"]["local"]["left_out"] == {".ipynb_checkpoints": 1}


@pytest.mark.parametrize(("case", "reader", "kept"), [("none_keys", "parquet", 12), ("msg_content_parts", "jsonl", 24)])
def test_conversations_as_exporters_write_them(tmp_path, case, reader, kept):
    scraped(tmp_path, case, reader, columns={"messages": "messages"})
    assert labelled(tmp_path, "messages") == {"rows": kept, "kept": kept, "dropped": {}}


def test_numbers_that_are_none(tmp_path):
    columns = QUESTIONS | {"input": "input", "response": "output"}
    rows = scraped(tmp_path, "nan_json", "json", columns=columns, keep=["score"])
    assert len(rows) == 16 and any(row["input"] is None for row in rows) and any(row["score"] is None for row in rows)
    for line in (tmp_path / "raw/local/a.json.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)
    assert labelled(tmp_path, "instruction", "response") == {"rows": 16, "kept": 16, "dropped": {}}


def test_semicolons_between_fields(tmp_path):
    rows = scraped(tmp_path, "csv_semicolon", "csv", columns={"instruction": "question", "response": "reponse"})
    assert len(rows) == 12 and rows[0]["response"] == "Réponse 0, oui"


def test_a_bad_line_of_a_member(tmp_path):
    with pytest.raises(StageError, match=r"a\.zip: part3\.jsonl line 13\n"):
        scraped(tmp_path, "zip_bad_line", members="*.jsonl")


def test_a_link_beside_the_members(tmp_path):
    assert len(scraped(tmp_path, "tar_link", members="**/*.jsonl")) == 12


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        ("table_ragged", ["Clutch", "Flywheel", "Gearbox", "Axle", "Caliper"]),
        ("table_cell_class", ["Clutch", "Flywheel", "Gearbox", "Axle", "Caliper", "Rotor"]),
    ],
)
def test_cells_of_a_column(tmp_path, case, parts):
    assert [row["name"] for row in scraped(tmp_path, case, PARTS, columns={"name": "name"})] == parts
