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
    label.main("set", label_params(**changes), label.Paths(tmp_path / "raw", *out))
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
        (qa({"a": "b"}), "not text: instruction"),
        (qa(5), None),  # a number, or a truth value, is its text
        (qa(0), None),
        (qa(response=["a"]), "not text: response"),
        (qa(response=False), None),
        (qa(input=5), None),
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
    assert reasons(qa("1", ""), qa("2", ["a"]), required=["instruction"]) == [None, "not text: response"]


def test_repeated_rows():
    rows = qa(), qa(), qa("Q ", " A"), qa(response="another"), qa("q", input="i"), qa("other", "a")
    assert reasons(*rows) == [None, "duplicate", "duplicate but for case or white space", "conflict", None, None]


def test_conflicts_may_be_kept():
    rows = qa(), qa(response="another"), qa(response="another"), qa("Q", "ANOTHER")
    assert reasons(*rows, conflicts="keep") == [None, None, "duplicate", "duplicate but for case or white space"]


def test_of_conflicts_the_most_frequent_answer_may_be_kept():
    rows = qa(), qa(response="b"), qa("Q", "B"), qa("r"), qa("r", "b")
    repeat = "duplicate but for case or white space"
    assert reasons(*rows, conflicts="majority") == ["conflict", None, repeat, None, "conflict"]


def test_of_conflicts_none_may_be_kept():
    rows = qa(), qa(response="b"), qa("Q", "B"), qa("r"), qa("R", "a")
    repeat = "duplicate but for case or white space"
    assert reasons(*rows, conflicts="drop_all") == ["conflict", "conflict", "conflict", None, repeat]


some_answers = st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from("abC")), max_size=15)


@given(some_answers, st.sampled_from(["drop_later", "majority", "drop_all", "keep"]))
def test_each_rule_keeps_the_answers_that_it_promises(pairs, conflicts):
    rows = [qa(*pair) for pair in pairs]
    kept = [pair for pair, reason in zip(pairs, reasons(*rows, conflicts=conflicts), strict=True) if reason is None]
    answers = {asked: [answer for question, answer in pairs if question == asked] for asked, _ in pairs}
    promised = {
        "drop_later": lambda said: said[:1],
        "majority": lambda said: [max(dict.fromkeys(said), key=said.count)],
        "drop_all": lambda said: said[:1] if len({*said}) == 1 else [],
        "keep": lambda said: list(dict.fromkeys(said)),
    }[conflicts]
    assert sorted(kept) == sorted((asked, answer) for asked, said in answers.items() for answer in promised(said))


@pytest.mark.parametrize(
    "labels",
    [
        ["Complaint", "complaint"],
        ["réclamation", "Reclamations"],
        ["late delivery", "late-deliveries"],
        ["Über", "uber"],
        ["1", "1.0"],
    ],
)
def test_labels_that_look_alike_are_named(tmp_path, capsys, labels):
    rows = [{"text": f"text {place}", "label": [*labels, "other"][place % 3]} for place in range(7)]
    _, _, metrics = run(tmp_path, rows, required=["text", "label"])
    assert (metrics["classes"], metrics["labels_alike"]) == (3, [labels])
    assert f"are different classes: {labels[0]!r} (3 rows), {labels[1]!r} (2 rows)" in capsys.readouterr().err


def test_labels_that_do_not_look_alike_are_not_named(tmp_path, capsys):
    labels = ["positive", "negative", "1", "2", "+", "-", "A/C", "ac dc"]
    rows = [{"text": f"text {place}", "label": label} for place, label in enumerate(labels)]
    _, _, metrics = run(tmp_path, rows, required=["text", "label"])
    assert (metrics["classes"], metrics["labels_alike"]) == (8, [])
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "label"), [(1, "1"), (0, "0"), (1.0, "1"), (0.5, "0.5"), (True, "true"), (" a\u00a0b ", "a b")]
)
def test_a_label_may_be_a_number(tmp_path, value, label):
    kept, _, _ = run(tmp_path, [{"text": "a", "label": value}], required=["text", "label"])
    assert kept[0]["label"] == label


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
    rows = [*(qa(response="") for _ in range(4)), qa("x", None), qa(None)]
    with pytest.raises(StageError) as error:
        run(tmp_path, rows)
    assert error.value.found == (
        "no usable row"
        "\n    - missing response: 5 rows: f row 1, f row 2, f row 3, …"
        "\n    - missing instruction: 1 rows: f row 6"
    )
    assert "columns" in error.value.fix
    assert names(tmp_path / "out") == set()


def test_the_fix_is_that_of_the_most_frequent_reason(tmp_path):
    with pytest.raises(StageError) as error:
        run(tmp_path, [qa(), qa(response="b"), qa(response="c")], conflicts="drop_all")
    assert "label.conflicts" in error.value.fix


def test_what_is_dropped_is_said_with_its_first_rows(tmp_path, capsys):
    run(tmp_path, [qa(), qa(), qa("x", "")])
    assert "label set: dropped duplicate: 1 rows: f row 2\nlabel set: dropped missing response: 1 rows: f row 3" in (
        capsys.readouterr().err
    )


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


@pytest.mark.parametrize(
    ("label", "text"), [(0, "0"), (1, "1"), (2.0, "2"), (0.5, "0.5"), (True, "true"), (False, "false"), (-3, "-3"), ("x", "x")]
)
def test_labels_that_are_numbers_or_truth_values_are_their_text(tmp_path, label, text):
    kept, _, _ = run(tmp_path, [{"text": "a", "label": label}], required=["text", "label"])
    assert [row["label"] for row in kept] == [text]


some_text = st.sampled_from(["q", "Q", " q", "r", "", None, 5])


@given(st.lists(st.fixed_dictionaries({"instruction": some_text, "response": some_text}, optional={"input": some_text})))
def test_every_row_comes_out_once_in_order_and_what_is_kept_is_distinct(rows):
    rows = [{"id": str(i), **row} for i, row in enumerate(rows)]
    labelled = list(clean(rows, label_params()))
    assert [row["id"] for row, _ in labelled] == [row["id"] for row in rows]
    kept = [(row["instruction"].lower(), row.get("input", "").lower()) for row, reason in labelled if reason is None]
    assert len(set(kept)) == len(kept)
    assert all(question for question, _ in kept)
    assert [reason for _, reason in clean([row for row, reason in labelled if reason is None], label_params())] == [None] * len(
        kept
    )


def test_medquad(tmp_path, real_data):
    files = real_data / "medical_qa" / "MedQuAD"
    params = scrape_params("medquad", files="**/*.xml", keep=["qtype", "focus", "document"])
    scrape.main("medquad", params, scrape.Paths(files, tmp_path / "raw"))
    sources = read_json(tmp_path / "raw" / "sources.json")["sources"]["local"]["files"]
    assert len(sources) == len(list(files.rglob("*.xml"))) == 361
    out = [tmp_path / name for name in ("labeled.jsonl", "dropped.jsonl", "metrics.json")]
    label.main("medquad", label_params(), label.Paths(tmp_path / "raw", *out))
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
    label.main("set", label_params(), label.Paths(tmp_path / "raw", *out))
    assert [row["id"] for row in read_rows(out[0])] == ["local/f#1"]
    assert read_json(out[2])["rows"] == 1
    assert [row["name"] for file in raw_files(tmp_path / "raw", "names") for row in read_rows(file)] == ["Brake pad"]
