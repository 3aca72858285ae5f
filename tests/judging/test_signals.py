import numpy as np
import pytest
import torch

from stages.judging.signals import NAMES, Encoder, Fluency, Signals
from stages.models import directory
from tests import tiny

ITEMS = [
    (row["messages"][0]["content"], row["completion"], answer)
    for row in tiny.rows(4)
    for answer in (row["completion"], "The apple is blue.", row["messages"][0]["content"])
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def encoder(folder):
    return Encoder(directory.load(folder, "encoder"), directory.load_tokenizer(folder))


@pytest.fixture
def signals(encoder):
    return Signals(encoder, Fluency(tiny.model(), tiny.tokenizer(), 8), [row["completion"] for row in tiny.rows(12)])


def test_one_figure_a_signal(signals):
    assert signals(ITEMS).shape == (12, len(NAMES)) and len(set(NAMES)) == len(NAMES)


def test_any_text_has_signals(signals):
    texts = ["", " ", "a", "</s>", "東京 🍎", "é" * 2000, "word " * 500, "\n\n", "…", "1. x\n2. y"]
    items = [("What?", "The apple is red.", text) for text in texts] + [(text or "?", text or ".", "Red.") for text in texts]
    assert np.isfinite(signals(items)).all()


def test_company_changes_nothing(signals, encoder):
    fresh = Signals(encoder, Fluency(tiny.model(), tiny.tokenizer(), 8), [row["completion"] for row in tiny.rows(12)])
    alone = np.concatenate([fresh([item]) for item in ITEMS])
    np.testing.assert_allclose(signals(ITEMS), alone, atol=1e-4)
    np.testing.assert_allclose(signals(ITEMS[::-1])[::-1], alone, atol=1e-4)


def test_the_expected_answer_is_never_worse_than_another(signals):
    """More is better, for each signal."""
    rows = tiny.rows(12)[::3]  # whose answers say nothing twice
    asked = [(row["messages"][0]["content"], row["completion"]) for row in rows]
    best = signals([(*pair, pair[1]) for pair in asked])
    for bad in ("No idea", "", asked[0][0], "apple " * 40, "Apples are of many kinds, they say"):
        found = signals([(*pair, bad) for pair in asked])
        assert (best >= found - 1e-5).all() and (best.sum(-1) > found.sum(-1)).all()


def test_vectors_are_of_length_one_and_of_the_text_alone(encoder):
    texts = ["The apple is red.", "Blue", "", "word " * 400]
    vectors = encoder.vectors(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:1], encoder.vectors(texts[:1]), atol=1e-5)


def test_a_text_is_read_once(folder):
    model, reads = directory.load(folder, "encoder"), []
    model.register_forward_pre_hook(lambda _, args, named: reads.append(len(named["input_ids"])), with_kwargs=True)
    encoder = Encoder(model, directory.load_tokenizer(folder))
    encoder.vectors(["one", "two", "one"])
    encoder.vectors(["two", "three"])
    assert sum(reads) == 3


def test_reading_leaves_no_gradients(signals):
    signals(ITEMS)
    assert all(p.grad is None for p in signals.encoder.model.parameters())
    assert not torch.is_inference_mode_enabled()
