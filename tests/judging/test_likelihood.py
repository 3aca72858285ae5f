import pytest
import torch

from stages.decoding.contestants import Contestant
from stages.judging.likelihood import Likelihoods
from stages.models import directory
from stages.tasks.batches import encode
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


def rows(count: int = 4, first: int = 0) -> list[dict]:
    return [{"expected": row.pop("completion"), **row} for row in tiny.rows(count, first)]


def test_scores_are_of_the_expected_answers_under_its_own_prompt(contestant):
    examples = [encode(row, contestant.tokenizer, 256) for row in tiny.rows(4)]
    assert tiny.tokenizer().decode(examples[0].prompt) == contestant.prompt(rows()[0]["messages"])
    scores = Likelihoods().of(contestant, rows())
    assert [s.nll for s in scores] == pytest.approx([s.nll for s in score(tiny.model(), examples, tiny.scoring(512))], rel=1e-5)
    assert [s.tokens for s in scores] == [len(e.completion) for e in examples]


def test_what_was_read_is_not_read_again(contestant, loads):
    first = Likelihoods().of(contestant, rows())
    assert Likelihoods().of(contestant, rows()) == first and len(loads) == 1
    assert Likelihoods().of(contestant, rows(4, 1))[:3] != first[1:] or len(loads) == 2
    assert len(loads) == 2


def test_neighbours_with_the_same_weights_share_them(contestant, loads, tmp_path):
    other = Contestant("tuned", tiny.base(tmp_path / "other", seed=1), contestant.tokenizer, [])
    likelihoods = Likelihoods()
    scores = [likelihoods.of(model, rows(4, first)) for model, first in ((other, 0), (contestant, 0), (contestant, 4))]
    assert loads == [other.folder, contestant.folder]
    assert scores == [
        Likelihoods().of(other, rows()),
        Likelihoods().of(contestant, rows()),
        Likelihoods().of(contestant, rows(4, 4)),
    ]


def test_other_weights_are_read_anew(contestant, loads, tmp_path):
    other = Contestant("base", tiny.base(tmp_path / "other", seed=1), contestant.tokenizer, [])
    assert Likelihoods().of(contestant, rows()) != Likelihoods().of(other, rows())
    assert loads == [contestant.folder, other.folder]


def test_an_answer_that_does_not_fit_the_context_has_no_tokens(contestant):
    long = rows(3)
    long[0]["expected"] *= 60
    long[1]["messages"] = [{"role": "user", "content": "why " * 300}]
    scores = Likelihoods().of(contestant, long)
    assert scores[:2] == [Score(0.0, 0, 0)] * 2
    assert scores[2].nll == pytest.approx(Likelihoods().of(contestant, rows(3))[2].nll, rel=1e-5)


def test_large_models_are_read_in_half_precision_where_it_is_asked_for(contestant, monkeypatch):
    load, asked = directory.load, []
    monkeypatch.setattr(directory, "load", lambda *rest, **more: asked.append(more["dtype"]) or load(*rest, **more))
    plain, half = Likelihoods().of(contestant, rows()), Likelihoods("bf16").of(contestant, rows())
    assert Likelihoods("fp32").of(contestant, rows()) == plain  # what auto means on a CPU: nothing is read again
    assert asked == [torch.float32, torch.bfloat16]
    assert [s.nll for s in half] == pytest.approx([s.nll for s in plain], rel=0.05)
    assert half != plain and [s.tokens for s in half] == [s.tokens for s in plain]
