"""`affinage elsewhere`: other datasets' held-back rows, read before and after tuning."""

import json
import shutil

import pytest

from affinage.commands import elsewhere
from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.files import read_rows, write_rows
from stages.common.params import read
from stages.decoding.causal.likelihood import Likelihoods
from stages.decoding.contestants import contestants
from stages.models.prompting import write_prompt
from tests import tiny
from tests.affinage.running import affinage
from tests.imports import ROOT

PARAMS = check(read(ROOT / "params.yaml"), ROOT / "params.yaml")
TEXTS = ["medical_qa", "instructions", "car_reviews", "elements"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A tuned model, its base and the rows of two other datasets, as the current directory."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    tiny.base(tmp_path / "models" / "smollm2")
    tiny.base(tmp_path / "models" / "medical", seed=1)
    for dataset in TEXTS:
        tiny.formatted(tmp_path / "data" / dataset / "formatted")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_the_likelihood_that_the_judge_measures(here):
    """On rows of its own dataset, base and model read as the contestants `base` and `tuned` do."""
    from stages.models.directory import load_tokenizer, save
    from stages.models.prompting import adopt_template

    tuned = here / "models" / "medical"
    tokenizer = load_tokenizer(tuned)
    adopt_template(tokenizer, tiny.CONTRACT["chat_template"])
    save(tuned, tiny.model(seed=1), tokenizer)
    write_prompt(tuned, tiny.CONTRACT)
    on = elsewhere.elsewhere("medical", ["medical_qa"])["on"]["medical_qa"]
    measured = on["prompts"]["formatted"]
    field = {c.name: c for c in contestants(tuned, here / "models" / "smollm2", here / "models" / "smollm2")}
    rows = [row | {"expected": row["completion"]} for row in read_rows(here / "data" / "medical_qa" / "formatted" / "test")]
    same = (("formatted", "before", "base"), ("formatted", "after", "tuned"), ("own", "before", "base_chat"))
    for prompt, side, name in same:
        scores = Likelihoods().of(field[name], rows)
        right = sum(score.correct for score in scores) / sum(score.tokens for score in scores)
        assert on["prompts"][prompt]["token_accuracy"][side]["value"] == pytest.approx(right)
    change = measured["perplexity"]["after"]["value"] - measured["perplexity"]["before"]["value"]
    assert measured["perplexity"]["change"]["value"] == pytest.approx(change)
    assert measured["perplexity"]["change"]["low"] < measured["perplexity"]["change"]["high"]
    assert (on["rows"], measured["outside_context"]) == (7, 0)


def test_a_model_that_is_its_base_lost_nothing(here):
    shutil.rmtree(here / "models" / "medical")
    shutil.copytree(here / "models" / "smollm2", here / "models" / "medical")
    by_dataset = elsewhere.elsewhere("medical", [])["on"]
    assert by_dataset
    for on in by_dataset.values():
        assert on["prompts"].keys() == {"formatted", "own"}
        for of in on["prompts"].values():
            assert set(of["perplexity"]["change"].values()) == set(of["token_accuracy"]["change"].values()) == {0.0}


def test_all_other_datasets_of_texts_are_read_unless_some_are_named():
    assert elsewhere.datasets_for("medical", [], PARAMS) == TEXTS[1:]
    assert elsewhere.datasets_for("medical", ["elements"], PARAMS) == ["elements"]


@pytest.mark.parametrize(
    ("model", "on", "reason"),
    [
        ("nothing", [], "no 'nothing'"),
        ("invoices", [], "others find no text likely"),
        ("medical", ["invoices"], "a dataset of texts"),
        ("medical", ["weather"], "a dataset of texts"),
    ],
)
def test_what_cannot_be_read_is_refused(model, on, reason):
    with pytest.raises(StageError, match=reason):
        elsewhere.datasets_for(model, on, PARAMS)


def test_rows_that_are_not_there_or_too_few_are_named(here):
    shutil.rmtree(here / "data" / "instructions")
    with pytest.raises(StageError, match="dvc repro format@instructions"):
        elsewhere.elsewhere("medical", ["instructions"])
    write_rows(here / "data" / "elements" / "formatted" / "test" / "000.jsonl", tiny.rows(1))
    with pytest.raises(StageError, match="at least two held-back rows"):
        elsewhere.elsewhere("medical", ["elements"])


def test_a_row_outside_of_the_context_counts_for_neither(here):
    rows = tiny.rows(4)
    rows[0]["messages"][0]["content"] = "why " * 300
    write_rows(here / "data" / "elements" / "formatted" / "test" / "000.jsonl", rows)
    on = elsewhere.elsewhere("medical", ["elements"])["on"]["elements"]
    assert (on["rows"], on["prompts"]["formatted"]["outside_context"]) == (4, 1)


def test_on_the_command_line(here, capsys):
    elsewhere.command("medical", ["instructions"])
    first, second, *_, file = capsys.readouterr().out.splitlines()
    assert first == "instructions, 7 held-back rows" and second.startswith("  as formatted: perplexity ")
    assert file == "metrics/medical/elsewhere.json"
    written = (here / file).read_bytes()
    assert json.loads(written)["on"].keys() == {"instructions"}
    elsewhere.command("medical", ["instructions"])
    assert (here / file).read_bytes() == written
    assert "--on" in affinage("elsewhere", "--help")
