"""Classifiers, from formatted rows to a model directory that any program can load."""

import json
import signal
import subprocess
import sys

import pytest
import torch
import transformers

from stages.common.errors import StageError
from stages.common.files import write_json, write_rows
from stages.models import directory
from stages.tasks import classifier
from stages.tasks.score import score
from stages.training.tune import prepare, trainable
from tests import tiny, trained

LORA = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "base": "plain", "save": "merged"}
TUNES = [{"kind": "full"}, {"kind": "top_layers", "layers": 1}, LORA, LORA | {"save": "adapter"}]


@pytest.fixture
def make(tmp_path):
    """Lays a base and labelled rows into a folder."""

    def load(architecture="bert", folder=tmp_path):
        tiny.headless(folder / "base", architecture)
        tiny.labelled(folder / "formatted")
        return folder

    return load


def run(work, base="base", out="model", **params):
    return trained.run(work, tiny.classifying(**params), base, out)


def loaded(folder):
    """As a user's own program would load it."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def labels_of(model, tokenizer, rows: list[dict]) -> list[str]:
    inputs = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        return [model.config.id2label[i] for i in model(**inputs).logits.argmax(-1).tolist()]


def scored(model, tokenizer, rows: list[dict], micro_tokens=512) -> list:
    examples, _ = classifier.encode_all(rows, tokenizer, 128, tiny.LABELS["labels"])
    return list(score(model, examples, classifier.Classifier(micro_tokens, tokenizer.pad_token_id, [1.0] * 3)))


@pytest.mark.parametrize("architecture", tiny.CLASSIFIERS)
def test_it_learns_and_any_program_can_load_it(make, architecture):
    work = make(architecture)
    metrics, rows = run(work, epochs=6), trained.table(work)
    assert metrics["validation_loss"] < 0.7 * metrics["validation_loss_start"]
    assert float(rows[-1]["training_loss"]) < 0.5 * float(rows[0]["training_loss"])
    assert float(rows[-1]["training_token_accuracy"]) > float(rows[0]["training_token_accuracy"])
    assert all(row["training_sequence_accuracy"] == row["training_token_accuracy"] for row in rows)  # one target a row
    model, tokenizer = loaded(work / "model")
    assert model.config.id2label == dict(enumerate(tiny.LABELS["labels"]))
    assert model.config.label2id == {label: i for i, label in enumerate(tiny.LABELS["labels"])}
    assert model.config.pad_token_id == tokenizer.pad_token_id == tiny.PAD
    held_back = tiny.label_rows(12, 48)
    scores = scored(directory.load(work / "model", "classifier"), directory.load_tokenizer(work / "model"), held_back)
    assert metrics["validation_loss"] == pytest.approx(sum(s.nll for s in scores) / 12, abs=1e-5)
    guessed = labels_of(model, tokenizer, held_back)
    assert [label == row["label"] for label, row in zip(guessed, held_back, strict=True)] == [s.correct == 1 for s in scores]


@pytest.mark.parametrize("architecture", tiny.CLASSIFIERS)
def test_padding_changes_no_result(make, architecture):
    work, rows = make(architecture), tiny.label_rows(9)
    run(work, epochs=1)
    model, tokenizer = directory.load(work / "model", "classifier"), directory.load_tokenizer(work / "model")
    alone, together = (scored(model, tokenizer, rows, micro_tokens) for micro_tokens in (1, 10_000))
    assert len({len(tokenizer(row["text"])["input_ids"]) for row in rows}) > 3  # else nothing is padded
    assert [s.nll for s in alone] == pytest.approx([s.nll for s in together], abs=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_how_a_batch_is_cut_changes_nothing(make, architecture):
    work = make(architecture)
    for out, micro_tokens in (("whole", 10_000), ("cut", 1)):
        run(work, out=out, micro_tokens=micro_tokens, dropout=0.0, class_weights="balanced", learning_rate=1e-4)
    whole, cut = (trained.table(work, out) for out in ("whole", "cut"))
    for name in ("training_loss", "training_token_accuracy"):
        assert [float(row[name]) for row in whole] == pytest.approx([float(row[name]) for row in cut], rel=1e-4), name


@pytest.mark.parametrize("tune", TUNES, ids=["full", "top_layers", "merged", "adapter"])
@pytest.mark.parametrize("architecture", ["camembert", "phi"])
def test_two_runs_give_the_same_bytes(make, tmp_path, monkeypatch, architecture, tune):
    shares = []
    for name in ("first", "second"):
        monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / name / "scratch"))
        work = make(architecture, tmp_path / name)
        run(work, tune=tune, epochs=1)
        shares.append(tiny.contents(*trained.outputs(work)))
    assert shares[0] == shares[1] and len(shares[0]) > 8
    assert not any(str(tmp_path).encode() in content for content in shares[0].values())


@pytest.mark.parametrize("tune", TUNES, ids=["full", "top_layers", "merged", "adapter"])
@pytest.mark.parametrize("architecture", tiny.CLASSIFIERS)
def test_a_later_round_keeps_the_head(make, architecture, tune):
    work = make(architecture)
    first = run(work, tune=tune)
    second = run(work, base="model", out="second", tune=tune, seed=5, epochs=1)
    assert second["validation_loss_start"] == pytest.approx(first["validation_loss"], abs=1e-5)
    assert second["validation_loss_start"] < first["validation_loss_start"]


HEADS = {
    "camembert": {"classifier."},
    "bert": {"classifier.", "bert.pooler."},
    "deberta-v2": {"classifier.", "pooler."},
    "phi": {"score."},
    "llama": {"score."},
}


@pytest.mark.parametrize("architecture", tiny.CLASSIFIERS)
def test_the_head_learns_whatever_else_is_frozen(make, architecture):
    work = make(architecture)
    start = directory.load_classifier(work / "base", tiny.LABELS["labels"], 1)
    names = {name for name in start.state_dict() if name.startswith(tuple(HEADS[architecture]))}
    assert names
    for tune in TUNES[1:3]:
        run(work, tune=tune, out=tune["kind"], epochs=1, learning_rate=1e-2)
        after = directory.load(work / tune["kind"], "classifier").state_dict()
        changed = {name for name, tensor in start.state_dict().items() if not torch.equal(tensor, after[name])}
        assert names <= changed, tune
        frozen = [name for name in after if "embeddings" in name or "embed_tokens" in name]
        assert frozen and not changed & {*frozen}


def test_adapters_train_the_whole_head_of_an_encoder(make):
    model = directory.load_classifier(make("bert") / "base", tiny.LABELS["labels"], 1)
    learning = trainable(prepare(model, tiny.classifying(tune=LORA).tune, 1))
    assert any("classifier" in name and "lora_" not in name for name in learning)
    assert not any("embeddings" in name for name in learning)


def test_the_start_of_the_head_follows_the_seed(make):
    work = make()
    heads = [directory.load_classifier(work / "base", tiny.LABELS["labels"], seed).classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize(
    ("labels", "differing"),
    [(["606", "613", "641"], "624, 641"), (["606", "624", "613"], "their order"), (["606", "613"], "624")],
)
def test_a_head_for_other_labels_is_refused(make, labels, differing):
    work = make()
    run(work, epochs=1)
    write_json(work / "formatted" / "labels.json", {"labels": labels, "names": labels})
    with pytest.raises(StageError, match=f"a head for 3 labels(.|\n)*{differing}"):
        run(work, base="model", out="second")
    assert not (work / "second").exists()


def test_a_label_that_is_not_listed_names_its_row(make):
    work = make()
    write_rows(work / "formatted" / "train" / "001.jsonl", [{**tiny.label_rows(1, 300)[0], "label": "999"}])
    with pytest.raises(StageError, match="row#300(.|\n)*999(.|\n)*606, 613, 624"):
        run(work)


def test_a_text_without_a_token_names_its_row(make):
    work = make("llama")
    write_rows(work / "formatted" / "train" / "001.jsonl", [{**tiny.label_rows(1, 300)[0], "text": ""}])
    with pytest.raises(StageError, match="row#300"):
        run(work)


def test_a_tokenizer_without_padding_takes_the_end_token(make):
    work = make("llama")
    words = directory.load_tokenizer(work / "base")
    words.pad_token = None
    words.save_pretrained(work / "base")
    run(work, epochs=1)
    model, tokenizer = loaded(work / "model")
    assert model.config.pad_token_id == tokenizer.pad_token_id == tiny.EOS
    words.eos_token = None
    words.save_pretrained(work / "base")
    with pytest.raises(StageError, match="no padding and no end token"):
        run(work, out="second")


def test_long_texts_are_cut_and_counted(make):
    work, rows = make(), tiny.label_rows(8)
    rows[0]["text"] *= 9
    write_rows(work / "formatted" / "train" / "000.jsonl", rows)
    cut = sum(length > 40 for length in lengths(work, rows))
    assert run(work, max_tokens=40, epochs=1)["rows"] == {"rows": 8, "cut": cut, "marked": 0}
    examples, _ = classifier.encode_all(rows, directory.load_tokenizer(work / "base"), 40, tiny.LABELS["labels"])
    assert len(examples[0]) == 40 and examples[0].tokens[-1] == tiny.EOS  # an encoder's text still ends


def lengths(work, rows) -> list[int]:
    return [len(directory.load_tokenizer(work / "base")(row["text"])["input_ids"]) for row in rows]


def test_balanced_weights_make_all_classes_weigh_the_same():
    examples = [classifier.Labelled(str(i), [5], label) for i, label in enumerate([0] * 6 + [1] * 3 + [2])]
    weights = classifier.class_weights(examples, 4, "balanced")  # nothing is known of the fourth
    assert [weights[label] * count for label, count in ((0, 6), (1, 3), (2, 1))] == pytest.approx([10 / 3] * 3)
    assert weights[3] == 0
    assert classifier.class_weights(examples, 4, "none") == [1.0] * 4


def test_the_loss_is_weighted_as_transformers_weighs_it(make):
    work = make()
    model = directory.load_classifier(work / "base", tiny.LABELS["labels"], 1)
    tokenizer, weights = directory.load_tokenizer(work / "base"), [0.5, 2.0, 3.0]
    examples, _ = classifier.encode_all(tiny.label_rows(9), tokenizer, 128, tiny.LABELS["labels"])
    task = classifier.Classifier(10_000, tiny.PAD, weights)
    batch = task.collate(examples)
    with torch.no_grad():
        loss = task.forward(model, batch)[0].sum() / task.weight(examples)
        logits = model(**batch.inputs).logits
    assert loss == pytest.approx(torch.nn.CrossEntropyLoss(torch.tensor(weights))(logits, batch.targets).item(), rel=1e-5)


def test_balanced_weights_reach_the_loss(make):
    work = make()
    run(work, out="none", epochs=1), run(work, out="balanced", epochs=1, class_weights="balanced")
    first = [float(trained.table(work, out)[0]["training_loss"]) for out in ("none", "balanced")]
    assert first[0] != pytest.approx(first[1], rel=1e-4)


@pytest.mark.parametrize("architecture", tiny.ENCODERS)
def test_the_context_leaves_out_what_padding_takes(make, architecture):
    """CamemBERT counts positions from the one after padding's: an embedding more than it can read tokens."""
    work = make(architecture)
    context = directory.context_length(work / "base")
    assert context == tiny.CONTEXT - (architecture == "camembert")
    model = directory.load(work / "base", "encoder")
    ids = torch.full((1, context), 9)
    assert torch.isfinite(model(ids).last_hidden_state).all()
    with pytest.raises(StageError, match=f"at most {context}"):
        run(work, max_tokens=context + 1)
    if architecture == "camembert":
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, context + 1), 9))


def test_a_loss_that_is_no_number_names_the_rows(make):
    work = make()
    model = directory.load(work / "base", "encoder")
    with torch.no_grad():
        model.encoder.layer[0].output.dense.weight[0, 0] = torch.nan
    directory.save(work / "base", model, directory.load_tokenizer(work / "base"))
    with pytest.raises(StageError, match="validation(.|\n)*row#48"):
        run(work)
    for file in (work / "formatted" / "validation").iterdir():
        file.unlink()
    with pytest.raises(StageError, match="step 1\n(.|\n)*row#"):
        run(work)


def test_a_failure_leaves_no_output_and_a_rerun_goes_on(make, monkeypatch):
    work, begun = make("camembert"), trained.interrupt_the_fourth_step(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(work, epochs=1)
    assert not list(work.glob("*model*"))
    run(work, epochs=1)
    run(work, epochs=1, out="calm")
    assert begun == [0, 1, 2, 3, 3, 4, 5, 0, 1, 2, 3, 4, 5]
    assert [*tiny.contents(*trained.outputs(work)).values()] == [*tiny.contents(*trained.outputs(work, "calm")).values()]


KILLS = [["before_step", 1], ["in_save", 2], ["before_step", 5], ["in_model", 2], ["before_table", 0]]


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(make):
    work = make("camembert")  # has dropout
    params = {"class_weights": "balanced", "tune": LORA | {"base": "plain", "save": "merged"}}
    plan = {
        f"{name}_{how}": {"params": params | {"tune": tune}, "kills": kills, "kind": "classifying"}
        for name, tune in (("full", {"kind": "full"}), ("lora", LORA))
        for how, kills in (("calm", []), ("killed", KILLS))
    }
    write_json(work / "plan.json", plan)
    subprocess.run([sys.executable, "-m", "tests.killed", work], check=True, timeout=300)
    for name in ("full", "lora"):
        calm, killed = work / f"{name}_calm", work / f"{name}_killed"
        assert json.loads((killed / "ends.json").read_text()) == [-signal.SIGKILL] * len(KILLS) + [0]
        for output in ("model", "results.csv", "train.json"):
            assert tiny.contents(calm / output) == tiny.contents(killed / output), (name, output)
