import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from stages.common.schema_models import FIGURES
from stages.judging.intervals import Bootstrap
from stages.judging.measures import limerick, parts
from stages.judging.metrics import Overlap, common_subsequence, likelihood, rouge_l, signatures, wording
from stages.tasks.score import Score, score
from tests import tiny

EXPECTED = ["The cat sat on the mat today.", "A dog barks at night, loudly.", "It rains.", "Cold water is best in summer."]
ANSWERS = ["The cat sat on a mat today.", "A dog sleeps at night.", "", "Cold water is best in summer."]
ITEMS = [("?", expected, answer) for expected, answer in zip(EXPECTED, ANSWERS, strict=True)]


def value(figure) -> float:
    rows, statistic = figure
    return float(statistic(rows.sum(0)))


@pytest.fixture
def figures():
    return wording(ITEMS, [7, 6, 0, 7], Overlap(EXPECTED))


def test_no_judge_can_be_named_like_a_figure():
    """Scores are keyed by both; a new figure's name is to be kept from judges too."""
    scores = [Score(1.0, 1, 1)]
    named = {*wording(ITEMS, [7, 6, 0, 7], Overlap(EXPECTED)), *likelihood(scores, ["a"])}
    named |= {*parts(["wheel"], ["wheel"], [True]), *limerick(ANSWERS, EXPECTED, ANSWERS, EXPECTED), "prompt_tokens", "alarms"}
    assert named <= FIGURES


def test_perplexity_is_that_of_the_loss_of_transformers():
    model, examples = tiny.model(), tiny.examples(5)
    figures = likelihood(list(score(model, examples, tiny.scoring(512))), [row["completion"] for row in tiny.rows(5)])
    nats = tokens = octets = 0
    for example, row in zip(examples, tiny.rows(5), strict=True):
        ids = torch.tensor([[*example.prompt, *example.completion]])
        labels = ids.clone()
        labels[0, : len(example.prompt)] = -100
        nats += model(ids, labels=labels).loss.item() * len(example.completion)
        tokens += len(example.completion)
        octets += len(row["completion"].encode())
    assert value(figures["perplexity"]) == pytest.approx(math.exp(nats / tokens), rel=1e-5)
    assert value(figures["bits_per_byte"]) == pytest.approx(nats / math.log(2) / octets, rel=1e-5)


def test_likelihood_by_hand():
    figures = likelihood([Score(2.0, 4, 1), Score(4.0, 2, 2)], ["abcd", "é"])
    assert value(figures["perplexity"]) == pytest.approx(math.e)
    assert value(figures["bits_per_byte"]) == pytest.approx(6 / math.log(2) / 6)
    assert value(figures["token_accuracy"]) == pytest.approx(0.5)


def test_a_row_that_was_not_read_has_no_say_in_the_likelihood():
    read, unread = Score(2.0, 4, 1), Score(0.0, 0, 0)
    alone, both = likelihood([read], ["abcd"]), likelihood([read, unread], ["abcd", "much longer than the context"])
    assert {name: value(figure) for name, figure in alone.items()} == {name: value(figure) for name, figure in both.items()}


def test_bleu_and_chrf_equal_sacrebleu(figures):
    assert value(figures["bleu"]) == pytest.approx(BLEU().corpus_score(ANSWERS, [EXPECTED]).score)
    assert value(figures["chrf"]) == pytest.approx(CHRF().corpus_score(ANSWERS, [EXPECTED]).score)
    assert value(figures["bleu"]) > 10


def test_resampled_bleu_is_that_of_the_resampled_corpus(figures):
    bootstrap = Bootstrap(4, 100, 0.95, 1)
    rows, statistic = figures["bleu"]
    for draw, bleu in zip(bootstrap.draws[:5], statistic(bootstrap.counts @ rows), strict=False):
        answers, expected = [ANSWERS[i] for i in draw], [EXPECTED[i] for i in draw]
        assert bleu == pytest.approx(BLEU().corpus_score(answers, [expected]).score)


def test_exact_match_folds_case_and_space_alone():
    items = [("?", "Yes, it is.", answer) for answer in ("yes,  IT is.", "Yes, it is.", "Yes it is.", "")]
    figures = wording(items, [1] * 4, Overlap(["Yes, it is."]))
    assert figures["exact_match"][0][:, 0].tolist() == [1, 1, 0, 0]
    assert figures["exact_match_cased"][0][:, 0].tolist() == [0, 1, 0, 0]


def test_exact_match_tells_powers_from_digits_and_sees_no_zero_width_space():
    items = [("?", "5²", "52"), ("?", "x₁", "x1"), ("?", "1½", "11⁄2"), ("?", "red", "red\u200b"), ("?", "é", "e\u0301")]
    figures = wording(items, [1] * 5, Overlap(["a"]))
    for name in ("exact_match", "exact_match_cased"):
        assert figures[name][0][:, 0].tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("answer", "expected", "f1"),
    [
        ("police kill the gunman", "police killed the gunman", 3 / 4),  # the examples of Lin 2004
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        ("The cat, today!", "the CAT sat today", 6 / 7),
        ("été  froid", "un été très froid", 4 / 6),
        ("", "a b", 0),
        ("a", "", 0),
        ("...", "!", 0),
        ("same words here", "same words here", 1),
    ],
)
def test_rouge_l(answer, expected, f1):
    assert rouge_l(answer, expected) == pytest.approx(f1)
    assert rouge_l(expected, answer) == pytest.approx(f1)


@given(*[st.lists(st.sampled_from("abcd"), max_size=70)] * 2)
def test_the_longest_common_subsequence_is_that_of_the_table(first, second):
    row = [0] * (len(second) + 1)
    for letter in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            diagonal, row[place] = row[place], diagonal + 1 if letter == other else max(row[place], row[place - 1])
    assert common_subsequence(first, second) == row[-1]


def test_overlap_is_one_for_the_same_and_nothing_for_other_words():
    items = [("?", "red apple", answer) for answer in ("red apple", "Apple, red!", "apple", "blue pear", "", "unheard")]
    overlaps = Overlap(["red apple", "blue pear"]).score(items)
    assert overlaps[:2] == pytest.approx([1, 1]) and 0 < overlaps[2] < 1 and overlaps[3:].tolist() == [0, 0, 0]


def test_tokens_are_the_mean(figures):
    assert value(figures["tokens"]) == 5


def test_every_figure_has_a_row_for_each_answer(figures):
    assert all(len(rows) == 4 and np.isfinite(rows).all() for rows, _ in figures.values())


def test_signatures_say_what_was_computed():
    assert signatures().keys() == {"bleu", "chrf"}
    assert all("version:" in text for text in signatures().values())


def test_answers_without_a_word_are_compared_sign_by_sign():
    overlap = Overlap(["😀😀", "🚀", "👍🚀"])
    same, other = overlap.score([("?", "😀🚀", "😀🚀"), ("?", "😀", "👍")])
    assert same == pytest.approx(1) and other == 0
