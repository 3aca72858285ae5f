"""Fit the embedded judge's weights on answers that people marked.

    python bench/fit_judge.py FOLDER [--encoder models/minilm] [--write]

FOLDER holds files `<set>*.jsonl` as `bench/judged_sets.py` makes them: `set, group, question, reference, answer, human`. The
files of one set are one. Sets that share questions are one domain. pandalm is left out: the authors of its references ask that
nothing be trained on them.

What the signals weigh is not fitted: their shares are those of signals.py, each on its own scale. Weights fitted to some sets
agree less with people of another domain (Dawes 1979, on improper linear models). Fitted are three numbers: the slope of their
mean, and the weights of `known` and `opposite`. They come from a logistic regression on the marks (0 to 1) in which each set
has a level of its own and every domain weighs the same. Then comes one level for all sets. The level of a set would make its
mean score its mean mark; their median is taken, so that one set with lenient graders moves no score of the others.

A second regression tells texts from their own words in disorder by the encoder's states (the flag `shuffled`). Printed is how
well weights that were fitted without a set's domain do on it. With --write, stages/judging/weights/ is written anew.
"""

import argparse
import hashlib
import json
import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.optimize import brentq, minimize

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.agreement import Judged, agreement, read_sets
from stages.common.files import write_json
from stages.judging.embedded import WEIGHTS
from stages.judging.encoder import Encoder
from stages.judging.form import SYNTAX_WEIGHTS
from stages.judging.signals import NAMES, SHARES, Signals

TESTING_ONLY = {"pandalm"}
DOMAINS = {"mediqa": "liveqa", "truthful_hand": "truthful"}  # sets that share questions
PRIOR, LEVEL_PRIOR = 2.0, 0.01  # of a Gaussian on weights and on the sets' levels, beside 1,000 rows a domain
SLOPE = 1.25  # of the fitted odds: right and wrong answers of a set lie further apart, at no cost in calibration error
VERSION = "content.v3"
SYNTAX_WORDS, SYNTAX_ROWS, SYNTAX_PRIOR = (4, 40), 400, 100.0
FALSE_ALARMS = 0.01  # share of whole texts that may be flagged as shuffled


def domain(name: str) -> str:
    """The domain of a set."""
    return DOMAINS.get(name, name)


def logistic(features: np.ndarray, marks: np.ndarray, weights: np.ndarray, prior: np.ndarray, free: int) -> np.ndarray:
    """Coefficients [k] of a weighted logistic regression on marks of 0 to 1, the first `free` of them not negative."""

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        odds = features @ point
        value = (weights * (np.logaddexp(0, odds) - marks * odds)).sum() + (prior * point**2).sum() / 2
        return value, features.T @ (weights * (1 / (1 + np.exp(-odds)) - marks)) + prior * point

    width = features.shape[1]
    bounds = [(0, None)] * free + [(None, None)] * (width - free)
    return minimize(loss, np.zeros(width), jac=True, method="L-BFGS-B", bounds=bounds).x


def fit(signals: np.ndarray, judged: Judged) -> dict:
    """Center, scale and weight of each signal [n, k], of which the last are `known` and `opposite`, and the bias."""
    names = sorted(set(judged.sets))
    inside = np.array([[name == set_name for set_name in names] for name in judged.sets], float)
    domains = np.array([domain(name) for name in judged.sets])
    weights = np.array([1000 / (domains == name_of_domain).sum() for name_of_domain in domains])
    center = signals.mean(0)
    scale = np.sqrt(np.mean([signals[judged.sets == name].var(0) for name in names], 0)) + 1e-9
    center[-1], scale[-1] = 0, 1  # `opposite` is 0 or 1
    plain = (signals - center) / scale
    shares = np.array([*SHARES.values()]) / sum(SHARES.values())
    features = np.column_stack([plain[:, : len(shares)] @ shares, plain[:, len(shares) :], inside])
    prior = np.r_[np.full(3, PRIOR), np.full(len(names), LEVEL_PRIOR)]
    slope, *direct = logistic(features, judged.marks, weights, prior, free=1)[:3]
    weight = SLOPE * np.r_[slope * shares, direct]
    sums = plain @ weight
    levels = [_level(sums[judged.sets == name], judged.marks[judged.sets == name]) for name in names]
    return {"center": center, "scale": scale, "weight": weight, "bias": float(np.median(levels))}


def _level(odds: np.ndarray, marks: np.ndarray) -> float:
    """What to add to log-odds [n] so that the mean score is the mean mark."""
    return brentq(lambda level: (1 / (1 + np.exp(-odds - level)) - marks).sum(), -20, 20)


def predict(fitted: dict, signals: np.ndarray) -> np.ndarray:
    """Scores of 0 to 100."""
    return 100 / (1 + np.exp(-((signals - fitted["center"]) / fitted["scale"] @ fitted["weight"] + fitted["bias"])))


def held_out(signals: np.ndarray, judged: Judged) -> np.ndarray:
    """Scores of each set by weights that were fitted without its domain."""
    scores = np.zeros(len(signals))
    learn = ~np.isin(judged.sets, list(TESTING_ONLY))
    domains = np.array([domain(name) for name in judged.sets])
    for tested in sorted(set(domains)):
        elsewhere = learn & (domains != tested)
        scores[domains == tested] = predict(fit(signals[elsewhere], judged.at(elsewhere)), signals[domains == tested])
    return scores


def syntax(encoder: Encoder, judged: Judged, seed: int = 1) -> dict:
    """A direction in the encoder's early states that tells texts from their own words in disorder, and its threshold."""
    dice, by_domain = random.Random(seed), defaultdict(list)
    least, most = SYNTAX_WORDS
    for name, texts in zip(judged.sets, judged.texts, strict=True):
        by_domain[domain(name)] += [text for text in texts[1:] if len(text.split()) >= least]
    in_order, mixed = [], []
    for texts in by_domain.values():
        texts = sorted(set(texts))
        for text in dice.sample(texts, min(SYNTAX_ROWS, len(texts))):
            words = text.split()[:most]
            disordered = dice.sample(words, len(words))
            if disordered != words:
                in_order.append(" ".join(words))
                mixed.append(" ".join(disordered))
    states = encoder.syntax(in_order + mixed)
    center, scale = states.mean(0), states.std(0) + 1e-6
    features = np.hstack([(states - center) / scale, np.ones((len(states), 1))])
    marks = np.r_[np.zeros(len(in_order)), np.ones(len(mixed))]
    prior = np.r_[np.full(states.shape[1], SYNTAX_PRIOR), 0.0]
    point = logistic(features, marks, np.ones(len(marks)), prior, 0)
    odds = features @ point
    weight = point[:-1] / scale
    limit = float(np.quantile(odds[: len(in_order)], 1 - FALSE_ALARMS))
    flagged = float((odds[len(in_order) :] > limit).mean())
    print(
        f"shuffled: {len(in_order)} texts, {flagged:.1%} of those in disorder are flagged, and {FALSE_ALARMS:.0%} of the others"
    )
    return {
        "weight": [round(float(value), 5) for value in weight],
        "bias": float(point[-1] - center @ weight - limit),
        "texts": len(in_order),
        "found": flagged,
        "false_alarms": FALSE_ALARMS,
    }


def provenance(files: list[Path], judged: Judged, fitted: np.ndarray) -> dict:
    """Which rows of which files the weights come from."""
    sets = {name: int(((judged.sets == name) & fitted).sum()) for name in sorted(set(judged.sets[fitted]))}
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if _set_of(file) in sets}
    return {"command": "python bench/fit_judge.py FOLDER --write", "rows": sets, "sha256": hashes}


def _set_of(file: Path) -> str:
    with open(file, encoding="utf-8") as lines:
        return json.loads(next(lines))["set"]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", type=Path, default=Path("models/minilm"))
    parser.add_argument("--write", action="store_true", help="write the weights")
    options = parser.parse_args()
    files, judged = read_sets(options.folder)
    encoder = Encoder(options.encoder)
    signals = np.concatenate([Signals(encoder)(part.items()) for part in judged.by_set()])
    learn = ~np.isin(judged.sets, list(TESTING_ONLY))
    table = agreement(judged, held_out(signals, judged), resamples=1000)
    for name, figures in table.items():
        print(name, " ".join(f"{figure} {interval['value']:.3f}" for figure, interval in figures.items()))
    fitted = fit(signals[learn], judged.at(learn))
    print({name: round(float(weight), 2) for name, weight in zip(NAMES, fitted["weight"], strict=True)})
    if options.write:
        parts = ("center", "scale", "weight")
        by_signal = {name: {part: float(fitted[part][place]) for part in parts} for place, name in enumerate(NAMES)}
        reader = {"name": options.encoder.name, "sha256": encoder.content_hash}
        sources = provenance(files, judged, learn)
        spearman_held_out = {name: figures["spearman"] for name, figures in table.items()}
        weights = {"version": VERSION, "signals": by_signal, "bias": float(fitted["bias"]), "encoder": reader}
        write_json(WEIGHTS, weights | {"fitted_on": sources, "held_out_spearman": spearman_held_out})
        write_json(SYNTAX_WEIGHTS, {"encoder": reader, "fitted_on": sources, **syntax(encoder, judged.at(learn))})


if __name__ == "__main__":
    main()
