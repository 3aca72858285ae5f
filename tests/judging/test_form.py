import numpy as np
import pytest

from stages.judging import form
from stages.judging.encoder import Encoder
from stages.judging.form import Form, breaks_off, echoes, repeats, too_long
from tests import tiny

EXPECTED = "The apple is red and sweet. It grows on a tree in the garden."


@pytest.mark.parametrize(
    ("expected", "answer", "finish", "broken"),
    [
        (EXPECTED, "The apple is red and", "stop", True),
        (EXPECTED, "The apple is red.", "stop", False),
        (EXPECTED, "The apple is red.", "length", True),
        ("hood, brake", "hood, brake", "stop", False),
        ("hood, brake, door", "hood, brake", "stop", False),
        ("wash the apple in cold water", "wash the apple in", "stop", True),
        ("wash the apple in cold water", "wash an apple in", "stop", False),
        (EXPECTED, "", "stop", False),
        (EXPECTED, 'He said: "It is red."', "stop", False),
    ],
)
def test_what_breaks_off(expected, answer, finish, broken):
    assert breaks_off(expected, answer, finish) is broken


def test_what_repeats_itself():
    assert repeats(EXPECTED, f"{EXPECTED} {EXPECTED}") and repeats("Paris", "Paris Paris")
    assert repeats(EXPECTED, "It is red, it is red, it is red, it is red.")
    assert not repeats(EXPECTED, EXPECTED) and not repeats(EXPECTED, "") and not repeats("Paris", "Paris")
    assert not repeats("ha ha ha ha ha ha ha", "ha ha ha ha ha ha ha")  # as expected


def test_what_echoes_the_question():
    question = "Which colour is the apple in the garden?"
    assert echoes(question, EXPECTED, question) and echoes(question, EXPECTED, "The apple in the garden")
    assert not echoes(question, EXPECTED, EXPECTED) and not echoes(question, EXPECTED, "")
    assert not echoes("Is an apple or a pear sweeter?", "An apple", "An apple")  # the question names what is expected


def test_what_is_too_long():
    assert too_long("Red", "very " * 60 + "red") and not too_long("Red", "very " * 40 + "red")
    assert not too_long(EXPECTED * 10, EXPECTED * 12)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(tiny.encoder(tmp_path_factory.mktemp("models") / "encoder"))


def test_order_is_not_looked_at_by_an_encoder_that_the_weights_do_not_fit(encoder):
    form_flags = Form(encoder)([("What?", EXPECTED, EXPECTED), ("What?", EXPECTED, "")])
    assert list(form_flags) == ["breaks_off", "repeats", "echoes", "too_long"]
    assert all(not flags.any() and flags.shape == (2,) for flags in form_flags.values())


def test_words_in_disorder_are_flagged_where_the_expected_ones_are_not(encoder, monkeypatch):
    size = encoder.model.config.hidden_size
    weights = {"encoder": {"sha256": encoder.content_hash}, "weight": [0.0] * size, "bias": 0.0}
    monkeypatch.setattr(form, "shipped", lambda: weights)
    mixed = "red apple the is"
    monkeypatch.setattr(Form, "_disorder", lambda _, texts: [1.0 if text == mixed else -1.0 for text in texts])
    items = [("What?", "the apple is red", mixed), ("What?", mixed, mixed), ("What?", mixed, "the apple is red")]
    form_flags = Form(encoder)(items)
    assert form_flags["shuffled"].tolist() == [True, False, False] and list(form_flags)[2] == "shuffled"
    monkeypatch.setattr(Form, "_disorder", lambda _, texts: [1.0 if "door" in text else -1.0 for text in texts])
    assert not Form(encoder)([("What?", "hood, brake, seat", "the door is, hood, red apple")])["shuffled"].any()


def test_disorder_is_one_figure_a_text(encoder, monkeypatch):
    size = encoder.model.config.hidden_size
    monkeypatch.setattr(form, "shipped", lambda: {"weight": [1.0] * size, "bias": 0.5, "encoder": {"sha256": ""}})
    assert np.isfinite(Form(encoder)._disorder(["the apple is red", "red is apple the"])).all()
