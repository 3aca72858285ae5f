import json
import os

import pytest
import torch

from stages.common.errors import StageError
from stages.common.files import write_json, write_rows
from stages.models.directory import load, load_tokenizer, save
from stages.models.prompting import encode_prompt, read_prompt
from stages.tasks.batches import encode_all
from stages.tasks.score import score
from stages.training import loop
from tests import tiny, trained


@pytest.fixture
def work(tmp_path):
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    return tmp_path


def run(work, base="base", out="model", **params) -> dict:
    """Train; returns the metrics."""
    return trained.run(work, tiny.training(**params), base, out)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_two_runs_give_the_same_bytes(tmp_path, monkeypatch, architecture):
    for name in ("first", "second"):
        monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / name / "scratch"))
        tiny.base(tmp_path / name / "base", architecture)
        tiny.formatted(tmp_path / name / "formatted")
        run(tmp_path / name)
    outputs = [
        tiny.contents(*(tmp_path / name / output for output in ("model", "model.csv", "model.json")))
        for name in ("first", "second")
    ]
    assert outputs[0] == outputs[1] and len(outputs[0]) > 8


def test_the_table_has_the_columns_of_the_completion_era(work):
    run(work)
    assert (work / "model.csv").read_text().splitlines()[0] == (
        "step,elapsed_tokens,elapsed_examples,training_loss,training_sequence_accuracy,training_token_accuracy,"
        "validation_loss,validation_token_accuracy"
    )
    rows = trained.table(work)
    assert [row["step"] for row in rows] == list("123456")
    assert [row["elapsed_examples"] for row in rows] == ["8", "16", "24", "32", "40", "48"]
    assert [bool(row["validation_loss"]) for row in rows] == [False, False, True, False, False, True]


def test_metrics_agree_with_the_table_and_the_model(work):
    metrics, rows = run(work), trained.table(work)
    assert metrics["rows"] == {"rows": 24, "cut": 0, "prompt_too_long": 0, "marked": 0} and metrics["validation_rows"] == 6
    assert (metrics["steps"], metrics["tokens"]) == (6, int(rows[-1]["elapsed_tokens"]))
    assert metrics["validation_loss"] == min(float(row["validation_loss"]) for row in rows if row["validation_loss"])
    assert metrics["trained_parameters"] == sum(p.numel() for p in tiny.model().parameters())
    examples, _ = encode_all(tiny.rows(6, 24), load_tokenizer(work / "model"), 128)
    scores = list(score(load(work / "model"), examples, tiny.scoring(512)))
    loss = sum(s.nll for s in scores) / sum(s.tokens for s in scores)
    assert metrics["validation_loss"] == pytest.approx(loss, abs=1e-5)
    assert metrics["validation_loss"] < metrics["validation_loss_start"]


@pytest.mark.parametrize(
    "tune",
    [{"kind": "full"}, {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "base": "plain", "save": "merged"}],
    ids=lambda tune: tune["kind"],
)
def test_a_later_round_starts_where_its_parent_ended(work, tune):
    first = run(work, tune=tune)
    second = run(work, base="model", out="second", tune=tune)
    assert second["validation_loss_start"] == pytest.approx(first["validation_loss"], abs=1e-5)
    assert second["validation_loss_start"] < first["validation_loss_start"]
    parent = json.loads((work / "second" / "parent.json").read_text())
    assert parent["base"] == "model" and parent["sha256"] != json.loads((work / "model" / "parent.json").read_text())["sha256"]


def test_blocks_that_did_not_learn_are_the_files_of_the_base(work):
    run(work, tune={"kind": "top_layers", "layers": 1})
    places = json.loads((work / "base" / "model.safetensors.index.json").read_text())["weight_map"]
    before, after = tiny.contents(work / "base"), tiny.contents(work / "model")
    learned = {place for name, place in places.items() if name.startswith(("model.layers.2.", "model.norm."))}
    assert {name for name in set(places.values()) if before[f"base/{name}"] != after[f"model/{name}"]} == learned


def test_adapters_are_merged(work):
    run(work, tune={"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "base": "plain", "save": "merged"})
    names = json.loads((work / "model" / "model.safetensors.index.json").read_text())["weight_map"]
    assert names == json.loads((work / "base" / "model.safetensors.index.json").read_text())["weight_map"]
    assert not any("adapter" in file.name for file in (work / "model").iterdir())


def test_the_model_carries_its_prompt(work):
    (work / "formatted" / "prompt.json").write_text(json.dumps({**tiny.CONTRACT, "stop": ["###"]}))
    run(work)
    assert read_prompt(work / "model") == {"style": "alpaca", "stop": ["###"]}
    prompt = encode_prompt(load_tokenizer(work / "model"), [{"role": "user", "content": "Why?"}])
    assert tiny.tokenizer().decode(prompt) == "### Instruction:\nWhy?\n\n### Response:\n"


def test_no_path_is_written(work):
    run(work)
    for name, content in tiny.contents(work / "model").items():
        assert str(work).encode() not in content, name


def test_cut_and_left_out_rows_are_counted(work):
    rows = tiny.rows(12)
    rows[0]["completion"] *= 20
    rows[1]["messages"][0]["content"] *= 20
    write_rows(work / "formatted" / "train" / "000.jsonl", rows)
    assert run(work)["rows"] == {"rows": 12, "cut": 1, "prompt_too_long": 1, "marked": 0}


def test_shards_are_read_together(work):
    write_rows(work / "formatted" / "train" / "001.jsonl", tiny.rows(3, 100))
    assert run(work)["rows"]["rows"] == 27


def test_no_row_that_fits_is_an_error(work):
    with pytest.raises(StageError, match="models.model.train.max_tokens"):
        run(work, max_tokens=8)
    assert not (work / "model").exists()


def test_a_vocabulary_smaller_than_the_tokenizer_s_names_the_row_and_the_token(work):
    """As a base has whose embeddings were resized without its tokenizer."""
    model, words = load(work / "base"), load_tokenizer(work / "base")
    model.resize_token_embeddings(300)
    (work / "resized").mkdir()
    save(work / "resized", model, words)
    for looked_at in ({}, {"wrong_rows": [0, 8], "wrong_times": 1}):
        with pytest.raises(StageError, match="row row#(.|\n)*a number below 300, the rows of the base's embeddings"):
            run(work, "resized", **looked_at)


def test_more_tokens_than_the_context_is_an_error(work):
    with pytest.raises(StageError, match=f"models.model.train.max_tokens(.|\n)*at most {tiny.CONTEXT}"):
        run(work, max_tokens=tiny.CONTEXT + 1)


def test_without_validation_rows(work):
    (work / "formatted" / "validation" / "000.jsonl").unlink()
    metrics = run(work)
    assert metrics["validation_loss"] is None and metrics["validation_loss_start"] is None and metrics["best_step"] == 6
    assert not any(row["validation_loss"] for row in trained.table(work))


@pytest.fixture
def steps(monkeypatch):
    return trained.interrupt_the_fourth_step(monkeypatch)


def test_a_failure_leaves_no_output_and_a_rerun_goes_on(work, steps):
    with pytest.raises(KeyboardInterrupt):
        run(work, out="model")
    assert not list(work.glob("*model*"))
    run(work, out="model")
    assert steps == [0, 1, 2, 3, 3, 4, 5]  # nothing is done again
    assert not any(path.is_file() for path in (work / "scratch").rglob("*"))
    run(work, out="calm")
    for disturbed, calm in (("model", "calm"), ("model.csv", "calm.csv"), ("model.json", "calm.json")):
        assert list(tiny.contents(work / disturbed).values()) == list(tiny.contents(work / calm).values())


def test_a_run_whose_checkpoint_lies_before_its_last_look_ends_as_a_calm_one(work, monkeypatch):
    """Killed in the second epoch, after a checkpoint in the first: the steps and the look between are done again."""
    save, saved = loop.Checkpoints.save, []

    def first_alone(self, state: dict) -> None:
        saved.append(state["state"]["step"])
        if saved == [1]:
            save(self, state)

    with monkeypatch.context() as patch:
        begun = trained.interrupt_the_fourth_step(patch)
        patch.setattr(loop.Checkpoints, "save", first_alone)
        with pytest.raises(KeyboardInterrupt):
            run(work, out="model")
    run(work, out="model")
    run(work, out="calm")
    assert (begun, saved) == ([0, 1, 2, 3], [1, 2, 3])
    for disturbed, calm in zip(trained.outputs(work), trained.outputs(work, "calm"), strict=True):
        assert list(tiny.contents(disturbed).values()) == list(tiny.contents(calm).values())


def test_a_cpu_with_other_instructions_does_not_go_on_in_another_precision(work, steps, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    with pytest.raises(KeyboardInterrupt):
        run(work, precision="auto")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert run(work, precision="auto")["precision"] == "fp32"
    assert steps == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    first = run(work, precision="auto", out="first")
    assert first["precision"] == "bf16" and run(work, precision="auto", out="again") == first
    for file, same in zip(trained.outputs(work, "first"), trained.outputs(work, "again"), strict=True):
        assert list(tiny.contents(file).values()) == list(tiny.contents(same).values())


@pytest.mark.parametrize("change", ["params", "data", "base"])
def test_a_checkpoint_of_other_inputs_is_not_used(work, steps, change):
    with pytest.raises(KeyboardInterrupt):
        run(work)
    if change == "data":
        write_rows(work / "formatted" / "train" / "000.jsonl", tiny.rows(24, 200))
    elif change == "base":
        os.rename(work / "base", work / "old")
        tiny.base(work / "base", seed=1)
    run(work, **({"seed": 2} if change == "params" else {}))
    assert steps == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]


def test_speed_stands_apart(work):
    assert "seconds" not in json.dumps(run(work))
    speed = json.loads((work / "model.speed.json").read_text())
    assert {"seconds", "tokens_per_second"} <= speed.keys() and {"torch", "threads"} <= speed["environment"].keys()


def test_the_base_is_only_read(work):
    before = tiny.contents(work / "base", work / "formatted")
    run(work)
    assert tiny.contents(work / "base", work / "formatted") == before
    assert torch.get_default_dtype() is torch.float32


def test_shuffled_pairs_train_on_the_same_texts(work):
    plain, shuffled = (run(work, out=f"twin_{choice}", shuffle_pairs=choice) for choice in (False, True))
    assert plain["tokens"] == shuffled["tokens"]
    assert trained.table(work, "twin_False")[0]["training_loss"] != trained.table(work, "twin_True")[0]["training_loss"]


NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system turn here') }}{% endif %}" + tiny.CHAT
CHAT_CONTRACT = {"style": "chat", "chat_template": None, "stop": []}


def test_test_rows_that_the_template_refuses_are_named_before_training(work, monkeypatch):
    tiny.base(work / "strict", chat=NO_SYSTEM)
    write_json(work / "formatted" / "prompt.json", CHAT_CONTRACT)
    rows = tiny.rows(7, 30)
    rows[2]["messages"].insert(0, {"role": "system", "content": "Be brief."})
    write_rows(work / "formatted" / "test" / "000.jsonl", rows)
    monkeypatch.setattr(loop.Run, "train", lambda *_: pytest.fail("training began"))
    with pytest.raises(StageError, match=r"1 rows \(row#32\)(.|\n)*No system turn here"):
        run(work, "strict")


def test_test_rows_have_no_say_in_the_model(work):
    run(work, out="first")
    write_rows(work / "formatted" / "test" / "000.jsonl", tiny.rows(3, 90))
    run(work, out="second")
    first, second = ({file.name: file.read_bytes() for file in (work / out).iterdir()} for out in ("first", "second"))
    assert first == second


def test_a_pinned_date_is_written_down_in_every_round(work):
    dated = "{{ strftime_now('%d %b %Y') }}\n" + tiny.CHAT
    tiny.base(work / "dated", chat=dated)
    write_json(work / "formatted" / "prompt.json", CHAT_CONTRACT)
    run(work, "dated", "once", epochs=1)
    run(work, "once", "twice", epochs=1)
    assert [read_prompt(work / out).get("date") for out in ("once", "twice")] == ["2024-07-26"] * 2
    run(work, "base", "undated", epochs=1)
    assert "date" not in read_prompt(work / "undated")
