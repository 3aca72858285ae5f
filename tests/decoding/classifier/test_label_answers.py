import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from stages.common import closure
from stages.common.files import read_json, write_rows
from stages.common.progress import Progress
from stages.decoding.classifier.classifying import classify, rounded
from stages.decoding.classifier.label_answers import answered, majority, words
from stages.models import directory
from tests import labelled, tiny


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An encoder, a classifier tuned from it and a second round."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(folder / "scratch"))
        tiny.encoder(folder / "base")
        labelled.formatted(folder / "formatted")
        labelled.tuned(folder / "formatted", folder / "base", folder / "tuned")
        labelled.tuned(folder / "formatted", folder / "tuned", folder / "second", epochs=1)
    return folder


@pytest.fixture
def loads(monkeypatch):
    """The names of the models that were loaded."""
    load, names = directory.load, []

    def noted(folder, *rest, **options):
        names.append(folder.name)
        return load(folder, *rest, **options)

    monkeypatch.setattr(directory, "load", noted)
    return names


def run(work, models, model="tuned", base="base", **changes) -> list[dict]:
    return labelled.answer(work, models / "formatted", models / model, models / base, models / "base", **changes)


def test_probabilities_are_those_of_the_model_text_by_text(models):
    texts = [row["text"] for row in labelled.rows(9, 30)]
    with Progress(9, "labels", "label") as progress:
        all_shares = classify(models / "tuned", texts, labelled.LABELS, labelled.labelling(), progress)
    model, tokenizer = directory.load(models / "tuned", "classifier"), directory.load_tokenizer(models / "tuned")
    for text, shares in zip(texts, all_shares, strict=True):
        with torch.inference_mode():
            alone = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1)
        expected = {model.config.id2label[i]: float(share) for i, share in enumerate(alone)}
        assert shares == pytest.approx(expected, abs=2e-6)
        assert list(shares) == sorted(shares, key=lambda label: -shares[label])


def test_every_row_is_labelled_by_everyone(tmp_path, models):
    rows = run(tmp_path, models)
    test = labelled.rows(9, 30)
    assert [(row["id"], row["text"], row["expected"]) for row in rows] == [(r["id"], r["text"], r["label"]) for r in test]
    for row in rows:
        assert row["task"] == "label" and list(row["answers"]) == ["tuned", "majority", "tfidf"]
        for answer in row["answers"].values():
            shares = answer["probabilities"]
            assert set(shares) == set(labelled.LABELS) and sum(shares.values()) == pytest.approx(1, abs=1e-5)
            assert shares[answer["label"]] == max(shares.values())
    assert read_json(tmp_path / "generate.json")["tuned"]["texts"] == 9


def test_a_mark_that_cannot_be_read_as_letters_is_left_out(models):
    texts = ["cat dog \U000f0000</s>", "cat dog  ", "cat dog </s>"]  # a space stands for the mark
    with Progress(3, "labels", "label") as progress:
        odd, plain, letters = classify(models / "tuned", texts, labelled.LABELS, labelled.labelling(), progress)
    assert odd == plain != letters


def test_training_shows(tmp_path, models):
    right = [row["answers"]["tuned"]["label"] == row["expected"] for row in run(tmp_path, models)]
    assert sum(right) >= 6  # of 9; chance is 3


def test_a_later_round_has_a_parent(tmp_path, models):
    first, later = run(tmp_path, models), run(tmp_path, models, "second", "tuned")
    assert list(later[0]["answers"]) == ["tuned", "parent", "majority", "tfidf"]
    assert [row["answers"]["parent"] for row in later] == [row["answers"]["tuned"] for row in first]
    assert [row["answers"]["tuned"] for row in later] != [row["answers"]["tuned"] for row in first]


def test_the_batch_size_changes_no_label(tmp_path, models):
    alone, together = run(tmp_path, models, batch_rows=1), run(tmp_path, models, batch_rows=64)
    for row, row_together in zip(alone, together, strict=True):
        for contestant, answer in row["answers"].items():
            assert answer["label"] == row_together["answers"][contestant]["label"]
            assert answer["probabilities"] == pytest.approx(row_together["answers"][contestant]["probabilities"], abs=2e-6)


def test_two_runs_give_the_same_bytes(tmp_path, models, monkeypatch):
    run(tmp_path, models)
    first = (tmp_path / "answers.jsonl").read_bytes()
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / "another"))
    run(tmp_path, models)
    assert (tmp_path / "answers.jsonl").read_bytes() == first


def test_what_was_labelled_is_not_labelled_again(tmp_path, models, loads):
    first = run(tmp_path, models)
    assert run(tmp_path, models) == first and loads == ["tuned"]
    run(tmp_path, models, seed=2)  # of the regression alone
    assert loads == ["tuned"]
    run(tmp_path, models, "second", "tuned")
    assert loads == ["tuned", "second"]  # as `parent` it has labelled these texts before


def test_other_texts_are_labelled(tmp_path, models, loads):
    run(tmp_path, models)
    labelled.formatted(tmp_path / "formatted")
    write_rows(tmp_path / "formatted" / "test" / "000.jsonl", labelled.rows(4, 60))
    places = [models / name for name in ("tuned", "base", "base")]
    assert len(labelled.answer(tmp_path, tmp_path / "formatted", *places)) == 4 and loads == ["tuned", "tuned"]


def test_a_text_over_the_context_is_cut(models):
    text = "owl " * 2000
    with Progress(1, "labels", "label") as progress:
        (shares,) = classify(models / "tuned", [text], labelled.LABELS, labelled.labelling(), progress)
    assert set(shares) == set(labelled.LABELS)


def test_the_majority_knows_the_shares_of_the_training_rows():
    training = [{"label": label} for label in "abbbcc"]
    assert majority(training, 2) == [{"b": 0.5, "c": 0.333333, "a": 0.166667}] * 2


def test_ties_go_to_the_first_name():
    assert list(rounded({"b": 0.4, "c": 0.2, "a": 0.4})) == ["a", "b", "c"]
    assert list(majority([{"label": "b"}, {"label": "a"}], 1)[0]) == ["a", "b"]


def test_the_regression_is_that_over_words_and_pairs():
    training, texts = labelled.rows(24), ["a red axe", "dog", "nothing known"]
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    inputs = vectors.fit_transform([row["text"] for row in training])
    model = LogisticRegression(C=10, max_iter=1000).fit(inputs, [row["label"] for row in training])
    for shares, expected in zip(words(training, texts, 1), model.predict_proba(vectors.transform(texts)), strict=True):
        assert shares == pytest.approx(dict(zip(model.classes_, expected, strict=True)), abs=2e-6)
    assert [next(iter(shares)) for shares in words(training, ["blue green", "dog fox"], 1)] == ["colour", "animal"]


def test_an_answer_is_the_likeliest_label():
    row = {"id": "r", "text": "t", "label": "a", "place": 3}
    answer_row = answered(row, {"tuned": {"b": 0.7, "a": 0.3}})
    shares = {"b": 0.7, "a": 0.3}
    assert answer_row == {
        **{"id": "r", "task": "label", "text": "t", "expected": "a"},
        "answers": {"tuned": {"label": "b", "probabilities": shares}},
    }


def test_a_changed_line_of_the_maker_labels_anew(tmp_path, models, loads, monkeypatch):
    run(tmp_path, models)
    run(tmp_path, models)
    assert loads == ["tuned"]  # kept
    plain = closure.read_source
    changed = {"stages/decoding/classifier/classifying.py": (b"logits.softmax(-1)", b"logits.div(10).softmax(-1)")}
    monkeypatch.setattr(closure, "read_source", lambda file: plain(file).replace(*changed.get(file, (b"", b""))))
    closure.code_hash.cache_clear()
    run(tmp_path, models)
    closure.code_hash.cache_clear()
    assert loads == ["tuned", "tuned"]


def test_texts_without_a_word_are_told_apart_by_their_signs():
    training = [{"text": f"{i} + {'x' if i % 2 else 'y'}", "label": "odd" if i % 2 else "even"} for i in range(10)]
    first, second = words(training, ["3 + x", "4 + y"], 1)
    assert (next(iter(first)), next(iter(second))) == ("odd", "even")
