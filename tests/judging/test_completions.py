"""The completion style from training to figures: what is compared ends before the stop string, what is learned with it."""

import json

import numpy as np
import pytest

from stages import generate, judge, train
from stages.common.files import read_rows, write_json, write_rows
from stages.decoding.text_answers import expected
from stages.models import directory
from stages.prompts import completion
from stages.tasks.batches import encode
from stages.tasks.score import score
from tests import tiny
from tests.data_helpers import completion_params

CONTRACT = completion.contract(completion_params())


def reviews(count: int, first: int = 0) -> list[dict]:
    work = []
    for i in range(first, first + count):
        broken, beside = tiny.THINGS[i % 12], tiny.THINGS[(i + 5) % 12]
        said = [broken, beside] if i % 3 else []
        row = {"id": f"row#{i}", "instruction": f"{broken} {i} and {beside} broke", "response": ", ".join(said) or "none"}
        (formatted,) = completion.rows(row, completion_params())
        work.append({**formatted, "place": i})
    return work


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A model tuned on completions, its answers to weakly labelled test rows, and their figures."""
    folder = tmp_path_factory.mktemp("made")
    formatted = folder / "formatted"
    for part, count, first in (("train", 24, 0), ("validation", 6, 24)):
        write_rows(formatted / part / "000.jsonl", reviews(count, first))
    write_rows(formatted / "test" / "000.jsonl", [{**row, "weak": tiny.THINGS[0]} for row in reviews(7, 30)])
    write_json(formatted / "prompt.json", CONTRACT)
    write_json(formatted / "labels.json", {"labels": [], "names": []})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(folder / "scratch"))
        base, model = tiny.base(folder / "base", chat=None), folder / "tuned"
        tiny.encoder(folder / "encoder")
        files = {name: folder / f"tuned.{name}" for name in ("table", "metrics", "speed")}
        places = {"rows": formatted / "train", "formatted": formatted, "base": base, "out": model}
        train.main("tuned", tiny.training(epochs=8), train.Paths(**places, **files))
        places = {"formatted": formatted, "model": model, "base": base, "root": base}
        options = tiny.generation(max_new_tokens=24, shots=2)
        generate.main("tuned", options, generate.Paths(**places, out=folder / "answers.jsonl", speed=folder / "s.json"))
        outs = {"verdicts": "verdicts.jsonl", "metrics": "scores.json", "details": "details.json", "table": "scores.csv"}
        outs = {output: folder / name for output, name in outs.items()} | {"speed": folder / "s.json"}
        params = tiny.judging(measures=["parts"])
        judge.main(
            "tuned",
            params,
            judge.Paths(answers=folder / "answers.jsonl", encoder=folder / "encoder", marks=folder / "marks", **places, **outs),
        )
    return folder


@pytest.mark.parametrize(
    ("completed", "compared"),
    [
        (" wheel, seat END", {"expected": "wheel, seat", "completion": " wheel, seat END"}),
        ("wheel END of", {"expected": "wheel", "completion": "wheel END of"}),
        ("wheel", {"expected": "wheel"}),
        ("The END.", {"expected": "The", "completion": "The END."}),
        (None, {"expected": None}),
    ],
)
def test_the_expected_answer_ends_where_answers_end(completed, compared):
    assert expected(completed, [" END"]) == compared


def test_without_stop_strings_nothing_is_cut():
    assert expected(" a END ", []) == {"expected": " a END "}


def test_answers_carry_expected_completion_and_weak(work):
    rows = list(read_rows(work / "answers.jsonl"))
    for row, test in zip(rows, reviews(7, 30), strict=True):
        assert row["completion"] == test["completion"] == f" {row['expected']} END"
        assert row["weak"] == tiny.THINGS[0] and list(row["answers"]) == ["tuned", "base", "base_shots"]
        assert row["answers"]["tuned"]["prompt"] == f"{row['messages'][0]['content']} ->"
        assert " END" not in row["answers"]["tuned"]["text"]


def test_the_likelihood_is_of_all_that_was_learned(work):
    """The stop string counts: a model that does not end its answers is less likely to say them."""
    folder = work / "tuned"
    model, tokenizer = directory.load(folder), directory.load_tokenizer(folder)
    examples = [encode(row, tokenizer, tiny.CONTEXT) for row in reviews(7, 30)]
    scores = list(score(model, examples, tiny.scoring(512)))
    likelihoods = [row["likelihood"]["tuned"] for row in read_rows(work / "verdicts.jsonl")]
    assert [likelihood[:2] for likelihood in likelihoods] == [[pytest.approx(s.nll, rel=1e-3), s.tokens] for s in scores]
    details = json.loads((work / "details.json").read_text())
    nats, octets = sum(s.nll for s in scores), sum(len(row["completion"].encode()) for row in reviews(7, 30))
    assert details["tuned"]["bits_per_byte"]["value"] == pytest.approx(nats / np.log(2) / octets, rel=1e-4)


def test_examples_are_shown_to_the_judged_base_as_it_saw_them(work):
    """With their stop strings, which the base is to end its own answer with."""
    row = next(read_rows(work / "answers.jsonl"))
    shown = {review["id"]: review for review in reviews(24)}
    turns = [
        turn
        for shot in row["answers"]["base_shots"]["shots"]
        for turn in (*shown[shot]["messages"], {"role": "assistant", "content": shown[shot]["completion"]})
    ]
    assert row["answers"]["base_shots"]["prompt"].count(" END") == 2
    example = encode({**row, "messages": [*turns, *row["messages"]]}, directory.load_tokenizer(work / "tuned"), tiny.CONTEXT)
    (row_score,) = score(directory.load(work / "base"), [example], tiny.scoring(512))
    verdict = next(read_rows(work / "verdicts.jsonl"))
    assert verdict["likelihood"]["base_shots"][:2] == [pytest.approx(row_score.nll, rel=1e-4), row_score.tokens]


def test_figures_of_parts_and_their_references(work):
    details, scores = (json.loads((work / name).read_text()) for name in ("details.json", "scores.json"))
    assert set(details["constant"]) == set(details["labeller"]) < set(details["tuned"])
    right = sum(tiny.THINGS[0] in row["expected"].split(", ") for row in read_rows(work / "answers.jsonl"))
    meant = sum(len(row["expected"].split(", ")) for row in read_rows(work / "answers.jsonl") if row["expected"] != "none")
    assert details["labeller"]["parts_f1"]["value"] == pytest.approx(2 * right / (7 + meant), abs=1e-6)
    assert {"tuned", "gain", "low", "high", "constant", "labeller"} == set(scores["parts_f1"])
    assert details["gain"]["parts_f1"]["over"] in ("base", "constant")
    assert "over" not in details["labeller"] and "labeller" not in {gain["over"] for gain in details["gain"].values()}
    verdict = next(read_rows(work / "verdicts.jsonl"))
    assert not {"constant", "labeller"} & verdict["scores"]["embedded"].keys()  # no judge is asked of them
