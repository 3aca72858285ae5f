"""Each alarm is set off by what it is for, and by nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import format as format_stage
from stages import label, scrape, split
from stages.common import sanity
from stages.common.files import read_json, write_json, write_rows
from stages.labels.contents import Contents
from tests.data_helpers import ROOT, completion_params, label_params, scrape_params, source_params, split_params

PLAIN = [{"instruction": f"What is {i}?", "response": f"Number {i}."} for i in range(8)]


def looked_at(rows: list[dict], columns=("instruction", "response")) -> dict[str, str]:
    columns = sanity.Columns("local", columns)
    assert list(columns.watch(rows)) == rows
    return columns.alarms()


def answered(texts: list[str], base: list[str] | None = None, finish: str = "stop", **more) -> list[dict]:
    """Rows of an answers file: what `tuned` and `base` said."""
    base = base or [f"base {i}" for i in range(len(texts))]
    return [
        {
            "expected": f"right {i}",
            "answers": {"tuned": {"text": text, "finish": finish}, "base": {"text": other, "finish": "stop"}},
        }
        | more
        for i, (text, other) in enumerate(zip(texts, base, strict=True))
    ]


def labelled(labels: list[str], expected: list[str]) -> list[dict]:
    others = {"majority": {"label": "a"}, "tfidf": {"label": "a"}}
    pairs = zip(labels, expected, strict=True)
    return [{"expected": expected, "answers": {"tuned": {"label": answer}, **others}} for answer, expected in pairs]


def kept_alarms(rows: list[dict], none: str = "") -> dict[str, str]:
    contents = Contents(none)
    for row in rows:
        contents.add(row)
    return contents.alarms()


FOUR = ["one", "two", "three", "four"]
SET_OFF = {
    "markup": looked_at([{"instruction": f"<td>{i}</td>", "response": f"r{i}"} for i in range(4)]),
    "constant_column": looked_at([{"instruction": f"q{i}", "response": "2021-05-01"} for i in range(4)]),
    "no_label": {"no_label": "none of 3 rows"},  # shown below to come from the stage
    "mostly_dropped": sanity.mostly_dropped(10, {"duplicate": 4, "missing response": 2}),
    "placeholders": kept_alarms([{"instruction": f"q{i}", "response": "nan" if i % 2 else f"r{i}"} for i in range(8)]),
    "echoed_questions": kept_alarms([{"instruction": f"q{i}", "response": f"q{i}"} for i in range(4)]),
    "mostly_cut": sanity.mostly_cut(10, 6),
    "too_few_rows": sanity.too_few_rows({"train": 9, "test": 1}, 2),
    "low_perplexity": sanity.low_perplexity({"tuned": 1.007, "base": 9.5}),
    "perfect_tokens": sanity.perfect_tokens({"tuned": 1.0, "base": 0.4}),
    "same_answers": sanity.answers(answered(["I do not know."] * 4)),
    "empty_answers": sanity.answers(answered(["", " ", "\n", ""])),
    "cut_answers": sanity.answers(answered(FOUR, finish="length")),
    "long_references": sanity.long_references(64, 3, 5),
    "same_as_base": sanity.answers(answered(FOUR, base=FOUR)),
}


def test_every_alarm_has_what_sets_it_off():
    assert SET_OFF.keys() == sanity.ALARMS.keys()


@pytest.mark.parametrize("alarm", SET_OFF)
def test_an_alarm_is_set_off_alone_and_said_aloud(alarm, capsys):
    assert SET_OFF[alarm].keys() == {alarm}
    assert sanity.raised("judge", "tiny", SET_OFF[alarm]) == {"alarms": SET_OFF[alarm]}
    said = capsys.readouterr().err
    assert said.startswith("ALARM: judge tiny: ") and sanity.ALARMS[alarm].sentence in said
    assert "<name>" not in said and SET_OFF[alarm][alarm] in said


def test_nothing_is_said_and_added_where_all_is_well(capsys):
    assert sanity.raised("label", "tiny", {}) == {}
    assert capsys.readouterr().err == ""


def test_the_page_of_alarms_lists_each_of_them():
    page = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == list(sanity.ALARMS)


@pytest.mark.parametrize(
    "text",
    [
        "<p>Hello</p>",
        "<BR>",
        "plain, then <b>bold</b>",
        '<Question qid="1" qtype="treatment">What helps?',
        "<?xml version='1.0'?>",
        "<!DOCTYPE html>",
        "Fish &amp; chips",
        "a&nbsp;b",
        "[[Brake pad|pads]]",
        "{{cite web}}",
    ],
)
def test_markup_is_known_by_what_readers_leave_behind(text):
    assert sanity.looks_like_markup(text)
    assert sanity.looks_like_markup([{"role": "user", "content": text}])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2 < 3 and 5 > 4",
        "if a<b && c>d",
        "AT&T; R&D",
        "a list<int> of x",
        "<think>Two and two.</think>4",
        "<|im_end|>",
        "Dear <your name>,",
        "<s>20</s>",
        "[1] and {x}",
        "<3",
        None,
        5,
    ],
)
def test_text_is_no_markup(text):
    assert not sanity.looks_like_markup(text)


def test_some_rows_about_markup_are_no_alarm():
    rows = [*PLAIN, {"instruction": "Make it bold.", "response": "<b>it</b>"}]
    assert looked_at(rows) == {}


@pytest.mark.parametrize(
    "rows",
    [
        [{"instruction": "Summarize.", "input": f"text {i}", "response": f"r{i}"} for i in range(5)],  # sets with one task
        [{"instruction": f"q{i}", "input": "", "response": f"r{i}"} for i in range(5)],  # an optional column
        [{"instruction": "q", "input": "", "response": "r"}],  # too few to say
    ],
)
def test_columns_that_may_stay_the_same(rows):
    assert looked_at(rows, ("instruction", "input", "response")) == {}


@given(st.lists(st.sampled_from(["yes", "no"]), min_size=sanity.LEAST_ROWS), st.booleans())
def test_a_column_is_constant_just_when_it_has_one_value(values, extra):
    rows = [{"instruction": f"q{i}", "response": value} for i, value in enumerate(values)]
    assert ("constant_column" in looked_at(rows)) == (len(set(values)) == 1)


@given(st.dictionaries(st.sampled_from(["duplicate", "conflict", "empty"]), st.integers(1, 50)), st.integers(0, 100))
def test_over_half_is_over_half(dropped, kept):
    total = kept + sum(dropped.values())
    assert bool(sanity.mostly_dropped(total, dropped)) == (total - kept > kept)


def test_expected_answers_may_be_long_where_no_answer_was_cut_or_half_fit():
    assert sanity.long_references(None, 5, 5) == sanity.long_references(64, 2, 4) == {}


def test_answers_may_be_alike_where_the_expected_ones_are():
    assert sanity.answers(answered(["none"] * 4, expected="none")) == {}


def test_a_probe_is_not_counted():
    probes = [{"expected": None, "answers": row["answers"]} for row in answered([""] * 9)]
    assert sanity.answers([*answered(FOUR), *probes]) == {}


def test_labels_that_are_all_the_same_are_the_tuned_models_alone():
    assert sanity.answers(labelled(["a"] * 4, ["a", "b", "a", "b"])) == {"same_answers": "tuned, 4 rows"}
    assert sanity.answers(labelled(["a", "b", "a", "b"], ["a", "b", "a", "b"])) == {}


def measured(*losses: float, accuracy: float = 0.5) -> list[dict]:
    return [
        {"step": 10 * place, "validation_loss": loss, "validation_token_accuracy": accuracy if place else 0.1}
        for place, loss in enumerate(losses)
    ]


def test_training_that_went_well_raises_nothing():
    assert sanity.training(measured(3.0, 2.0, 1.5), 20) == {}
    assert sanity.training([], 5) == {}  # no validation rows


@pytest.mark.parametrize(
    ("history", "best", "alarms"),
    [
        (measured(3.0, 0.01), 10, {"low_perplexity"}),
        (measured(3.0, 0.0, accuracy=1.0), 10, {"low_perplexity", "perfect_tokens"}),
        (measured(3.0, 0.5, accuracy=1.0), 10, {"perfect_tokens"}),
        (measured(3.0, 3.5, 4.0), 0, {"same_as_base"}),
        (measured(3.0, 3.0, 3.0), 20, {"same_as_base"}),
    ],
)
def test_training_that_gave_what_no_one_wants(history, best, alarms):
    assert sanity.training(history, best).keys() == alarms


# the stages ------------------------------------------------------------------------------------------------------------


def run_label(folder, rows: list[dict], alarms: dict | None = None, **changes) -> dict:
    """The metrics of `label` on rows of one source."""
    write_rows(folder / "raw" / "local" / "f.jsonl", [{"id": f"f#{i}", **row} for i, row in enumerate(rows)])
    write_json(
        folder / "raw" / "sources.json", {"sources": {"local": {"yields": "rows"}}, **({"alarms": alarms} if alarms else {})}
    )
    out = [folder / name for name in ("labeled.jsonl", "dropped.jsonl", "metrics.json")]
    label.main("tiny", label_params(**changes), label.Paths(folder / "raw", *out))
    return read_json(out[2])


def test_scrape_says_what_a_wrong_reader_gives(tmp_path, capsys):
    rows = [{"question": f"<h2>Question {i}</h2>", "answer": f"Number {i}"} for i in range(9)]
    write_rows(tmp_path / "in" / "a.jsonl", rows)
    scrape.main("tiny", scrape_params(files="*.jsonl"), scrape.Paths(tmp_path / "in", tmp_path / "raw"))
    assert read_json(tmp_path / "raw" / "sources.json")["alarms"]["markup"].startswith("local: ")
    assert "ALARM: scrape tiny: the reader gave rows that look like markup" in capsys.readouterr().err


def test_scrape_names_every_source_with_a_constant_column(tmp_path):
    rows = [{"question": f"q{i}", "answer": "yes"} for i in range(4)]
    write_rows(tmp_path / "in" / "a.jsonl", rows)
    params = {key: source_params(files="*.jsonl") for key in ("one", "two")}
    scrape.main(
        "tiny", type(scrape_params()).model_validate({"sources": params}), scrape.Paths(tmp_path / "in", tmp_path / "raw")
    )
    alarm = read_json(tmp_path / "raw" / "sources.json")["alarms"]["constant_column"]
    assert alarm == "one: response in all 4 rows; two: response in all 4 rows"


def test_label_keeps_the_alarms_of_scrape_and_does_not_say_them_again(tmp_path, capsys):
    assert run_label(tmp_path, PLAIN, {"markup": "local: 8 of 8 rows"})["alarms"] == {"markup": "local: 8 of 8 rows"}
    assert "ALARM" not in capsys.readouterr().err


def test_label_says_that_most_rows_were_dropped(tmp_path):
    rows = [*PLAIN[:2], *({"instruction": f"q{i}", "response": ""} for i in range(3))]
    assert run_label(tmp_path, rows)["alarms"] == {"mostly_dropped": "3 of 5; the most, 3, for: missing response"}
    assert "alarms" not in run_label(tmp_path / "good", PLAIN)


def test_label_says_that_no_row_has_a_label(tmp_path):
    rows = [{"instruction": f"q{i}", "response": ""} for i in range(4)]
    assert run_label(tmp_path, rows, required=["instruction"])["alarms"] == {"no_label": "none of 4 rows"}


def test_split_says_that_most_rows_were_dropped_but_for_a_sample(tmp_path):
    words = "the same long question asked again and again by everyone here about number"
    rows = [{"id": f"r#{i}", "task": "text", "instruction": f"{words} {i}", "response": f"r{i}"} for i in range(60)]
    rows += [{"id": f"r#{i}", "task": "text", "instruction": f"{i}{i} {i}?", "response": f"r{i}"} for i in range(60, 80)]
    write_rows(tmp_path / "labeled.jsonl", rows)
    shares = {"train": 0.9, "validation": 0.0, "test": 0.1}
    split.main(
        "tiny",
        split_params(near_duplicate=0.5, **shares),
        split.Paths(
            tmp_path / "labeled.jsonl",
            tmp_path / "splits",
            tmp_path / "split.json",
        ),
    )
    metrics = read_json(tmp_path / "split.json")
    assert 2 * sum(metrics["dropped"].values()) > len(rows) and "mostly_dropped" in metrics["alarms"]
    rows = [{"id": f"r#{i}", "task": "text", "instruction": f"question {i}", "response": f"r{i}"} for i in range(80)]
    write_rows(tmp_path / "labeled.jsonl", rows)
    split.main(
        "tiny", split_params(sample=0.3), split.Paths(tmp_path / "labeled.jsonl", tmp_path / "splits", tmp_path / "split.json")
    )
    metrics = read_json(tmp_path / "split.json")
    assert metrics["dropped"]["not sampled"] > 40 and "alarms" not in metrics


def test_format_says_that_most_rows_were_refused(tmp_path):
    good = [{"id": f"r#{i}", "task": "text", "instruction": f"q{i}", "response": "r"} for i in range(5)]
    odd = [{"id": f"o#{i}", "task": "text", "instruction": "q", "response": "to the END of it"} for i in range(9)]
    for part, rows in {"train": good[:2] + odd, "validation": good[2:3], "test": good[3:]}.items():
        write_rows(tmp_path / "splits" / f"{part}.jsonl", rows)
    out = [tmp_path / name for name in ("formatted", "format.json", "lengths.csv")]
    format_stage.main("tiny", completion_params(), format_stage.Paths(tmp_path / "splits", *out))
    metrics = read_json(out[1])
    assert sum(metrics["refused"].values()) == 9 and metrics["alarms"]["mostly_dropped"].startswith("9 of 14")


@pytest.mark.parametrize(
    "rows",
    [
        [{"instruction": f"Which value has gap {i}?", "response": "none"} for i in range(2)],  # two rows alone
        [{"instruction": f"q{i}", "response": "None of them" if i < 9 else f"r{i}"} for i in range(12)],
        [{"text": f"t{i}", "label": "none" if i % 2 else "null"} for i in range(12)],  # names of classes
        [{"instruction": f"q{i}", "response": "NaN" if i < 3 else f"r{i}"} for i in range(400)],  # under one in a hundred
        [{"instruction": f"q{i}", "input": f"q{i}", "response": f"r{i}"} for i in range(4)],
    ],
)
def test_texts_that_may_mean_what_they_say_set_off_no_alarm(rows):
    assert kept_alarms(rows) == {}


def test_words_for_nothing_are_found_in_every_column_but_for_the_labellers_own():
    rows = [{"instruction": f"q{i}", "input": "nan", "response": "none"} for i in range(4)]
    assert kept_alarms(rows, "none") == {"placeholders": "input: 4 rows, as 'nan' (of 4)"}
    turns = [{"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "NULL"}]} for i in range(4)]
    assert kept_alarms(turns) == {"placeholders": "messages: 4 rows, as 'NULL' (of 4)"}
    labels = [{"text": f"t{i}", "label": "nan" if i % 2 else "a"} for i in range(8)]
    assert kept_alarms(labels) == {"placeholders": "label: 4 rows, as 'nan' (of 8)"}
