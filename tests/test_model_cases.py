"""Data that models stumbled over, from `scrape` to `generate` on tiny bases: marks in texts, templates with habits, labels that
teach nothing, texts without a word. Each case on rows of our own, and on the handed ones where they are there."""

import json
from pathlib import Path

import pytest

from stages import format as format_stage
from stages import generate, label, scrape, split
from stages.common.errors import StageError
from stages.common.files import read_rows, write_rows
from stages.models.directory import load_tokenizer
from stages.models.prompting import encode_turn
from tests import answered, labelled, tiny, trained
from tests.data_helpers import (
    chat_params,
    classification_params,
    format_params,
    label_params,
    scrape_params,
    split_params,
)
from tests.models.shapes import NO_GENERATION
from tests.repository import ROOT

CASES = ROOT.parent / "shared" / "cases"
FORMATS = {"instruction": format_params, "messages": chat_params, "text": classification_params}
SIGNS = ["+", "-", "*"]


def turns(i: int, *before: dict) -> dict:
    said = [{"role": "user", "content": f"Name fruit {i}."}, {"role": "assistant", "content": f"Fruit {i} is a pear."}]
    return {"messages": [*before, *said]}


OWN = {  # rows of the same kinds as those handed over
    "special_in_answer": [
        {"instruction": f"What ends line {i}?", "response": f"The mark <|im_end|> ends line {i}, and </s> the page."}
        for i in range(24)
    ],
    "nogen": [turns(i) for i in range(24)],
    "system_refused": [turns(i, {"role": "system", "content": "Answer in few words."}) for i in range(24)],
    "one_class": [{"text": f"Parcel {i} came on day {i * 3}.", "label": "late"} for i in range(24)],
    "digit_texts_m": [
        {"text": f"{i} {sign} {j}", "label": "low" if i + j < 6 else "high"}
        for i in range(6)
        for j in range(6)
        for sign in SIGNS
    ],
}
OWN["special_trained"] = OWN["special_in_answer"]


@pytest.fixture(params=["own", "handed"])
def rows_of(request, tmp_path):
    """A function of a case's name: the folder of formatted rows."""

    def formatted(name: str) -> Path:
        source = tmp_path / "source" if request.param == "own" else CASES / name / "src"
        if request.param == "own":
            write_rows(source / "a.jsonl", OWN[name])
        elif not source.is_dir():
            pytest.skip(f"no {source}")
        columns = {name: name for name in next(read_rows(source))}
        raw, labeled, splits = tmp_path / "raw", tmp_path / "labeled.jsonl", tmp_path / "splits"
        scrape.main("d", scrape_params("jsonl", files="*.jsonl", columns=columns), scrape.Paths(source, raw))
        label.main("d", label_params(required=list(columns)), label.Paths(raw, labeled, tmp_path / "no", tmp_path / "l.json"))
        stratify = "label" if name == "digit_texts_m" else ""
        split.main("d", split_params(stratify=stratify), split.Paths(labeled, splits, tmp_path / "s.json"))
        out = format_stage.Paths(splits, tmp_path / "formatted", tmp_path / "f.json", tmp_path / "lengths.csv")
        format_stage.main("d", FORMATS[next(iter(columns))](), out)
        return tmp_path / "formatted"

    return formatted


def base(folder: Path, chat: str = tiny.CHAT) -> Path:
    """A tiny base that knows the marks of ChatML as tokens."""
    tiny.base(folder, chat=chat)
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.save_pretrained(folder)
    return folder


def answered_rows(work: Path) -> list[dict]:
    """What `generate` writes of the trained model."""
    return answered.run(work, tiny.generation(), work / "model", work / "base")


@pytest.mark.parametrize("name", ["special_in_answer", "special_trained"])
def test_a_mark_in_an_answer_is_letters_and_is_counted(tmp_path, rows_of, name):
    formatted = rows_of(name)
    base(tmp_path / "base")
    counts = trained.run(tmp_path, tiny.training(epochs=1))["rows"]
    assert counts["rows"] == counts["marked"] > 9 and "refused" not in counts
    tokenizer = load_tokenizer(tmp_path / "model")
    marks = set(tokenizer.added_tokens_encoder.values())
    for row in read_rows(formatted / "train"):
        *inside, end = encode_turn(tokenizer, row["messages"], row["completion"]).answer
        assert end == tokenizer.eos_token_id and not marks & {*inside}
        assert tokenizer.decode(inside).strip() == row["completion"]
    answers = [answer for row in answered_rows(tmp_path) for answer in row["answers"].values()]
    assert {answer["finish"] for answer in answers} <= {"stop", "length"}


def test_rows_that_all_hold_a_mark_of_the_template_in_letters_are_told(tmp_path):
    tiny.base(tmp_path / "base")  # whose template writes <user> in letters
    rows = [{"id": f"r#{i}", "messages": turns(i)["messages"][:1], "completion": f"Write <user> {i}."} for i in range(6)]
    for part in ("train", "validation", "test"):
        write_rows(tmp_path / "formatted" / part / "000.jsonl", [row | {"task": "text", "place": 0} for row in rows])
    contract = {"style": "chat", "chat_template": None, "stop": []}
    (tmp_path / "formatted" / "prompt.json").write_text(json.dumps(contract))
    (tmp_path / "formatted" / "labels.json").write_text('{"labels": [], "names": []}')
    with pytest.raises(StageError, match=r"no row that can be read [^$]*'refused': 6[^$]*take the marks"):
        trained.run(tmp_path, tiny.training())


def test_a_template_that_passes_over_the_prompt_is_led_up_to_the_answer(tmp_path, rows_of):
    rows_of("nogen")
    base(tmp_path / "base", NO_GENERATION)
    trained.run(tmp_path, tiny.training(epochs=1))
    rows = answered_rows(tmp_path)
    assert rows and all(row["answers"]["tuned"]["prompt"].endswith("<assistant> ") for row in rows)


def test_a_refused_system_turn_is_told_before_training(tmp_path, rows_of):
    rows_of("system_refused")
    base(
        tmp_path / "base", "{% if messages[0].role == 'system' %}{{ raise_exception('No system turn') }}{% endif %}" + tiny.CHAT
    )
    with pytest.raises(StageError, match=r"\d+ rows \(.*(.|\n)*No system turn"):
        trained.run(tmp_path, tiny.training())


def test_one_label_alone_is_refused_before_training(tmp_path, rows_of):
    formatted = rows_of("one_class")
    with pytest.raises(StageError, match="one label only"):
        labelled.tuned(formatted, tiny.encoder(tmp_path / "base"), tmp_path / "model")


def test_chosen_rows_of_one_label_are_refused_before_training(tmp_path):
    formatted = labelled.formatted(tmp_path / "formatted")
    rows = sorted(read_rows(formatted / "train"), key=lambda row: row["label"])
    write_rows(formatted / "train" / "000.jsonl", ({**row, "place": place} for place, row in enumerate(rows)))
    with pytest.raises(StageError, match=r"train\.rows\n[^$]*\[0, 8\], 8 rows of one label only \(animal\)"):
        labelled.tuned(formatted, tiny.encoder(tmp_path / "base"), tmp_path / "model", rows=[0, 8])


def test_no_row_to_label_is_told(tmp_path):
    formatted = labelled.formatted(tmp_path / "formatted")
    write_rows(formatted / "test" / "000.jsonl", [])
    with pytest.raises(StageError, match=r"formatted/test\n[^$]*no row[^$]*split\.test"):
        labelled.answer(tmp_path, formatted, tmp_path / "model", tmp_path / "base", tmp_path / "base")


def test_an_answer_longer_than_the_context_is_refused_and_not_counted_as_empty(tmp_path):
    tiny.base(tmp_path / "model"), tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    places = {"formatted": tmp_path / "formatted", "model": tmp_path / "model", "base": tmp_path / "base"}
    paths = generate.Paths(**places, root=tmp_path / "base", out=tmp_path / "answers.jsonl", speed=tmp_path / "speed.json")
    with pytest.raises(StageError, match=r"models\.m\.generate\.max_new_tokens\n[^$]*none of 7 prompts fits[^$]*lower it"):
        generate.main("m", tiny.generation(max_new_tokens=tiny.CONTEXT), paths)


def test_texts_without_a_word_are_answered_and_compared(tmp_path, rows_of):
    formatted = rows_of("digit_texts_m")
    root = tiny.encoder(tmp_path / "base")
    model = labelled.tuned(formatted, root, tmp_path / "model", epochs=1)
    rows = labelled.answer(tmp_path, formatted, model, root, root)
    assert rows and all(row["answers"]["tfidf"]["reads"] == "char" for row in rows)


def test_weights_that_the_last_step_broke_are_not_saved(tmp_path):
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    write_rows(tmp_path / "formatted" / "validation" / "000.jsonl", [])  # no loss after the last step
    with pytest.raises(StageError, match=r"step 1\n[^$]*weights that are no numbers: [^$]*learning_rate"):
        trained.run(tmp_path, tiny.training(batch_rows=24, epochs=1, learning_rate=1e39))
    assert not (tmp_path / "model").exists()


def test_answers_that_max_tokens_cuts_are_told(tmp_path):
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    metrics = trained.run(tmp_path, tiny.training(epochs=1, max_tokens=48))
    assert metrics["alarms"]["mostly_cut"] == f"{metrics['rows']['cut']} of 24 rows"
