import numpy as np
import pytest
import torch

from stages.judging.encoder import Encoder
from stages.models import directory
from tests import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def encoder(folder):
    return Encoder(folder)


def test_vectors_are_of_length_one_and_of_the_text_alone(encoder):
    texts = ["The apple is red.", "Blue", "", "word " * 400]
    vectors = encoder.vectors(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:1], encoder.vectors(texts[:1]), atol=1e-5)


def test_no_word_of_a_long_text_is_lost(encoder):
    room = directory.context_length(encoder.path)
    text = "apple " * (3 * room)
    for key in (("", text), ("Which fruit is red? " * room, text)):
        encoder.read([key])
        assert encoder[key].ids.tolist() == encoder.tokens(text)
        assert len(encoder[key].states) == len(encoder[key].ids)


def test_the_question_is_read_before_the_answer_and_is_none_of_it(encoder):
    alone, after = ("", "The apple is red."), ("Which colour?", "The apple is red.")
    encoder.read([alone, after])
    assert encoder[alone].ids.tolist() == encoder[after].ids.tolist()
    assert not np.allclose(encoder[alone].states, encoder[after].states, atol=1e-3)


def test_a_text_is_read_once(encoder):
    reads = []
    encoder.model.register_forward_pre_hook(lambda _, args, named: reads.append(len(named["input_ids"])), with_kwargs=True)
    encoder.vectors(["one", "two", "one"])
    encoder.vectors(["two", "three"])
    assert sum(reads) == 3


def test_frequent_tokens_count_less_than_rare_ones_and_more_than_marks(encoder):
    tokens = encoder.tokenizer.convert_ids_to_tokens(range(len(encoder.tokenizer)))
    marks = [encoder.rarity[place] for place, token in enumerate(tokens) if not any(letter.isalnum() for letter in token)]
    assert max(marks) < 0.02 and encoder.rarity.min() > 0 and encoder.rarity[-1] == encoder.rarity.max()


def test_reading_leaves_no_gradients(encoder):
    encoder.vectors(["one"])
    assert all(p.grad is None for p in encoder.model.parameters()) and not torch.is_inference_mode_enabled()


def test_what_is_forgotten_is_read_again_and_its_order_is_kept(encoder):
    encoder.hold({("", "three")})
    encoder.read([("", "one two"), ("Why?", "one two")])
    before, order = encoder["", "one two"].states, encoder.syntax(["one two"])
    encoder.forget()
    assert list(encoder.readings) == [("", "three")] and np.array_equal(encoder.syntax(["one two"]), order)
    encoder.read([("", "one two")])
    np.testing.assert_allclose(encoder["", "one two"].states, before, atol=1e-5)


def test_what_is_held_is_read_once_and_then_nothing_else_is_there(encoder):
    encoder.read([("", "four")])
    encoder.hold({("", "one two"), ("Why?", "three")})
    held = dict(encoder.readings)
    assert held.keys() == {("", "one two"), ("Why?", "three")}
    encoder.read([("", "five")])
    encoder.hold({("", "one two"), ("Why?", "three")})
    assert encoder.readings.keys() == held.keys() and all(encoder[key] is held[key] for key in held)
    encoder.hold({("", "three")})
    assert encoder.readings.keys() == {("", "three")}
