"""Judging answers in text: likelihood, wording and judge scores with intervals, tuned against base, and the judge itself."""

import csv
import random
import time
from pathlib import Path

import numpy as np

from stages.common.errors import StageError
from stages.common.files import atomic_file, read_rows, write_json, write_rows
from stages.common.progress import Progress
from stages.common.schema_models import EmbeddedJudge as EmbeddedOptions
from stages.common.schema_models import Judge
from stages.decoding.contestants import Contestant, contestants
from stages.judging.embedded import EmbeddedJudge
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.likelihood import expected_scores
from stages.judging.metrics import Figure, Overlap, likelihood, signatures, wording
from stages.judging.scoring import headline, items, known_answers, summarize, trust
from stages.judging.signals import Encoder, Fluency, Signals
from stages.models import directory, runtime


def fit_embedded(options: EmbeddedOptions, training: list[dict], encoder: Encoder, root: Path, seed: int) -> EmbeddedJudge:
    """The embedded judge, its mapping to 0-100 fitted on training rows."""
    fluency = Fluency(directory.load(root).to(runtime.device()), directory.load_tokenizer(root), options.prefix_tokens)
    signals = Signals(encoder, fluency, [row["completion"] for row in training])
    chosen = random.Random(seed).sample(training, min(options.controls, len(training)))
    return EmbeddedJudge(signals).fit(chosen, seed)


def measure(who: Contestant, rows: list[dict], overlap: Overlap) -> dict[str, Figure]:
    """Every figure of one contestant that needs no judge."""
    answers = [row["answers"][who.name] for row in rows]
    wordings = wording(items(rows, [a["text"] for a in answers]), [a["tokens"] for a in answers], overlap)
    return likelihood(expected_scores(who, rows), [row["expected"] for row in rows]) | wordings


def likelihoods(named: dict[str, Figure], row: int) -> list[float]:
    """Nats, tokens and tokens predicted right of one expected answer: revisions are compared row by row with them."""
    nats, tokens, right = named["perplexity"][0][row, :3].tolist()
    return [round(nats, 4), int(tokens), int(right)]


def write_table(path: Path, rows: list[dict], given: dict[str, dict[str, np.ndarray]], names: list[str]) -> None:
    """Scores in long form, for plots: a line for each judge, contestant and row."""
    with atomic_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["judge", "answer", "id", "score"])
        table.writerows(
            [judge, who, row["id"], f"{score:.4g}"]
            for judge, scores in given.items()
            for who in names
            for row, score in zip(rows, scores[who], strict=True)
        )


def judge_text(
    name: str,
    params: Judge,
    rows: list[dict],
    answers: Path,
    formatted: Path,
    model: Path,
    base: Path,
    root: Path,
    encoder: Path,
    verdicts: Path,
    metrics: Path,
    details: Path,
    table: Path,
    speed: Path,
) -> None:
    """Score the answers to the test rows; probes, which have no expected answer, are left out."""
    start = time.monotonic()
    runtime.deterministic()
    rows = [row for row in rows if row["expected"] is not None]
    training = list(read_rows(formatted / "train"))
    if min(len(rows), len(training)) < 2:
        raise StageError(
            answers,
            f"{len(rows)} test and {len(training)} training rows",
            "at least two of each",
            "more rows, or larger shares in datasets.<name>.split",
        )
    overlap = Overlap([row["completion"] for row in training])
    bootstrap = Bootstrap(len(rows), params.bootstrap, params.confidence, params.seed)
    field = contestants(model, base, root)

    with Progress(len(field) + len(params.judges), f"judge {name}", "part") as progress:
        figures = {}
        for who in field:
            figures[who.name] = measure(who, rows, overlap)
            progress.add(1, done=f"likelihood of {who.name}")
        reader = Encoder(directory.load(encoder, "encoder").to(runtime.device()), directory.load_tokenizer(encoder))
        known = known_answers(rows, reader.vectors([row["expected"] for row in rows]), params.seed)
        plain = {kind: overlap.score(items(rows, texts)) for kind, texts in known.items()}
        given, health = {}, {"overlap": {"auc": trust(plain, bootstrap)["auc"]}}
        for judge_name, options in params.judges.items():
            judge = fit_embedded(options, training, reader, root, params.seed)
            of_known = {kind: judge.score(items(rows, texts)) for kind, texts in known.items()}
            scores = {who.name: judge.score(items(rows, [row["answers"][who.name]["text"] for row in rows])) for who in field}
            for who in scores:
                figures[who][judge_name] = with_count(scores[who]), mean
            given[judge_name] = scores | {f"control {kind}": values for kind, values in of_known.items()}
            health[judge_name] = {"failed": 0, **trust(of_known, bootstrap), "weights": judge.describe()}
            progress.add(1, done=judge_name)

    write_rows(
        verdicts,
        (
            {
                "id": row["id"],
                "scores": {
                    judge: {who: round(float(values[i]), 2) for who, values in scores.items()}
                    for judge, scores in given.items()
                },
                "likelihood": {who: likelihoods(named, i) for who, named in figures.items() if "perplexity" in named},
            }
            for i, row in enumerate(rows)
        ),
    )
    write_table(table, rows, given, [who.name for who in field])
    outside = {who: int((named["perplexity"][0][:, 1] == 0).sum()) for who, named in figures.items()}
    results = {"rows": len(rows), "outside_context": outside, **summarize(figures, bootstrap), "judges": health}
    write_json(details, results | {"signatures": signatures()})
    write_json(metrics, headline(results, list(params.judges)))
    write_json(speed, {"seconds": time.monotonic() - start, **runtime.environment()})
