import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages import format as stage
from stages import label, scrape, split
from stages.common.errors import StageError
from stages.common.files import read_json, read_rows, write_rows
from stages.prompts import style
from stages.prompts.lengths import Lengths
from stages.splits import PARTS
from tests.data_helpers import (
    chat_params,
    classification_params,
    completion_params,
    format_params,
    jsonl,
    label_params,
    names,
    odd_text,
    scrape_params,
    split_params,
)


def row(number: int = 1, **more) -> dict:
    return {"id": f"f#{number}", "task": "text", "instruction": f"question {number}", "response": f"answer {number}", **more}


def run(tmp_path, train: list[dict], **changes) -> dict:
    """Format into `tmp_path/out`, with one row each for validation and test; the metrics."""
    for part in PARTS:
        write_rows(tmp_path / "splits" / f"{part}.jsonl", train if part == "train" else [row(0)])
    stage.main(
        "set",
        format_params(**changes),
        stage.Paths(
            tmp_path / "splits",
            tmp_path / "out",
            tmp_path / "metrics.json",
            tmp_path / "lengths.csv",
        ),
    )
    return read_json(tmp_path / "metrics.json")


@cache
def template(preamble: str) -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(style("alpaca").contract(format_params(preamble=preamble))["chat_template"])


def render(messages: list[dict], preamble: str = "", **more) -> str:
    """What `transformers` makes of the contract's template."""
    return template(preamble).render(messages=messages, eos_token="<end>", **more)


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def test_rows_become_conversations(tmp_path):
    rows = [
        row(1),
        row(2, input="the input"),
        row(3, input="", paraphrase="another", topic="left behind"),
        row(4, paraphrase=""),
    ]
    run(tmp_path, rows)
    assert list(read_rows(tmp_path / "out" / "train")) == [
        {"id": "f#1", "task": "text", "place": 0, "messages": [user("question 1")], "completion": "answer 1"},
        {
            "id": "f#2",
            "task": "text",
            "place": 1,
            "messages": [user("question 2\n\n### Input:\nthe input")],
            "completion": "answer 2",
        },
        {
            "id": "f#3",
            "task": "text",
            "place": 2,
            "messages": [user("question 3")],
            "completion": "answer 3",
            "paraphrase": "another",
        },
        {"id": "f#4", "task": "text", "place": 3, "messages": [user("question 4")], "completion": "answer 4"},
    ]
    shards = {"train/000.jsonl", "validation/000.jsonl", "test/000.jsonl"}
    assert names(tmp_path / "out") == {*PARTS, *shards, "prompt.json", "labels.json", "refused.jsonl"}
    assert read_json(tmp_path / "out" / "prompt.json") == style("alpaca").contract(format_params())


def formatted(tmp_path, params, **parts: list[dict]) -> dict:
    """Format these rows; the metrics."""
    for part in PARTS:
        write_rows(tmp_path / "splits" / f"{part}.jsonl", parts.get(part, []))
    stage.main("set", params, stage.Paths(tmp_path / "splits", tmp_path / "out", tmp_path / "m.json", tmp_path / "lengths.csv"))
    return read_json(tmp_path / "m.json")


def test_refused_rows_are_written_with_their_reason_and_counted(tmp_path):
    bad = row(2, instruction="a -> b")
    metrics = formatted(tmp_path, completion_params(), train=[row(1), bad], test=[row(3, response="the END")])
    assert metrics["rows"] == {"train": 1, "validation": 0, "test": 0}
    assert metrics["refused"] == {"completion ending in the completion": 1, "prompt ending in the prompt": 1}
    refused = jsonl(tmp_path / "out" / "refused.jsonl")
    assert refused[0] == {"reason": "prompt ending in the prompt", "part": "train", **bad}
    with pytest.raises(StageError, match="no usable row in train[^$]*prompt ending in the prompt"):
        formatted(tmp_path, completion_params(), train=[bad])


def test_places_count_formatted_rows_from_0_in_each_part_and_over_shards(tmp_path):
    turns = [user("a"), assistant("b"), user("c"), assistant("d")]
    train = [row(1), {"id": "f#2", "task": "text", "messages": turns}, row(3)]
    formatted(tmp_path, chat_params(shard_rows=2), train=train, validation=[row(4)], test=[row(5), row(6)])
    places = {part: [(row["id"], row["place"]) for row in read_rows(tmp_path / "out" / part)] for part in PARTS}
    assert places["train"] == [("f#1", 0), ("f#2/turn1", 1), ("f#2", 2), ("f#3", 3)]
    assert (places["validation"], places["test"]) == ([("f#4", 0)], [("f#5", 0), ("f#6", 1)])


def test_a_refused_row_takes_no_place(tmp_path):
    formatted(tmp_path, completion_params(), train=[row(1), row(2, instruction="a -> b"), row(3)], test=[row(4)])
    assert [(row["id"], row["place"]) for row in read_rows(tmp_path / "out" / "train")] == [("f#1", 0), ("f#3", 1)]


def label_row(number: int, label: str, **more) -> dict:
    return {"id": f"f#{number}", "task": "label", "text": f"text {number}", "label": label, "supplier": "x", **more}


def test_texts_with_labels(tmp_path):
    train = [label_row(1, "607", label_name="Achats"), label_row(2, "2183"), label_row(3, "607", label_name="Achats")]
    metrics = formatted(tmp_path, classification_params(), train=train, test=[label_row(4, "2183")])
    assert next(read_rows(tmp_path / "out" / "train")) == {
        "id": "f#1",
        "task": "label",
        "place": 0,
        "text": "text 1",
        "label": "607",
    }
    assert read_json(tmp_path / "out" / "labels.json") == {"labels": ["2183", "607"], "names": ["2183", "Achats"]}
    assert read_json(tmp_path / "out" / "prompt.json") == {"style": "classification", "chat_template": None, "stop": []}
    assert (metrics["labels"], metrics["completion"]) == (2, {})


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_label_that_train_never_has_is_named(tmp_path, part):
    with pytest.raises(StageError, match=rf"{part} row f#2\n[^$]*label '607'[^$]*one of 2183[^$]*split.stratify"):
        formatted(tmp_path, classification_params(), train=[label_row(1, "2183")], **{part: [label_row(2, "607")]})
    assert not (tmp_path / "out").exists()


def test_the_histogram_has_every_row(tmp_path):
    run(tmp_path, [row(i, response="word " * i) for i in range(1, 20)])
    lines = (tmp_path / "lengths.csv").read_text().splitlines()
    assert lines[0] == "words,prompts,completions"
    table = [list(map(int, line.split(","))) for line in lines[1:]]
    assert [sum(column) for column in zip(*table, strict=True)][1:] == [21, 21]


def shards(tmp_path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((tmp_path / "out" / "train").iterdir())}


@pytest.mark.parametrize(("before", "after"), [(5, 6), (6, 7), (6, 20), (1, 2)])
def test_appended_rows_leave_full_shards_and_the_start_of_the_last_one_alone(tmp_path, before, after):
    rows = [row(i) for i in range(after)]
    run(tmp_path, rows[:before], shard_rows=3)
    first = shards(tmp_path)
    run(tmp_path, rows, shard_rows=3)
    second = shards(tmp_path)
    assert len(second) == -(-after // 3)
    assert all(content.count(b"\n") == 3 for content in list(second.values())[:-1])
    for name, content in first.items():
        full = content.count(b"\n") == 3
        assert second[name] == content if full else second[name].startswith(content)
    assert list(read_rows(tmp_path / "out" / "train")) == [json.loads(line) for line in b"".join(second.values()).splitlines()]


def test_too_many_shards_name_the_fix_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "SHARDS", 2)
    run(tmp_path, [row(i) for i in range(6)], shard_rows=3)
    before = shards(tmp_path)
    with pytest.raises(StageError, match="over 6 rows[^$]*raise datasets.<name>.format.shard_rows"):
        run(tmp_path, [row(i) for i in range(7)], shard_rows=3)
    assert shards(tmp_path) == before


def test_an_empty_part_is_an_empty_folder(tmp_path):
    assert run(tmp_path, [])["rows"] == {"train": 0, "validation": 1, "test": 1}
    assert list(read_rows(tmp_path / "out" / "train")) == []


def test_the_prompt():
    text = "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n"
    messages = style("alpaca").messages(row(instruction="Add.", input="1 2"), format_params())
    assert render(messages, add_generation_prompt=True) == text
    assert render(messages, "Do it.", add_generation_prompt=True) == f"Do it.\n\n{text}"


def test_the_training_text():
    assert render([user("Add."), assistant("3")]) == "### Instruction:\nAdd.\n\n### Response:\n3<end>\n\n"


def test_several_turns():
    turns = [user("a"), assistant("b"), user("c")]
    assert render(turns, add_generation_prompt=True) == (
        "### Instruction:\na\n\n### Response:\nb<end>\n\n### Instruction:\nc\n\n### Response:\n"
    )


def test_a_system_message_takes_the_place_of_the_preamble():
    messages = [{"role": "system", "content": "Be brief."}, user("a")]
    assert render(messages, "Not this.", add_generation_prompt=True) == "Be brief.\n\n### Instruction:\na\n\n### Response:\n"


texts = odd_text | st.sampled_from(["{{ 1 }}", "{% if %}", "\\n", "'", '"', "\\", " a \n", "\r\n", "{#", "### Response:\n"])


@given(question=texts, extra=texts, answer=texts, preamble=texts)
def test_the_prompt_is_a_prefix_of_the_training_text_and_no_text_is_changed(question, extra, answer, preamble):
    messages = style("alpaca").messages(row(instruction=question, input=extra), format_params())
    prompt = render(messages, preamble, add_generation_prompt=True)
    assert render([*messages, assistant(answer)], preamble) == f"{prompt}{answer}<end>\n\n"
    asked = question + (f"\n\n### Input:\n{extra}" if extra else "")
    assert prompt == (f"{preamble}\n\n" if preamble else "") + f"### Instruction:\n{asked}\n\n### Response:\n"


def test_lengths_as_counted_by_hand(tmp_path):
    answers = ["one", "one two", "one two three", "a b c d e f g h i j"]  # with the two rows below: 1 1 1 2 3 10 words
    for part in ("validation", "test"):
        write_rows(tmp_path / "splits" / f"{part}.jsonl", [row(instruction="why not", response="x")])
    write_rows(tmp_path / "splits" / "train.jsonl", [row(instruction="why", response=answer) for answer in answers])
    stage.main(
        "set", format_params(), stage.Paths(tmp_path / "splits", tmp_path / "out", tmp_path / "m.json", tmp_path / "m.csv")
    )
    metrics = read_json(tmp_path / "m.json")
    assert metrics["rows"] == {"train": 4, "validation": 1, "test": 1}
    assert metrics["completion"]["words"] == {"mean": 3.0, "median": 1, "p95": 10, "max": 10}
    assert metrics["completion"]["characters"] == {"mean": 7.33333, "median": 3, "p95": 19, "max": 19}  # 1 1 3 7 13 19
    assert metrics["prompt"]["words"] == {"mean": 1.33333, "median": 1, "p95": 2, "max": 2}


def test_a_percentile_is_the_smallest_length_that_enough_texts_do_not_exceed():
    lengths = Lengths()
    for count in range(1, 101):
        lengths.add("x" * count)
    assert lengths.summary()["characters"] == {"mean": 50.5, "median": 50, "p95": 95, "max": 100}
    assert Lengths().summary() == {}


def test_alpaca_from_its_source_to_prompts(tmp_path, real_data):
    columns = {"instruction": "instruction", "input": "input", "response": "output"}
    params = scrape_params("json", files="llamafactory_alpaca_en_demo.json", columns=columns)
    scrape.main("alpaca", params, scrape.Paths(real_data / "alpaca", tmp_path / "raw"))
    label.main(
        "alpaca", label_params(), label.Paths(tmp_path / "raw", tmp_path / "l.jsonl", tmp_path / "d.jsonl", tmp_path / "l.json")
    )
    split.main("alpaca", split_params(), split.Paths(tmp_path / "l.jsonl", tmp_path / "splits", tmp_path / "s.json"))
    stage.main(
        "alpaca",
        format_params(shard_rows=100),
        stage.Paths(tmp_path / "splits", tmp_path / "out", tmp_path / "f.json", tmp_path / "f.csv"),
    )
    by_id = {r["id"]: r for part in PARTS for r in read_rows(tmp_path / "out" / part)}
    labeled = jsonl(tmp_path / "l.jsonl")
    assert sum(read_json(tmp_path / "f.json")["rows"].values()) == len(labeled) == len(by_id)
    for r in labeled:
        prompt = render(by_id[r["id"]]["messages"], add_generation_prompt=True)
        assert prompt.startswith(f"### Instruction:\n{r['instruction']}\n\n### ")
        assert ("### Input:\n" + r["input"] in prompt) == bool(r["input"])
        assert by_id[r["id"]]["completion"] == r["response"]


@pytest.mark.parametrize("params", [chat_params(shard_rows=2), completion_params()])
def test_the_package_datasets_loads_what_is_formatted(tmp_path, params, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    formatted(tmp_path, params, train=[row(1), row(2), row(3)], validation=[row(4)], test=[row(5)])
    folder = tmp_path / "out"
    files = {part: f"{folder}/{part}/*.jsonl" for part in ("train", "validation", "test")}
    loaded = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {part: rows.num_rows for part, rows in loaded.items()} == {"train": 3, "validation": 1, "test": 1}
    assert loaded["train"].to_list() == [read for file in sorted((folder / "train").glob("*.jsonl")) for read in jsonl(file)]
