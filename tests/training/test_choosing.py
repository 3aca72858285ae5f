"""The best state by the loss, or by the task's own figure on the validation rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.files import read_json, read_rows, write_rows
from stages.decoding.causal import batch_answers
from stages.judging.classes import macro_f1
from stages.judging.measures import parts
from stages.judging.metrics import chrf
from stages.tasks.causal import task
from stages.tasks.name_lists import micro_f1
from stages.training import choosing
from stages.training.causal import figures
from stages.training.classifier.figures import labels, mean_f1
from tests import tiny, trained
from tests.common.test_defaults import COMMITTED, put

LISTS = st.lists(st.sampled_from(["door", "Door", "brake, clutch", "brake,", "none", "", "clutch\nmirror, door"]), min_size=1)
LABELS = [f"label {i}" for i in range(4)]


@given(LISTS, st.randoms())
def test_the_figure_of_lists_is_that_of_the_judge(expected, dice):
    answers = dice.sample(expected, len(expected))
    rows, statistic = parts(expected, answers, [True] * len(expected))["parts_f1"]
    assert micro_f1(expected, answers) == pytest.approx(float(statistic(rows.sum(0))))


@given(LISTS, st.randoms())
def test_chrf_is_that_of_the_judge(expected, dice):
    answers = dice.sample(expected, len(expected))
    rows, statistic = chrf(answers, expected)
    assert figures.corpus_chrf(expected, answers) == pytest.approx(float(statistic(rows.sum(0))))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_the_figure_of_labels_is_that_of_the_judge(pairs):
    expected, answered = zip(*pairs, strict=True)
    rows, statistic = macro_f1([LABELS[i] for i in expected], [LABELS[i] for i in answered], LABELS)
    assert mean_f1(expected, answered) == pytest.approx(float(statistic(rows.sum(0))))


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_answers_are_those_that_generate_writes(architecture, packing):
    tokenizer, model = tiny.tokenizer(), tiny.model(architecture)
    examples = tiny.examples(6)
    options = tiny.generation(max_new_tokens=max(len(e.completion) for e in examples))
    expected = [a.text for a in batch_answers.answer(model, tokenizer, [e.prompt for e in examples], options, [])]
    task(model, 512, packing)
    state = torch.get_rng_state()
    written = figures.answers(model, examples, tokenizer)
    assert [figures.text(tokenizer, tokens, []) for tokens in written] == expected and any(expected)
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert model.config._attn_implementation == ("packed_rows" if packing else "sdpa")


def test_labels_do_not_depend_on_how_rows_are_cut(tmp_path):
    from stages.models.directory import load_classifier
    from stages.tasks.classifier import encode_all, set_padding

    tokenizer = tiny._reader()
    model = load_classifier(tiny.headless(tmp_path / "base", "bert"), tiny.LABELS["labels"], 1)
    set_padding(model, tokenizer)
    texts = encode_all(tiny.label_rows(9), tokenizer, 64, tiny.LABELS["labels"])[0]
    whole, single = (labels(model, texts, tokenizer, tiny.classifying(micro_tokens=size)) for size in (10_000, 1))
    assert whole == single and len(whole) == 9


@pytest.fixture
def lists(tmp_path):
    """A base and rows whose answers are lists of names."""
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    for part in ("train", "validation", "test"):
        file = tmp_path / "formatted" / part / "000.jsonl"
        rows = [row | {"completion": ", ".join(tiny.THINGS[i % 4 : i % 4 + 2])} for i, row in enumerate(read_rows(file))]
        write_rows(file, rows)
    return tmp_path


def test_the_state_of_the_best_figure_is_kept_and_of_equal_ones_that_of_the_lowest_loss(lists, monkeypatch):
    measured = iter([0.2, 0.5, 0.5, 0.1])
    monkeypatch.setattr(figures, "parts_f1", lambda *_: lambda model: next(measured))
    metrics = trained.run(lists, tiny.training(epochs=4, choose_by="parts_f1"))
    losses = [float(row["validation_loss"]) for row in trained.table(lists) if row["validation_loss"]]
    assert losses == sorted(losses, reverse=True)  # the loss alone would have kept the last state
    assert (metrics["best_step"], metrics["chosen_by"], metrics["validation_parts_f1"]) == (9, "parts_f1", 0.5)
    assert metrics["validation_loss"] == pytest.approx(losses[2], abs=1e-5)


def test_by_loss_nothing_more_is_written(lists):
    assert not {"chosen_by"} & trained.run(lists, tiny.training(epochs=1)).keys()


def test_patience_counts_evaluations_without_a_better_figure(lists, monkeypatch):
    measured = iter([0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(figures, "parts_f1", lambda *_: lambda model: next(measured))
    metrics = trained.run(lists, tiny.training(epochs=4, choose_by="parts_f1", patience=2))
    assert (metrics["steps"], metrics["best_step"]) == (9, 3)


@pytest.mark.parametrize(("choose_by", "most"), [("parts_f1", 1), ("chrf", 100)])
def test_a_figure_of_answers_is_that_of_the_kept_model(lists, choose_by, most):
    from stages.models.directory import load, load_tokenizer
    from stages.tasks.batches import encode_all

    params = tiny.training(epochs=12, learning_rate=2e-2, choose_by=choose_by, evaluations=2)
    metrics = trained.run(lists, params)
    assert 0 < metrics[f"validation_{choose_by}"] <= most
    model, tokenizer = load(lists / "model"), load_tokenizer(lists / "model")
    rows = list(read_rows(lists / "formatted" / "validation"))
    examples = encode_all(rows, tokenizer, 128)[0]
    stop = read_json(lists / "model" / "prompt.json")["stop"]
    measured = choosing.figure("choose_by", examples, tokenizer, stop, params)(model)
    assert measured == pytest.approx(metrics[f"validation_{choose_by}"])


def test_an_interrupted_training_ends_in_the_same_bytes(lists, monkeypatch):
    params = tiny.training(epochs=3, learning_rate=2e-2, choose_by="parts_f1", evaluations=2)
    trained.run(lists, params, out="whole")
    with monkeypatch.context() as patch:
        trained.interrupt_the_fourth_step(patch)
        with pytest.raises(KeyboardInterrupt):
            trained.run(lists, params)
        trained.run(lists, params)
    whole, again = (tiny.contents(*trained.outputs(lists, out)) for out in ("whole", "model"))
    assert [*whole.values()] == [*again.values()]


@pytest.mark.parametrize("choose_by", ["accuracy", "macro_f1"])
def test_a_classifier_is_chosen_by_its_figures(tmp_path, choose_by):
    tiny.headless(tmp_path / "base", "bert")
    tiny.labelled(tmp_path / "formatted")
    metrics = trained.run(tmp_path, tiny.classifying(choose_by=choose_by, learning_rate=1e-2, evaluations=3))
    rows = [row for row in trained.table(tmp_path) if row["validation_loss"]]
    accuracy = {int(row["step"]): float(row["validation_token_accuracy"]) for row in rows}
    if choose_by == "accuracy":
        assert metrics["validation_accuracy"] == pytest.approx(max(accuracy.values()), abs=1e-5)
        assert accuracy[metrics["best_step"]] == max(accuracy.values())
    assert 0 < metrics[f"validation_{choose_by}"] <= 1 and metrics["chosen_by"] == choose_by


def test_without_validation_rows_only_the_loss_may_be_named(lists):
    (lists / "formatted" / "validation" / "000.jsonl").write_text("")
    with pytest.raises(StageError, match="parts_f1 without a validation row"):
        trained.run(lists, tiny.training(choose_by="parts_f1"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"models.medical.train.choose_by": "accuracy"}, "accuracy is a figure of labels"),
        ({"models.invoices.train.choose_by": "parts_f1"}, "a classifier writes none"),
        ({"models.invoices.train.choose_by": "chrf"}, "a classifier writes none"),
        ({"models.medical.train.choose_by": "chrf", "models.medical.train.compile": True}, "a compiled model writes none"),
        ({"models.medical.train.choose_by": "parts_f1"}, "judge.measures has no parts"),
        ({"models.limericks.train.choose_by": "rhyme"}, "'loss', 'accuracy', 'macro_f1', 'chrf' or 'parts_f1'"),
        (
            {"models.partfinder_t_001.train.choose_by": "parts_f1", "models.partfinder_t_001.train.compile": True},
            "a compiled model writes none",
        ),
    ],
)
def test_what_a_task_has_not_is_refused_with_its_reason(changes, reason):
    params = COMMITTED
    for path, value in changes.items():
        params = put(path, value, params)
    with pytest.raises(StageError) as caught:
        check(params, "params.yaml")
    assert reason in caught.value.found


@pytest.mark.parametrize(
    ("model", "choose_by"), [("partfinder_t_001", "parts_f1"), ("limericks", "chrf"), ("invoices", "macro_f1")]
)
def test_what_a_task_has_is_taken(model, choose_by):
    params = check(put(f"models.{model}.train.choose_by", choose_by), "params.yaml")
    assert params.models[model].train.choose_by == choose_by
    assert params.models["medical"].train.choose_by == choosing.LOSS
