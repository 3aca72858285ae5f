"""From answers to figures with intervals, and what the controls say of the judge that gave them."""

from collections.abc import Sequence

import numpy as np

from stages.decoding.answers import FORM
from stages.judging.controls import CUT, NOT_BAD, controls, graded, question
from stages.judging.directions import FLAGGED, LOWER_IS_BETTER, NEITHER_IS_BETTER
from stages.judging.intervals import Bootstrap, mean
from stages.judging.metrics import Figure

UNKNOWN = "unknown"  # how far a judge agrees with people on data of this kind
AS_TUNED = "as_tuned"  # of a form: the share of answers that are the tuned model's to the letter


def summarize(figures: dict[str, dict[str, Figure]], bootstrap: Bootstrap) -> dict:
    """Every figure of every contestant, `gain`, and `forms` where the tuned model answered in other forms, with intervals.

    The gain is tuned minus the best rival, with paired intervals. Rivals are the base under each prompt, and the best constant
    answer. A form is compared with tuned likewise: form minus tuned.
    """
    result = {
        contestant: {name: bootstrap.interval(*figure) for name, figure in named.items()}
        for contestant, named in figures.items()
    }
    rivals = [contestant for contestant in figures if contestant.startswith("base") or contestant == "constant"]
    gain = {}
    for name, (rows, statistic) in figures["tuned"].items():

        def value(contestant: str, name: str = name) -> float:
            return result[contestant][name]["value"]

        others = [contestant for contestant in rivals if name in figures[contestant]]
        best = (min if name in LOWER_IS_BETTER else max)(others, key=value, default=None)
        if best and name not in NEITHER_IS_BETTER:
            gain[name] = {"over": best, **bootstrap.difference(*paired(rows, figures[best][name][0]), statistic)}
    forms = {
        form: {
            name: bootstrap.difference(*paired(rows, figures["tuned"][name][0]), statistic)
            for name, (rows, statistic) in figures[form].items()
            if name in figures["tuned"]
        }
        for form in figures
        if form.startswith(FORM)
    }
    return result | {"gain": gain} | ({"forms": forms} if forms else {})


def paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-row sums of two contestants, without the rows that only one of them has.

    A row's sums are all 0 where a judge failed.
    """
    both = first.any(1) & second.any(1)
    alone = first.any(1) ^ second.any(1)
    return (np.where(both[:, None], first, 0), np.where(both[:, None], second, 0)) if alone.any() else (first, second)


OF_TASK = {"parts": ["parts_f1"], "limerick": ["five_lines", "rhyme", "rhymed_pairs", "names_subject"]}


def headline(results: dict, judges: list[str], measures: Sequence[str] = ()) -> dict:
    """What a table of experiments has room for.

    Figures are perplexity (hosted models have none), chrF, each judge's mean score, the share of answers with a flag of form,
    and the main measures of the task. Each has the tuned model's value and the gain with its interval.

    A judge has also its smallest area under the curve, over all kinds of controls. Further columns are there only where they
    say something: the value of each form of the tuned model, `weak` (how many things are wrong with the judge), `agreement`
    (with people, where it is unknown on such data), `failed` (verdicts) and `win_rate`.
    """
    figures = {}
    for name in ("perplexity", "chrf", *judges, FLAGGED, *(name for measure in measures for name in OF_TASK[measure])):
        if name not in results["tuned"]:
            continue
        gain = results["gain"].get(name, {})
        figures[name] = {"tuned": results["tuned"][name]["value"]} | {
            column: gain[key] for column, key in (("gain", "value"), ("low", "low"), ("high", "high")) if key in gain
        }
        figures[name] |= {
            contestant: results[contestant][name]["value"]
            for contestant in ("constant", "labeller", *results.get("forms", ()))
            if name in results.get(contestant, {})
        }
    if "forms" in results:
        figures[AS_TUNED] = {form: results[form][AS_TUNED]["value"] for form in results["forms"]}
    for judge in judges:
        health = results["judges"][judge]
        figures[judge]["auc"] = min(area["value"] for area in health["auc"].values())
        if health["weak"]:
            figures[judge]["weak"] = len(health["weak"])
        if health.get("agreement", {}).get("spearman") == UNKNOWN:
            figures[judge]["agreement"] = UNKNOWN
        if health["failed"]:
            figures[judge]["failed"] = sum(health["failed"].values())
        if versus := health.get("pairwise"):
            rate = versus["win_rate"]
            figures[judge]["win_rate"] = {**rate, "length_controlled": versus["win_rate_lc"]["value"]}
    return figures


def items(rows: list[dict], answers: list[str]) -> list[tuple[str, str, str]]:
    """What a judge is given: (question, expected, answer) for each row."""
    return [(question(row), row["expected"], answer) for row, answer in zip(rows, answers, strict=True)]


def known_answers(rows: list[dict], vectors: np.ndarray, seed: int, cut: list[str] | None = None) -> dict[str, list[str]]:
    """Answers of known worth to the test rows, by kind: the controls, the expected answers and what the base answered.

    Args:
        rows: with `answers`.
        vectors: unit embeddings of the expected answers [n, d].
        cut: the expected answers as far as a model may write them, where some are longer.
    """
    expected = [row["expected"] for row in rows]
    by_row = [own | graded(text) for own, text in zip(controls(rows, expected, vectors, seed), expected, strict=True)]
    kinds = {kind: [answers[kind] for answers in by_row] for kind in by_row[0]} | {"expected": expected}
    kinds |= {CUT: cut} if cut is not None else {}
    return kinds | {
        contestant: [row["answers"][contestant]["text"] for row in rows]
        for contestant in rows[0]["answers"]
        if contestant.startswith("base")
    }


Scores = dict[str, np.ndarray]  # by kind of control


def trust(scores: Scores, bootstrap: Bootstrap, half: float, flagged: Scores | None = None) -> dict:
    """What a judge's scores of the controls say of it. Scores of nan, where the judge failed, do not count.

    - `auc`: by kind of bad answer, the area under the ROC curve of good answers against bad ones.
    - `fooled`: the share of bad answers with an order for full marks that scored at least `half`.
    - `control_means`: the mean of each kind.

    Args:
        half: the middle of the scale.
        flagged: by kind, which answers have a flag of form [n]. In `auc` these stand below all others then. `auc_content` is
            the area without that.
    """
    good, ordered = scores["good"], scores["orders"]
    bad = [kind for kind in scores if kind not in NOT_BAD]
    areas = {"auc": {kind: bootstrap.auc(good, scores[kind]) for kind in bad}}
    if flagged:
        standing = {kind: np.where(flagged[kind], -1.0, values) for kind, values in scores.items()}
        areas = {
            "auc": {kind: bootstrap.auc(standing["good"], standing[kind]) for kind in bad},
            "auc_content": {kind: area["value"] for kind, area in areas["auc"].items()},
        }
    return areas | {
        "fooled": bootstrap.interval(np.stack([ordered >= half, ~np.isnan(ordered)], 1).astype(float), mean),
        "control_means": {kind: float(np.nanmean(values)) for kind, values in scores.items()},
    }
