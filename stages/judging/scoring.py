"""From answers to figures with intervals, and what the controls say of the judge that gave them."""

import numpy as np

from stages.judging.controls import controls, question
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.metrics import Figure

LOWER_IS_BETTER = {"perplexity", "bits_per_byte"}
NEITHER_IS_BETTER = {"tokens"}
HALF = 50  # of 100 points


def summarize(figures: dict[str, dict[str, Figure]], bootstrap: Bootstrap) -> dict:
    """Every figure of every contestant, and `gain`: tuned minus the better prompt of the base, with paired intervals."""
    result = {who: {name: bootstrap.interval(*figure) for name, figure in named.items()} for who, named in figures.items()}
    rivals = [who for who in figures if who.startswith("base")]
    gain = {}
    for name, (rows, statistic) in figures["tuned"].items():

        def value(who: str, name: str = name) -> float:
            return result[who][name]["value"]

        best = (min if name in LOWER_IS_BETTER else max)(rivals, key=value, default=None)
        if best and name not in NEITHER_IS_BETTER:
            gain[name] = {"over": best, **bootstrap.difference(rows, figures[best][name][0], statistic)}
    return result | {"gain": gain}


def headline(results: dict, judges: list[str]) -> dict:
    """What a table of experiments has room for: perplexity, chrF and each judge's mean score of the tuned model, the gain
    over the base with its interval, and the judge's smallest area under the curve over all kinds of controls."""
    found = {}
    for name in ("perplexity", "chrf", *judges):
        gain = results["gain"].get(name, {})
        found[name] = {"tuned": results["tuned"][name]["value"]} | {
            column: gain[key] for column, key in (("gain", "value"), ("low", "low"), ("high", "high")) if key in gain
        }
    for judge in judges:
        found[judge]["auc"] = min(area["value"] for area in results["judges"][judge]["auc"].values())
    return found


def items(rows: list[dict], answers: list[str]) -> list[tuple[str, str, str]]:
    """What a judge is given: (question, expected, answer) for each row."""
    return [(question(row), row["expected"], answer) for row, answer in zip(rows, answers, strict=True)]


def known_answers(rows: list[dict], vectors: np.ndarray, seed: int) -> dict[str, list[str]]:
    """Answers of known worth to the test rows, by kind; among them the expected ones and what the base answered."""
    made = controls(rows, [row["expected"] for row in rows], vectors, seed)
    kinds = {kind: [answers[kind] for answers in made] for kind in made[0]} | {"expected": [row["expected"] for row in rows]}
    return kinds | {who: [row["answers"][who]["text"] for row in rows] for who in rows[0]["answers"] if who.startswith("base")}


def trust(scores: dict[str, np.ndarray], bootstrap: Bootstrap) -> dict:
    """What a judge's scores of the controls say of it: the area under the ROC curve of good answers against each kind of
    bad ones, the share fooled by an order for full marks, and the mean of each kind."""
    good = scores["good"]
    return {
        "auc": {kind: bootstrap.auc(good, bad) for kind, bad in scores.items() if kind not in ("good", "expected")},
        "fooled": bootstrap.interval(with_count(scores["orders"] >= HALF), mean),
        "control_means": {kind: float(values.mean()) for kind, values in scores.items()},
    }
