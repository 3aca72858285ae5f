"""Every recipe runs through every stage, its own parameters unchanged; a tiny random model stands in for its base."""

import json
import shutil
from functools import partial

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from affinage.commands import recipe
from stages import base, format, generate, judge, label, scrape, split, train
from stages.bases import hub, wheel
from stages.common.check_params import check
from stages.common.files import read_rows
from stages.common.params import read
from stages.common.schema_sources import Scrape, Source
from stages.models.directory import save
from stages.servers import openai_chat
from tests import tiny
from tests.imports import ROOT
from tests.servers.loopback import honest

HOSTED = "method: hosted"  # tests/training/hosted/test_recipes.py
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "recipes").glob("*.yaml")}
LOCAL = [name for name, text in TEXTS.items() if HOSTED not in text and "models:" in text]  # others: tests/test_data_recipes.py
MODELS = {name: next(iter(read(ROOT / "recipes" / f"{name}.yaml")["models"])) for name in LOCAL}  # one of each recipe


def stand_in(folder, kind: str, dataset: str, architecture: str):
    """What a hub snapshot or a wheel holds: GPT-2 has no chat template; the other has as many blocks as SmolLM2. For
    classifiers an encoder or Phi."""
    if dataset == "invoices":
        return tiny.encoder(folder) if architecture == "encoder" else tiny.base(folder, "phi", chat=None)
    ends = {"pad_token_id": tiny.PAD, "bos_token_id": tiny.BOS, "eos_token_id": tiny.EOS, "vocab_size": tiny.VOCABULARY}
    folder.mkdir()
    if kind == "hub":
        save(folder, GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=3, n_head=4, **ends)), tiny.tokenizer(chat=None))
    else:
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 30, "num_attention_heads": 4}
        save(folder, LlamaForCausalLM(LlamaConfig(**shape, **ends)), tiny.tokenizer())
    return folder


def at_hand(params: Scrape) -> Scrape:
    """The same sources, whose files lie here: tests/test_data_recipes.py fetches them."""
    common = set(Source.model_fields)
    sources = {
        key: {**source.model_dump(include=common), "kind": "local", "files": "*.json*"}
        for key, source in params.sources.items()
    }
    return Scrape.model_validate({"sources": sources})


@pytest.mark.slow
@pytest.mark.parametrize("recipe_name", sorted(MODELS))
def test_a_recipe_runs_from_source_to_verdict(recipe_name, tmp_path, monkeypatch, serve):
    name = MODELS[recipe_name]
    recipe.apply(recipe_name, ROOT / "recipes", shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))
    params = check(read(tmp_path / "params.yaml"), tmp_path / "params.yaml")
    model = params.models[name]
    dataset, work = params.datasets[model.dataset], tmp_path / "work"

    rows = [{"instruction": row["messages"][0]["content"], "input": "", "output": row["completion"]} for row in tiny.rows(600)]
    source = tmp_path / "source"
    source.mkdir()
    if model.dataset == "medical_qa":
        lines = [
            {"question": row["instruction"], "answer": row["output"], "focus": f"focus {i}"} for i, row in enumerate(rows[:80])
        ]
        (source / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    else:
        (source / "rows.json").write_text(json.dumps(rows if dataset.split.sample < 1 else rows[:80]))
    if model.dataset == "invoices":  # its own lines, for they must fit the chart of accounts
        source, sources = ROOT / dataset.source, dataset.scrape
    else:
        sources = at_hand(dataset.scrape)
    scrape.main(model.dataset, sources, scrape.Paths(source=source, out=work / "raw"))
    label.main(
        model.dataset,
        dataset.label,
        label.Paths(
            raw=work / "raw",
            labeled=work / "labeled.jsonl",
            dropped=work / "dropped.jsonl",
            metrics=work / "label.json",
        ),
    )
    split.main(
        model.dataset,
        dataset.split.model_copy(update={"near_duplicate": 0.0}),
        split.Paths(
            labeled=work / "labeled.jsonl",
            splits=work / "splits",
            metrics=work / "split.json",
        ),
    )
    format.main(
        model.dataset,
        dataset.format,
        format.Paths(
            splits=work / "splits",
            formatted=work / "formatted",
            metrics=work / "format.json",
            lengths=work / "lengths.csv",
        ),
    )

    entry = params.bases[model.base].base
    fetched = partial(stand_in, tmp_path / "fetched", entry.kind, model.dataset, entry.architecture)
    monkeypatch.setattr({"hub": hub, "wheel": wheel}[entry.kind], "fetch", lambda *_: fetched())
    base.main(model.base, entry, base.Paths(out=work / "base"))
    tiny.encoder(work / "encoder")
    train.main(
        name,
        model.train,
        train.Paths(
            rows=work / "formatted" / model.shards,
            formatted=work / "formatted",
            base=work / "base",
            out=work / "model",
            table=work / "results.csv",
            metrics=work / "train.json",
            speed=work / "speed.json",
        ),
    )
    generate.main(
        name,
        model.generate,
        generate.Paths(
            formatted=work / "formatted",
            model=work / "model",
            base=work / "base",
            root=work / "base",
            out=work / "answers.jsonl",
            speed=work / "speed.json",
        ),
    )
    server = serve(honest)  # where a recipe has a judge that is served
    monkeypatch.setenv("OLLAMA_HOST", server.address)
    monkeypatch.setattr(openai_chat, "OWN", f"{server.address}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    judge.main(
        name,
        model.judge,
        judge.Paths(
            answers=work / "answers.jsonl",
            formatted=work / "formatted",
            model=work / "model",
            base=work / "base",
            root=work / "base",
            encoder=work / "encoder",
            marks=work / "marks",
            verdicts=work / "verdicts.jsonl",
            metrics=work / "scores.json",
            details=work / "details.json",
            table=work / "scores.csv",
            speed=work / "speed.json",
        ),
    )

    answers = list(read_rows(work / "answers.jsonl"))
    losses = json.loads((work / "train.json").read_text())
    assert losses["validation_loss"] < losses["validation_loss_start"]
    scores = json.loads((work / "scores.json").read_text())
    if model.train.method == "classifier":
        assert set(answers[0]["answers"]) == {"tuned", "majority", "tfidf"} and 0 <= scores["accuracy"]["tuned"] <= 1
        return
    assert sum(row["expected"] is None for row in answers) == len(model.generate.probes)
    assert set(answers[0]["answers"]) == {"tuned", "base"} | ({"base_chat"} if entry.kind == "wheel" else set())
    assert scores["perplexity"]["high"] < 0
    asked = [key for key, options in model.judge.judges.items() if options.kind != "embedded"]
    assert bool(server.bodies) == bool(asked) and all("win_rate" in scores[key] for key in asked)
