from dataclasses import replace

import pytest
import torch

from stages.common.errors import StageError
from stages.decoding.causal import batch_answers, caches, likelihood
from stages.decoding.causal.likelihood import Likelihoods
from stages.decoding.contestants import Contestant
from stages.models import directory
from stages.tasks.batches import Example, encode
from stages.tasks.score import Score, score
from tests import tiny


@pytest.fixture
def contestant(tmp_path):
    folder = tiny.base(tmp_path / "base")
    return Contestant("base", folder, directory.load_tokenizer(folder), [])


@pytest.fixture
def loads(monkeypatch):
    """The folders that models were loaded from."""
    load, folders = directory.load, []
    monkeypatch.setattr(directory, "load", lambda folder, *rest, **more: folders.append(folder) or load(folder, *rest, **more))
    return folders


def after_prompts(model, examples: list[Example | None]) -> list[Score]:
    decoder = caches.Growing(model, 8)
    with torch.inference_mode():
        logits = decoder.first(*batch_answers._padded([e.prompt if e else [5, 6, 7] for e in examples], model.device))
        return likelihood.after_prompts(decoder, logits, examples)


@pytest.mark.parametrize("at_once", [1, 12, 1024])
@pytest.mark.parametrize("model", [tiny.model(), tiny.model("gpt2"), tiny.windowed(6)], ids=["llama", "gpt2", "windowed"])
def test_reading_after_the_prompts_is_reading_both(monkeypatch, model, at_once):
    monkeypatch.setattr(likelihood, "ANSWER_TOKENS", at_once)
    plain = tiny.examples(9)
    examples = [None, *plain[:4], replace(plain[4], completion=plain[4].completion[:1]), None, *plain[5:]]
    scores, expected = after_prompts(model, examples), likelihood.alone(model, examples)
    assert [(s.tokens, s.correct) for s in scores] == [(s.tokens, s.correct) for s in expected]
    assert [s.nll for s in scores] == pytest.approx([s.nll for s in expected], rel=1e-5)
    assert scores[0] == scores[6] == likelihood.NONE and scores[5].tokens == 1


def test_answers_are_the_same_where_expected_ones_are_read_meanwhile():
    model, tokenizer, examples = tiny.model(), tiny.tokenizer(), tiny.examples(6)
    prompts, options = [example.prompt for example in examples], tiny.generation(min_new_tokens=3)
    decoder = caches.Growing(model, options.max_new_tokens)
    reading = likelihood.Reading(decoder, examples)
    answers = batch_answers.answer(model, tokenizer, prompts, options, [], decoder, reading)
    assert answers == batch_answers.answer(model, tokenizer, prompts, options, [])
    assert [s.nll for s in reading.scores] == pytest.approx([s.nll for s in likelihood.alone(model, examples)], rel=1e-5)


def test_where_steps_are_recorded_prompts_are_read_again():
    decoder, examples = object.__new__(caches.Graphed), tiny.examples(3)
    decoder.model = tiny.model()
    attention = decoder.model.config._attn_implementation
    reading = likelihood.Reading(decoder, examples)
    reading(torch.zeros(3, 1))
    assert reading.scores == likelihood.alone(tiny.model(), examples)
    assert decoder.model.config._attn_implementation == attention  # the decoder goes on with its own


def test_a_token_without_an_embedding_is_named(contestant):
    (example,) = tiny.examples(1)
    with pytest.raises(StageError, match=f"row {example.id}"):
        likelihood.check_tokens(tiny.model(), contestant.tokenizer, [None, replace(example, completion=[10**6])])


def test_scores_are_of_the_expected_answers_under_its_own_prompt(contestant):
    examples = [encode(row, contestant.tokenizer, 256) for row in tiny.rows(4)]
    assert tiny.tokenizer().decode(examples[0].prompt) == contestant.prompt(tiny.rows(4)[0]["messages"])
    scores = Likelihoods().of(contestant, tiny.rows(4))
    assert [s.nll for s in scores] == pytest.approx([s.nll for s in score(tiny.model(), examples, tiny.scoring(512))], rel=1e-5)
    assert [s.tokens for s in scores] == [len(e.completion) for e in examples]


def test_what_was_read_is_not_read_again(contestant, loads):
    first = Likelihoods().of(contestant, tiny.rows(4))
    assert Likelihoods().of(contestant, tiny.rows(4)) == first and len(loads) == 1
    assert Likelihoods().of(contestant, tiny.rows(4, 1))[:3] != first[1:] or len(loads) == 2
    assert len(loads) == 2


def test_neighbours_with_the_same_weights_share_them(contestant, loads, tmp_path):
    other = Contestant("tuned", tiny.base(tmp_path / "other", seed=1), contestant.tokenizer, [])
    likelihoods = Likelihoods()
    scores = [likelihoods.of(model, tiny.rows(4, first)) for model, first in ((other, 0), (contestant, 0), (contestant, 4))]
    assert loads == [other.folder, contestant.folder]
    assert scores == [
        Likelihoods().of(other, tiny.rows(4)),
        Likelihoods().of(contestant, tiny.rows(4)),
        Likelihoods().of(contestant, tiny.rows(4, 4)),
    ]


def test_other_weights_are_read_anew(contestant, loads, tmp_path):
    other = Contestant("base", tiny.base(tmp_path / "other", seed=1), contestant.tokenizer, [])
    assert Likelihoods().of(contestant, tiny.rows(4)) != Likelihoods().of(other, tiny.rows(4))
    assert loads == [contestant.folder, other.folder]


def test_an_answer_that_does_not_fit_the_context_has_no_tokens(contestant):
    long = tiny.rows(3)
    long[0]["completion"] *= 60
    long[1]["messages"] = [{"role": "user", "content": "why " * 300}]
    scores = Likelihoods().of(contestant, long)
    assert scores[:2] == [Score(0.0, 0, 0)] * 2
    assert scores[2].nll == pytest.approx(Likelihoods().of(contestant, tiny.rows(3))[2].nll, rel=1e-5)


def test_large_models_are_read_in_half_precision_where_it_is_asked_for(contestant, monkeypatch):
    load, asked = directory.load, []
    monkeypatch.setattr(directory, "load", lambda *rest, **more: asked.append(more["dtype"]) or load(*rest, **more))
    plain, half = Likelihoods().of(contestant, tiny.rows(4)), Likelihoods("bf16").of(contestant, tiny.rows(4))
    assert Likelihoods("fp32").of(contestant, tiny.rows(4)) == plain  # what auto means on a CPU: nothing is read again
    assert asked == [torch.float32, torch.bfloat16]
    assert [s.nll for s in half] == pytest.approx([s.nll for s in plain], rel=0.05)
    assert half != plain and [s.tokens for s in half] == [s.tokens for s in plain]
