"""Figures of text answers. Each is a matrix of per-row sums and a statistic of their totals. So all can be resampled.

| name | what | sums of a row |
|---|---|---|
| perplexity | exp of the mean negative log-likelihood of answer tokens, end token included, weighted by token | nats, tokens |
| bits_per_byte | the same information per UTF-8 byte of the expected answer: compares across tokenizers | nats, bytes |
| token_accuracy | share of answer tokens that are the most likely one, given those before | right, tokens |
| bleu | corpus BLEU (Papineni et al. 2002), sacrebleu | its n-gram counts |
| chrf | corpus chrF (Popović 2015), sacrebleu | its n-gram counts |
| rouge_l | ROUGE-L (Lin 2004): F1 of the longest common subsequence of words, averaged | F1, 1 |
| exact_match | same text but for case, white space and what cannot be seen (`folded_key`) | 0 or 1, 1 |
| exact_match_cased | the same, but case counts (`text_key`) | 0 or 1, 1 |
| overlap | cosine of TF-IDF vectors, weights from the training answers | cosine, 1 |
| tokens | tokens of the answer | tokens, 1 |
| prompt_tokens | tokens of the prompt, which every answer costs | tokens, 1 |
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sklearn.feature_extraction.text import TfidfVectorizer

from stages.common.text_keys import folded_key, same_text
from stages.judging.intervals import Statistic, mean, with_count

if TYPE_CHECKING:  # imports torch, which a report of finished verdicts does without
    from stages.tasks.score import Score

Figure = tuple[np.ndarray, Statistic]  # per-row sums [n, k] and the statistic of their totals


def likelihood(scores: "list[Score]", expected: list[str]) -> dict[str, Figure]:
    """What a model makes of the expected answers."""
    pairs = zip(scores, expected, strict=True)  # an answer that did not fit the context has no tokens, and so no bytes
    rows = np.array([[s.nll, s.tokens, s.correct, len(text.encode()) if s.tokens else 0] for s, text in pairs], float)
    return {
        "perplexity": (rows, lambda sums: np.exp(sums[..., 0] / sums[..., 1])),
        "bits_per_byte": (rows, lambda sums: sums[..., 0] / np.log(2) / sums[..., 3]),
        "token_accuracy": (rows, lambda sums: sums[..., 2] / sums[..., 1]),
    }


def _corpus(metric: BLEU | CHRF, answers: list[str], expected: list[str]) -> Figure:
    # the two steps of sacrebleu's own corpus_score, kept apart so that rows can be resampled between them
    rows = np.array(metric._extract_corpus_statistics(answers, [expected]), float)

    def statistic(sums: np.ndarray) -> np.ndarray:
        flat = sums.reshape(-1, sums.shape[-1])
        return np.array([metric._compute_score_from_stats(line.astype(int).tolist()).score for line in flat]).reshape(
            sums.shape[:-1]
        )

    return rows, statistic


def chrf(answers: list[str], expected: list[str]) -> Figure:
    """Corpus chrF of answers, one expected answer each."""
    return _corpus(CHRF(), answers, expected)


def rouge_l(answer: str, expected: str) -> float:
    """F1 of the longest common subsequence of words. Case and punctuation do not count; forms of a word do."""
    answered, wanted = (re.findall(r"\w+", folded_key(text)) for text in (answer, expected))
    shared = common_subsequence(answered, wanted)
    return 2 * shared / (len(answered) + len(wanted)) if shared else 0.0


def common_subsequence(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, by bits (Hyyrö 2004).

    A word of `first` costs one addition, not a row of a table. A bit of `state` turns 0 where the best length for `second` up
    to there grows.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << place
    full = state = (1 << len(second)) - 1
    for word in first:
        matches = state & places.get(word, 0)
        state = ((state + matches) | (state - matches)) & full
    return len(second) - state.bit_count()


class Overlap:
    """Plain word overlap: cosine of TF-IDF vectors, in [0, 1]. It is reported beside every judge, as the bar to clear."""

    def __init__(self, texts: Iterable[str]):
        try:
            self.vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit(texts)
        except ValueError:  # no word in any text: answers of emoji alone are compared sign by sign
            self.vectorizer = TfidfVectorizer(analyzer="char").fit(texts)

    def score(self, items: list[tuple[str, str, str]]) -> np.ndarray:
        """One figure [n] for each (question, expected, answer), as a judge gives them."""
        expected, answers = (self.vectorizer.transform([item[place] for item in items]) for place in (1, 2))
        return np.asarray(answers.multiply(expected).sum(1)).ravel()


def wording(items: list[tuple[str, str, str]], tokens: list[int], overlap: Overlap) -> dict[str, Figure]:
    """How near the written answers come to the expected ones; `items` are (question, expected, answer)."""
    expected, answers = [item[1] for item in items], [item[2] for item in items]
    return {
        "bleu": _corpus(BLEU(effective_order=False), answers, expected),
        "chrf": chrf(answers, expected),
        "rouge_l": (with_count([rouge_l(a, e) for a, e in zip(answers, expected, strict=True)]), mean),
        "exact_match": (with_count([folded_key(a) == folded_key(e) for a, e in zip(answers, expected, strict=True)]), mean),
        "exact_match_cased": (with_count([same_text(a, e) for a, e in zip(answers, expected, strict=True)]), mean),
        "overlap": (with_count(overlap.score(items)), mean),
        "tokens": (with_count(tokens), mean),
    }


def signatures() -> dict[str, str]:
    """sacrebleu's signatures: what exactly was computed."""
    by_metric = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        metric.corpus_score(["a b c d e"], [["a b c d e"]])
        by_metric[name] = str(metric.get_signature())
    return by_metric
