from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import label, scrape
from stages.common.errors import StageError
from stages.common.files import read_json, read_rows, write_json, write_rows
from stages.common.raw import raw_files
from stages.labels.clean import clean
from tests.data_helpers import jsonl, label_params, names, scrape_params


def reasons(*rows: dict, **changes) -> list[str | None]:
    return [reason for _, reason in clean([{"id": f"f#{i}", **row} for i, row in enumerate(rows, 1)], label_params(**changes))]


def qa(instruction: object = "q", response: object = "a", **more) -> dict:
    return {"instruction": instruction, "response": response, **more}


def run(tmp_path, rows: list[dict], **changes) -> tuple[list[dict], list[dict], dict]:
    """Labelled rows, dropped rows and metrics."""
    write_rows(tmp_path / "raw" / "f.jsonl", [{"id": f"f#{i}", **row} for i, row in enumerate(rows, 1)])
    out = [tmp_path / "out" / name for name in ("labeled.jsonl", "dropped.jsonl", "metrics.json")]
    label.main("set", label_params(**changes), tmp_path / "raw", *out)
    return jsonl(out[0]), jsonl(out[1]), read_json(out[2])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (qa(), None),
        (qa(None), "missing instruction"),
        (qa(""), "missing instruction"),
        (qa(" \n\u00a0"), "missing instruction"),
        (qa(response=""), "missing response"),
        ({"instruction": "q"}, "missing response"),
        (qa(5), "not text: instruction"),
        (qa(0), "not text: instruction"),
        (qa(response=["a"]), "not text: response"),
        (qa(response=False), "not text: response"),
        (qa(input=5), "not text: input"),
        (qa(input=["a"]), "not text: input"),
        (qa(input=None), None),
        (qa(more=5), None),
    ],
)
def test_a_row_without_text_is_dropped_with_its_reason(row, reason):
    assert reasons(row) == [reason]


def test_further_columns_can_be_required():
    required = ["instruction", "response", "topic"]
    rows = qa("1"), qa("2", topic=""), qa("3", topic=5), qa("4", topic="t")
    assert reasons(*rows, required=required) == ["missing topic", "missing topic", "not text: topic", None]


def test_a_column_that_is_not_required_may_be_empty_but_not_be_something_else():
    assert reasons(qa("1", ""), qa("2", 5), required=["instruction"]) == [None, "not text: response"]


def test_repeated_rows():
    rows = qa(), qa(), qa("Q ", " A"), qa(response="another"), qa("q", input="i"), qa("other", "a")
    assert reasons(*rows) == [None, "duplicate", "duplicate but for case or white space", "conflict", None, None]


def test_conflicts_may_be_kept():
    rows = qa(), qa(response="another"), qa(response="another"), qa("Q", "ANOTHER")
    assert reasons(*rows, conflicts="keep") == [None, None, "duplicate", "duplicate but for case or white space"]


def test_a_dropped_row_makes_no_later_one_a_duplicate():
    assert reasons(qa(response=""), qa()) == ["missing response", None]


def test_the_first_occurrence_stays_and_nothing_vanishes(tmp_path):
    rows = [qa(" q \r\n", "a\r\nb", topic=1), qa("Q", "A B"), qa("q", "other"), qa("", "a"), qa("new", input=None)]
    kept, dropped, metrics = run(tmp_path, rows)
    assert kept == [
        {"id": "f#1", "task": "text", "instruction": "q", "response": "a\nb", "topic": 1},
        {"id": "f#5", "task": "text", "instruction": "new", "response": "a", "input": ""},
    ]
    assert [(row["id"], row["reason"]) for row in dropped] == [
        ("f#2", "duplicate but for case or white space"),
        ("f#3", "conflict"),
        ("f#4", "missing instruction"),
    ]
    counts = {"conflict": 1, "duplicate but for case or white space": 1, "missing instruction": 1}
    assert metrics.pop("alarms").keys() == {"mostly_dropped"}
    assert metrics == {"rows": 5, "kept": 2, "dropped": counts}


def test_no_usable_row_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(StageError, match=r"raw\n[^$]*no usable row; dropped: \{'missing response': 2\}"):
        run(tmp_path, [qa(response=""), qa("x", None)])
    assert names(tmp_path / "out") == set()


def talk(*contents: str, **more) -> dict:
    turns = [{"role": "assistant" if i % 2 else "user", "content": content} for i, content in enumerate(contents)]
    return {"messages": turns, **more}


def test_conversations_are_kept_as_they_are_and_repeats_dropped(tmp_path):
    rows = [talk(" q ", "a\r\n"), talk("Q", "A"), talk("q", "b"), talk("q", "b", "c", "d"), talk("q"), {"messages": []}]
    kept, dropped, metrics = run(tmp_path, rows, required=["messages"])
    assert [row["messages"] for row in kept] == [rows[0]["messages"], rows[3]["messages"]]
    assert {row["task"] for row in kept} == {"text"}
    assert [row["reason"] for row in dropped] == [
        "duplicate but for case or white space",
        "conflict",
        "not usable: messages: no assistant turn to learn",
        "missing messages",
    ]
    assert metrics["rows"] == 6


def test_texts_with_labels_are_rows_of_task_label(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "A", "label": "x"}, {"text": "a", "label": "y"}, {"text": "b", "label": [1]}]
    kept, dropped, _ = run(tmp_path, rows, required=["text", "label"])
    assert kept == [{"id": "f#1", "task": "label", "text": "a", "label": "x"}]
    assert [row["reason"] for row in dropped] == ["duplicate but for case or white space", "conflict", "not text: label"]


some_text = st.sampled_from(["q", "Q", " q", "r", "", None, 5])


@given(st.lists(st.fixed_dictionaries({"instruction": some_text, "response": some_text}, optional={"input": some_text})))
def test_every_row_comes_out_once_in_order_and_what_is_kept_is_distinct(rows):
    rows = [{"id": str(i), **row} for i, row in enumerate(rows)]
    found = list(clean(rows, label_params()))
    assert [row["id"] for row, _ in found] == [row["id"] for row in rows]
    kept = [(row["instruction"].lower(), row.get("input", "").lower()) for row, reason in found if reason is None]
    assert len(set(kept)) == len(kept)
    assert all(question for question, _ in kept)
    assert [reason for _, reason in clean([row for row, reason in found if reason is None], label_params())] == [None] * len(
        kept
    )


def test_medquad(tmp_path, real_data):
    files = real_data / "medical_qa" / "MedQuAD"
    params = scrape_params("medquad", files="**/*.xml", keep=["qtype", "focus", "document"])
    scrape.main("medquad", params, files, tmp_path / "raw")
    sources = read_json(tmp_path / "raw" / "sources.json")["sources"]["local"]["files"]
    assert len(sources) == len(list(files.rglob("*.xml"))) == 361
    out = [tmp_path / name for name in ("labeled.jsonl", "dropped.jsonl", "metrics.json")]
    label.main("medquad", label_params(), tmp_path / "raw", *out)
    kept, dropped, metrics = jsonl(out[0]), jsonl(out[1]), read_json(out[2])
    assert len(kept) + len(dropped) == metrics["rows"] == sum(source["rows"] for source in sources)
    assert len(kept) == metrics["kept"] > 300
    assert metrics["dropped"] == Counter(row["reason"] for row in dropped)
    assert len({row["id"] for row in kept + dropped}) == metrics["rows"]
    assert all(row["instruction"] and row["response"] and row["focus"] for row in kept)


def test_sources_of_names_are_not_labelled(tmp_path):
    for source, row in (("local", qa()), ("parts", {"name": "Brake pad"})):
        write_rows(tmp_path / "raw" / source / "f.jsonl", [{"id": f"{source}/f#1", **row}])
    yields = {"local": "rows", "parts": "names"}
    write_json(tmp_path / "raw" / "sources.json", {"sources": {key: {"yields": value} for key, value in yields.items()}})
    out = [tmp_path / name for name in ("labeled.jsonl", "dropped.jsonl", "label.json")]
    label.main("set", label_params(), tmp_path / "raw", *out)
    assert [row["id"] for row in read_rows(out[0])] == ["local/f#1"]
    assert read_json(out[2])["rows"] == 1
    assert [row["name"] for file in raw_files(tmp_path / "raw", "names") for row in read_rows(file)] == ["Brake pad"]
