"""Adapters kept alone: `tune: {kind: lora, save: adapter}`, from training to answers and verdicts."""

import json
import os
import shutil

import pytest
import torch

from stages import judge
from stages.common.errors import StageError
from stages.common.scratch import content_hash
from stages.models import directory
from stages.tasks.batches import encode_all
from stages.tasks.score import score
from tests import answered, tiny, trained

LORA = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "base": "plain"}
ADAPTER, MERGED = {**LORA, "save": "adapter"}, {**LORA, "save": "merged"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """`models/`: a base, the same training kept as an adapter and merged, and a second round on the adapter."""
    folder = tmp_path_factory.mktemp("adapters") / "models"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(folder.parent / "scratch"))
        tiny.base(folder / "base")
        tiny.formatted(folder / "formatted")
        trained.run(folder, tiny.training(tune=ADAPTER), out="adapter")
        trained.run(folder, tiny.training(tune=MERGED), out="merged")
        trained.run(folder, tiny.training(tune=ADAPTER, epochs=1), base="adapter", out="second")
    return folder


@pytest.fixture
def models(built, tmp_path):
    """All of them at another place."""
    shutil.copytree(built, tmp_path / "moved" / "models")
    return tmp_path / "moved" / "models"


def losses(folder) -> list[float]:
    examples, _ = encode_all(tiny.rows(6, 24), directory.load_tokenizer(folder), 128)
    return [s.nll for s in score(directory.load(folder), examples, tiny.scoring(512))]


def metrics(folder, name) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def test_only_the_adapter_is_stored(models):
    stored = sorted((models / "adapter").rglob("*.safetensors"))
    assert [file.relative_to(models / "adapter").as_posix() for file in stored] == ["adapter/adapter_model.safetensors"]
    assert not (models / "adapter" / "model.safetensors.index.json").exists()
    assert not list((models / "adapter").rglob("README.md"))
    parent = json.loads((models / "adapter" / "parent.json").read_text())
    assert parent == {"base": "base", "sha256": content_hash(models / "base")}


def test_it_loads_again_after_a_move_and_equals_the_merged_model(models):
    assert metrics(models, "adapter") == metrics(models, "merged")
    assert losses(models / "adapter") == pytest.approx(losses(models / "merged"), rel=1e-5)
    assert losses(models / "adapter") != pytest.approx(losses(models / "base"), rel=1e-2)
    loaded, whole = (directory.load(models / name).state_dict() for name in ("adapter", "merged"))
    torch.testing.assert_close(loaded, whole, atol=1e-6, rtol=0)


def test_what_is_loaded_is_a_plain_model(models):
    assert type(directory.load(models / "adapter")) is type(directory.load(models / "base"))
    assert directory.context_length(models / "adapter") == tiny.CONTEXT


def test_peft_alone_can_load_it(models):
    from peft import PeftModel

    plain = directory.load(models / "base")
    adapted = PeftModel.from_pretrained(plain, models / "adapter" / "adapter").eval()
    ids = torch.tensor([[5, 40, 41, 7, 300, 12]])
    torch.testing.assert_close(adapted(ids).logits, directory.load(models / "adapter")(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("loss", ["missing", "changed", "renamed"])
def test_a_base_that_is_missing_or_changed_is_named(models, loss):
    if loss == "missing":
        shutil.rmtree(models / "base")
    elif loss == "renamed":
        os.rename(models / "base", models / "another")
    else:
        (models / "base" / "config.json").write_text((models / "base" / "config.json").read_text() + " ")
    with pytest.raises(StageError, match=f"{models / 'base'}(.|\n)*{models / 'adapter'}(.|\n)*dvc pull"):
        directory.load(models / "adapter")


def test_a_later_round_may_start_from_it(models):
    assert metrics(models, "second")["validation_loss_start"] == pytest.approx(
        metrics(models, "adapter")["validation_loss"], abs=1e-5
    )
    assert json.loads((models / "second" / "parent.json").read_text()) == {
        "base": "adapter",
        "sha256": content_hash(models / "adapter"),
    }
    targets = sum(e.targets for e in encode_all(tiny.rows(6, 24), directory.load_tokenizer(models / "second"), 128)[0])
    mean_loss = sum(losses(models / "second")) / targets
    assert mean_loss == pytest.approx(metrics(models, "second")["validation_loss"], abs=1e-5)
    (models / "base" / "config.json").write_text("{}")
    with pytest.raises(StageError, match=f"the base of the adapter {models / 'adapter'}"):  # two rounds below
        directory.load(models / "second")


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_two_runs_give_the_same_bytes(tmp_path, monkeypatch, architecture):
    runs = []
    for name in ("first", "second"):
        work = tmp_path / name
        monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "scratch"))
        tiny.base(work / "base", architecture)
        tiny.formatted(work / "formatted")
        trained.run(work, tiny.training(tune=ADAPTER))
        runs.append(tiny.contents(*trained.outputs(work)))
    assert runs[0] == runs[1] and "model/adapter/adapter_model.safetensors" in runs[0]
    texts = [content for name, content in runs[0].items() if not name.endswith(".safetensors")]
    assert not any(str(tmp_path).encode() in content or b'peft_version": "' in content for content in texts)


def answers(models, model, out) -> list[dict]:
    return answered.run(models, tiny.generation(), models / model, models / "base", out=out)


def test_it_answers_as_the_merged_model_does(models):
    alone, whole = answers(models, "adapter", "alone.jsonl"), answers(models, "merged", "whole.jsonl")
    assert [row["answers"]["tuned"]["text"] for row in alone] == [row["answers"]["tuned"]["text"] for row in whole]
    assert [row["answers"]["tuned"]["text"] for row in alone] != [row["answers"]["base"]["text"] for row in alone]


def test_answers_under_another_base_are_not_taken_from_the_cache(models):
    """The adapter's files are the same; what it stands on is named in parent.json, and so part of its content's hash."""
    before = content_hash(models / "adapter")
    parent = json.loads((models / "adapter" / "parent.json").read_text())
    (models / "adapter" / "parent.json").write_text(json.dumps(parent | {"sha256": "0" * 64}))
    assert content_hash(models / "adapter") != before


def test_it_is_judged_as_the_merged_model_is(models):
    tiny.encoder(models / "encoder")
    scores = []
    for name in ("adapter", "merged"):
        answers(models, name, f"{name}.jsonl")
        judge.main(
            "model",
            tiny.judging(),
            judge.Paths(
                formatted=models / "formatted",
                answers=models / f"{name}.jsonl",
                model=models / name,
                base=models / "base",
                root=models / "base",
                encoder=models / "encoder",
                marks=models / "marks",
                verdicts=models / f"{name}.verdicts.jsonl",
                metrics=models / f"{name}.scores.json",
                details=models / f"{name}.details.json",
                table=models / f"{name}.csv",
                speed=models / "speed.json",
            ),
        )
        scores.append(json.loads((models / f"{name}.scores.json").read_text()))
    assert scores[0]["perplexity"] == pytest.approx(scores[1]["perplexity"], rel=1e-4)


def test_narrow_frozen_weights_leave_the_stored_ones_as_they_were(models, monkeypatch):
    """Trained in bf16 beside frozen bf16: merged into the base's own float32, not into what was rounded for training."""
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(models.parent / "scratch"))
    trained.run(models, tiny.training(tune={"kind": "top_layers", "layers": 1}, precision="bf16"), out="narrow")
    before, after = (directory.load(models / name).state_dict() for name in ("base", "narrow"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("model.layers.2.", "model.norm.")) for name in changed)
    assert set(directory.stored_types(models / "narrow").values()) == {torch.float32}


def test_a_base_stored_in_bf16_stays_so_but_for_what_learned(models, monkeypatch):
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(models.parent / "scratch"))
    half, tokenizer = directory.load(models / "base").to(torch.bfloat16), directory.load_tokenizer(models / "base")
    (models / "half").mkdir()
    directory.save(models / "half", half, tokenizer)
    trained.run(models, tiny.training(tune=MERGED), base="half", out="joined")
    trained.run(models, tiny.training(tune={"kind": "top_layers", "layers": 1}), base="half", out="top")
    assert set(directory.stored_types(models / "joined").values()) == {torch.bfloat16}
    wide = {name for name, dtype in directory.stored_types(models / "top").items() if dtype is torch.float32}
    assert wide and all(name.startswith(("model.layers.2.", "model.norm.")) for name in wide)
    assert directory.weights(models / "half") == directory.weights(models / "base")


def test_an_adapter_is_refused_on_its_base_in_another_precision(models):
    """The same weights, rounded: the sum would be another model than was measured."""
    narrow, tokenizer = directory.load(models / "base").to(torch.bfloat16), directory.load_tokenizer(models / "base")
    shutil.rmtree(models / "base")
    (models / "base").mkdir()
    directory.save(models / "base", narrow, tokenizer)
    with pytest.raises(
        StageError, match=f"{models / 'base'}(.|\n)*the base of the adapter {models / 'adapter'}(.|\n)*dvc pull"
    ):
        directory.load(models / "adapter")


def test_an_adapter_on_narrow_weights_is_saved_without_reading_the_base_again(models, monkeypatch):
    """Only the adapter is written, and it was never narrowed."""
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(models.parent / "scratch"))
    monkeypatch.setattr("stages.training.train_local._fresh", lambda *_: pytest.fail("the base was read again"))
    trained.run(models, tiny.training(tune=MERGED | {"save": "adapter"}, precision="bf16"), out="narrow_adapter")
    assert metrics(models, "narrow_adapter")["validation_loss"] == pytest.approx(
        metrics(models, "adapter")["validation_loss"], rel=0.02
    )
    directory.load(models / "narrow_adapter")
