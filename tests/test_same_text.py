"""What counts as the same text, from `scrape` to `format`: powers, twins that differ by nothing seen, spellings of a label."""

import pytest

from stages import format as format_stage
from stages import label, scrape, split
from stages.common.files import read_json, write_rows
from stages.common.text_keys import text_key
from tests.data_helpers import classification_params, format_params, jsonl, label_params, scrape_params, split_params
from tests.repository import ROOT

CASES = ROOT.parent / "shared" / "cases"
QUESTIONS = {"instruction": "instruction", "response": "response"}
LABELS = {"text": "text", "label": "label"}


def case(name: str):
    """The input of a handed case; the test is skipped where there is none."""
    folder = CASES / name / "src"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def run(tmp_path, source, columns: dict, **changes) -> dict:
    """All data stages on a folder of JSONL; what they counted, by stage, and the folder of splits."""
    scrape.main("d", scrape_params("jsonl", files="*.jsonl", columns=columns), scrape.Paths(source, tmp_path / "raw"))
    labeled, splits, formatted = tmp_path / "labeled.jsonl", tmp_path / "splits", tmp_path / "formatted"
    label.main(
        "d",
        label_params(required=list(columns)),
        label.Paths(tmp_path / "raw", labeled, tmp_path / "no", tmp_path / "label.json"),
    )
    split.main("d", split_params(**changes), split.Paths(labeled, splits, tmp_path / "split.json"))
    params = classification_params() if "label" in columns else format_params()
    format_stage.main("d", params, format_stage.Paths(splits, formatted, tmp_path / "format.json", tmp_path / "lengths.csv"))
    metrics = {stage: read_json(tmp_path / f"{stage}.json") for stage in ("label", "split", "format")}
    return metrics | {"splits": splits, "labels": read_json(formatted / "labels.json")["labels"]}


def classes(metrics: dict) -> int:
    """The number of classes, on which all stages agree."""
    assert metrics["split"]["classes"]["train"] == metrics["format"]["labels"] == len(metrics["labels"])
    return len(metrics["labels"])


def test_powers_and_indices_are_questions_of_their_own(tmp_path):
    parts = run(tmp_path, case("superscripts"), QUESTIONS)
    assert parts["label"] == {"rows": 11, "kept": 11, "dropped": {}}


def test_a_question_with_an_invisible_character_is_the_same_question(tmp_path):
    parts = run(tmp_path, case("invisible_twins"), QUESTIONS, train=0.5, validation=0.1, test=0.4)
    assert parts["label"]["dropped"] == {"duplicate but for case or white space": 30}
    assert parts["split"]["leakage"] == 0


def test_labels_that_differ_by_case_are_as_many_classes_in_every_stage(tmp_path):
    assert classes(run(tmp_path, case("case_labels"), LABELS, stratify="label")) == 3


def test_labels_that_are_numbers(tmp_path):
    metrics = run(tmp_path, case("int_labels"), LABELS, stratify="label")
    assert (metrics["label"]["kept"], metrics["labels"], classes(metrics)) == (24, ["0", "1"], 2)


def test_spellings_of_a_label_that_look_alike_are_one_class(tmp_path):
    spellings = ["café noir", "cafe\u0301 noir", "café\u00a0noir", "café  noir", "ca\u200bfé noir", " café noir"]
    rows = [{"text": f"text number {place}", "label": [*spellings, "thé"][place % 7]} for place in range(70)]
    write_rows(tmp_path / "source" / "a.jsonl", rows)
    metrics = run(tmp_path, tmp_path / "source", LABELS, stratify="label")
    assert (metrics["labels"], classes(metrics)) == (["café noir", "thé"], 2)


def test_a_twin_among_texts_that_differ_to_the_eye_is_no_leak(tmp_path):
    """Rows whose questions differ by an invisible character and whose answers do too: conflicts, never on both sides."""
    marks = ["\u200b", "\u200d", "\u00ad", "\ufeff", "\u2060", "\ufe0f"]
    rows = [
        {"instruction": f"Is pump {place}{mark} red?", "response": f"{mark}Yes."}
        for place in range(30)
        for mark in ("", marks[place % 6])
    ]
    write_rows(tmp_path / "source" / "a.jsonl", rows)
    parts = run(tmp_path, tmp_path / "source", QUESTIONS)
    assert parts["label"]["kept"] == 30
    asked = [row["instruction"] for part in ("train", "validation", "test") for row in jsonl(parts["splits"] / f"{part}.jsonl")]
    assert len(asked) == 30 and all(question.isascii() for question in asked)


@pytest.mark.parametrize("answer", ["\u200b", "\ufeff \u00a0", "\u2800", "\u3164", "\u200d\u200c"])
def test_an_answer_that_cannot_be_seen_is_none(tmp_path, answer):
    rows = [{"instruction": f"q {place}", "response": answer if place < 3 else "a"} for place in range(20)]
    write_rows(tmp_path / "source" / "a.jsonl", rows)
    assert run(tmp_path, tmp_path / "source", QUESTIONS)["label"]["dropped"] == {"missing response": 3}


def test_a_text_is_written_as_it_came(tmp_path):
    rows = [{"instruction": f"می\u200cخواهم {place}", "response": "5²\u00a0\u200bm"} for place in range(20)]
    write_rows(tmp_path / "source" / "a.jsonl", rows)
    splits = run(tmp_path, tmp_path / "source", QUESTIONS)["splits"]
    assert {row["response"] for row in jsonl(splits / "train.jsonl")} == {"5²\u00a0\u200bm"}


def test_a_whole_number_is_the_same_however_wide_its_column_is():
    assert text_key(1.0) == text_key(1) == text_key("1") != text_key(1.5)
    assert text_key(float("nan")) == "nan" and text_key(True) == "True"
