"""Judging labels: accuracy, macro F1 and calibration with intervals, class by class, against majority and TF-IDF.

| name | what | sums of a row |
|---|---|---|
| accuracy | share of rows whose likeliest label is the right one | 0 or 1, 1 |
| macro_f1 | F1 of each class that the test rows have, averaged | right, answered and expected, of each class |
| log_loss | mean negative log-likelihood of the right label, in nats | nats, 1 |
| calibration_error | how far stated and actual shares lie apart (classes.py) | stated, actual, in each bin; 1 |
"""

import csv
import time

import numpy as np

from stages.common.files import atomic_file, read_rows, write_json, write_rows
from stages.common.sanity import answers, raised
from stages.common.schema_models import LabelJudge
from stages.common.speed import write_speed
from stages.judging.classes import accuracy, calibration_error, macro_f1
from stages.judging.directions import LOWER_IS_BETTER
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.metrics import Figure
from stages.judging.paths import Paths
from stages.models import runtime

RIVALS = ("majority", "tfidf")
CHARACTERS = "reads single characters and pairs of them: no training text has a word of two letters"
LEAST = 1e-6  # probabilities are written to six places


def figures(rows: list[dict], contestant: str, labels: list[str]) -> dict[str, Figure]:
    """Every figure of one contestant."""
    expected, answered = [row["expected"] for row in rows], [row["answers"][contestant]["label"] for row in rows]
    shares = [row["answers"][contestant]["probabilities"] for row in rows]
    likely = np.array([share.get(row["expected"], 0.0) for share, row in zip(shares, rows, strict=True)])
    return {
        "accuracy": accuracy(expected, answered),
        "macro_f1": macro_f1(expected, answered, labels),
        "log_loss": (with_count(-np.log(np.maximum(likely, LEAST))), mean),
        "calibration_error": calibration_error(expected, answered, shares),
    }


def by_class(rows: list[dict], contestant: str, labels: list[str]) -> dict[str, dict]:
    """Precision, recall, F1 and test rows of each label."""
    pairs = [(row["expected"], row["answers"][contestant]["label"]) for row in rows]
    table = {}
    for label in labels:
        right = sum(expected == answered == label for expected, answered in pairs)
        times_answered = sum(answered == label for _, answered in pairs)
        times_expected = sum(expected == label for expected, _ in pairs)
        precision, recall = right / max(times_answered, 1), right / max(times_expected, 1)
        f1 = 2 * right / max(times_answered + times_expected, 1)
        table[label] = {"precision": precision, "recall": recall, "f1": f1, "rows": times_expected}
    return table


def compare(figures_of: dict[str, dict[str, Figure]], bootstrap: Bootstrap) -> dict:
    """Every figure with its interval, and `gain`: tuned minus the better of what needs no language model."""
    result = {
        contestant: {name: bootstrap.interval(*figure) for name, figure in named.items()}
        for contestant, named in figures_of.items()
    }
    gain = {}
    for name, (rows, statistic) in figures_of["tuned"].items():
        pick = min if name in LOWER_IS_BETTER else max
        best = pick(RIVALS, key=lambda contestant, name=name: result[contestant][name]["value"])
        gain[name] = {"over": best, **bootstrap.difference(rows, figures_of[best][name][0], statistic)}
    return result | {"gain": gain}


def notes(rows: list[dict]) -> dict:
    """`notes`: what a reader must know of a contestant, where there is anything."""
    by_characters = any(row["answers"]["tfidf"].get("reads") == "char" for row in rows)
    return {"notes": {"tfidf": CHARACTERS}} if by_characters else {}


def judge_labels(name: str, params: LabelJudge, paths: Paths) -> None:
    """Write figures of the answers, and verdicts that say for each row which contestants were right."""
    start = time.monotonic()
    rows = list(read_rows(paths.answers))
    labels = sorted({label for row in rows for answer in row["answers"].values() for label in answer["probabilities"]})
    labels = sorted({*labels, *(row["expected"] for row in rows)})
    figures_of = {contestant: figures(rows, contestant, labels) for contestant in rows[0]["answers"]}
    results = compare(figures_of, Bootstrap(len(rows), params.bootstrap, params.confidence, params.seed))
    headline = {}
    for figure in ("accuracy", "macro_f1", "calibration_error"):
        gain = results["gain"][figure]
        headline[figure] = {"tuned": results["tuned"][figure]["value"], "gain": gain["value"]}
        headline[figure] |= {"low": gain["low"], "high": gain["high"]}
    answered = {row["id"]: {contestant: answer["label"] for contestant, answer in row["answers"].items()} for row in rows}
    right = {
        row["id"]: {contestant: int(label == row["expected"]) for contestant, label in answered[row["id"]].items()}
        for row in rows
    }
    write_rows(paths.verdicts, ({"id": row["id"], "scores": {"right": right[row["id"]]}} for row in rows))
    with atomic_file(paths.table) as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["id", "actual", "predicted", "probability", *RIVALS])
        for row in rows:
            sure = row["answers"]["tuned"]["probabilities"][answered[row["id"]]["tuned"]]
            others = [answered[row["id"]][contestant] for contestant in RIVALS]
            lines.writerow([row["id"], row["expected"], answered[row["id"]]["tuned"], f"{sure:.4g}", *others])
    classes = {contestant: by_class(rows, contestant, labels) for contestant in ("tuned", *RIVALS)}
    write_json(paths.details, {"rows": len(rows), **results, "classes": classes, **notes(rows)})
    write_json(paths.metrics, headline | raised("judge", name, answers(rows)))
    write_speed(paths.speed, {"seconds": time.monotonic() - start}, runtime.environment())
