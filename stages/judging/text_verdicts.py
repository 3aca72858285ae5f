"""Judging answers in text: likelihood, wording and judge scores with intervals, tuned against base, and the judge itself."""

import csv
import random
import sys
import time
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from stages.common import sanity
from stages.common.errors import StageError
from stages.common.files import atomic_file, read_rows, write_json, write_rows
from stages.common.progress import Progress
from stages.common.rows import TextAnswer, TextAnswers
from stages.common.schema_models import EmbeddedJudge as EmbeddedOptions
from stages.common.schema_models import Judge
from stages.common.speed import write_speed
from stages.decoding.contestants import Contestant, contestants, forms_answered
from stages.judging.controls import CUT, question
from stages.judging.embedded import EmbeddedJudge
from stages.judging.encoder import Encoder
from stages.judging.form import Form
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.known_data import known_agreement
from stages.judging.marked import FEWEST, Mark, calibration, matched, read_marks
from stages.judging.measures import task_figures, without_model
from stages.judging.metrics import Figure, Overlap, likelihood, signatures, wording
from stages.judging.opinion import Opinion, figure, health, verdict_rows
from stages.judging.paths import Paths
from stages.judging.row_figures import of_row
from stages.judging.scoring import AS_TUNED, FLAGGED, headline, items, known_answers, summarize, trust
from stages.judging.server import ServerJudge, Texts
from stages.judging.signals import Signals
from stages.judging.training_rows import Answers, TrainingRows, shots_of
from stages.models import runtime
from stages.models.tokenizer_marks import readable
from stages.tasks.score import Score


def embedded_opinion(
    options: EmbeddedOptions, encoder: Encoder, rows: list[TextAnswers], answers: Texts, controls: Texts, seed: int
) -> Opinion:
    """What the embedded judge says; it never fails."""
    judge, form = EmbeddedJudge(Signals(encoder)), Form(encoder)
    chosen = sorted(random.Random(seed).sample(range(len(rows)), min(options.controls, len(rows))))
    control_items = {
        kind: items([rows[place] for place in chosen], [texts[place] for place in chosen]) for kind, texts in controls.items()
    }
    about = {"kind": "embedded", **judge.describe()}
    expected, questions = [row["expected"] for row in rows], [question(row) for row in rows]
    about["agreement"] = known_agreement(expected, questions, about["encoder_as_fitted"])
    asked = {contestant: items(rows, texts) for contestant, texts in answers.items()}
    # read together and kept together: what all models of a data set and base share
    of_base = {contestant: texts for contestant, texts in asked.items() if contestant.startswith("base")}
    of_data = {f"control {kind}": texts for kind, texts in control_items.items() if kind != CUT}
    shared = judge.score_lists(of_base | of_data)
    return Opinion(
        {contestant: shared[contestant] if contestant in of_base else judge.score(asked[contestant]) for contestant in asked},
        chosen,
        {kind: judge.score(texts) if kind == CUT else shared[f"control {kind}"] for kind, texts in control_items.items()},
        (0, 100),
        about,
        flagged={kind: np.any(list(form(texts).values()), axis=0) for kind, texts in control_items.items()},
    )


def of_people(
    judge: str, opinion: Opinion, rows: list[TextAnswers], texts: Texts, own: list[Mark], encoder: Encoder, bootstrap: Bootstrap
) -> tuple[dict, dict[str, np.ndarray]]:
    """What your own people's marks say of a judge, and its scores by contestant on their scale where there are enough marks.

    The embedded judge scores whatever was marked. For another judge only the marks of answers count that it scored in this run.
    """
    asked = {contestant: items(rows, said) for contestant, said in texts.items()}
    if opinion.about["kind"] == "embedded":
        there, scores = own, EmbeddedJudge(Signals(encoder)).score([mark.texts for mark in own])
    else:
        whole = [texts for contestant in texts for texts in asked[contestant]]
        there, scores = matched(own, whole, np.concatenate([opinion.scores[contestant] for contestant in texts]))
    people = {"marks": len(there), "stale": len(own) - len(there)}
    fitted = calibration(there, scores, opinion.scale)
    if fitted is None:
        return people | {"needed": FEWEST}, {}
    people |= fitted.describe(bootstrap)
    if people["disagree"]:
        apart = people["mark_less_score"]
        print(
            f"warning: judge {judge!r} disagrees with your people: their marks are {apart['value']:+.1f} points from its "
            f"scores [{apart['low']:.1f}, {apart['high']:.1f}]; read {judge}_calibrated, which is on their scale",
            file=sys.stderr,
        )
    questions = [question(row) for row in rows]
    return people, {contestant: fitted.apply(opinion.scores[contestant], questions) for contestant in texts}


def form_figures(form: Form, rows: list[TextAnswers], answers: list[TextAnswer]) -> dict[str, Figure]:
    """The share of answers with each flag of form, and with any."""
    flags = form(items(rows, [answer["text"] for answer in answers]), [answer["finish"] for answer in answers])
    flags[FLAGGED] = np.any(list(flags.values()), axis=0)
    return {name: (with_count(there), mean) for name, there in flags.items()}


def within_limit(rows: list[TextAnswers], tokenizer: PreTrainedTokenizerBase) -> tuple[int | None, list[str]]:
    """How many tokens the tuned model may write, and the expected answers cut to that length.

    Where no answer was cut, the limit is None and the expected answers are whole.
    """
    cut = [row["answers"]["tuned"]["tokens"] for row in rows if row["answers"]["tuned"]["finish"] == "length"]
    expected = [row["expected"] for row in rows]
    if not cut:
        return None, expected
    pairs = zip(expected, readable(tokenizer, expected), strict=True)
    return max(cut), [text if len(own) <= max(cut) else tokenizer.decode(own[: max(cut)]) for text, own in pairs]


def scores_within_limit(
    encoder: Encoder, rows: list[TextAnswers], texts: Texts, sayable: list[str], opinion: Opinion
) -> dict[str, np.ndarray]:
    """Scores [n] by contestant against the expected answers as far as they could have been said. Only rows whose expected
    answer is longer than that are judged again."""
    judge = EmbeddedJudge(Signals(encoder))
    cut = [place for place, row in enumerate(rows) if sayable[place] != row["expected"]]
    shorter = [{**rows[place], "expected": sayable[place]} for place in cut]
    scores = {contestant: opinion.scores[contestant].copy() for contestant in texts}
    for contestant, said in texts.items():
        scores[contestant][cut] = judge.score(items(shorter, [said[place] for place in cut]))
    return scores


def measure(contestant: Contestant, rows: list[dict], overlap: Overlap) -> dict[str, Figure]:
    """Every figure of one contestant that needs no judge. One that is hosted, or has no room for answers, has no likelihood."""
    answers = [row["answers"][contestant.name] for row in rows]
    wordings = wording(items(rows, [a["text"] for a in answers]), [a["tokens"] for a in answers], overlap)
    wordings["prompt_tokens"] = with_count([a["prompt_tokens"] for a in answers]), mean
    if contestant.way == "exported":
        same = [answer["text"] == row["answers"]["tuned"]["text"] for answer, row in zip(answers, rows, strict=True)]
        wordings[AS_TUNED] = with_count(same), mean
    if contestant.way != "here":
        return wordings
    if not all("likelihood" in answer for answer in answers):
        fix = "answer again: dvc repro generate@<model>"
        raise StageError(f"answers of {contestant.name}", "no likelihood of the expected ones", "one beside each answer", fix)
    scores = [Score(*answer["likelihood"]) for answer in answers]
    said = [row.get("completion", row["expected"]) for row in rows]  # with the marks that models are trained to say, too
    return likelihood(scores, said) | wordings if any(score.tokens for score in scores) else wordings


def write_table(path: Path, rows: list[dict], scores_by_judge: dict[str, dict[str, np.ndarray]], names: list[str]) -> None:
    """Scores in long form, for plots: a line for each judge, contestant and row. Failed verdicts are left out."""
    with atomic_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["judge", "answer", "id", "score"])
        table.writerows(
            [judge, contestant, row["id"], f"{score:.4g}"]
            for judge, scores in scores_by_judge.items()
            for contestant in names
            for row, score in zip(rows, scores[contestant], strict=True)
            if not np.isnan(score)
        )


def not_answered(rows: list[dict]) -> dict:
    """`refused`: how many answers of each contestant were refused, for a mark in a text or by a server.

    It is left out where none was. A refused answer is empty, and is judged as such.
    """
    counts = {
        contestant: sum(row["answers"][contestant].get("finish", "").startswith("refused") for row in rows)
        for contestant in rows[0]["answers"]
    }
    return {"refused": counts} if any(counts.values()) else {}


def alarms(rows: list[dict], figures: dict[str, dict[str, Figure]], results: dict) -> sanity.Alarms:
    """What no one wants of answers and likelihoods."""

    def values(figure: str) -> dict[str, float]:
        return {contestant: results[contestant][figure]["value"] for contestant, named in figures.items() if figure in named}

    likelihoods = sanity.low_perplexity(values("perplexity")) | sanity.perfect_tokens(values("token_accuracy"))
    return sanity.answers(rows) | likelihoods


def judge_text(name: str, params: Judge, paths: Paths) -> None:
    """Score the answers to the test rows. Probes are left out, for they have no expected answer."""
    start = time.monotonic()
    runtime.deterministic()
    runtime.keep_memory()
    rows = [row for row in read_rows(paths.answers) if row["expected"] is not None]
    shots = shots_of(rows, read_rows(paths.formatted / "train"), paths.answers)
    field = contestants(paths.model, paths.base, paths.root, shots)
    field += forms_answered(field[0], [name for row in rows[:1] for name in row["answers"]])
    training = TrainingRows(paths.formatted / "train", field[0].stop)
    if min(len(rows), len(training)) < 2:
        raise StageError(
            paths.answers,
            f"{len(rows)} test and {len(training)} training rows",
            "at least two of each",
            "more rows, or larger shares in datasets.<name>.split",
        )
    completions = Answers(training)
    overlap = Overlap(completions)
    bootstrap = Bootstrap(len(rows), params.bootstrap, params.confidence, params.seed)
    # asked first: a server that is down is named before minutes of work
    served = {
        judge: ServerJudge(judge, options, params.seed)
        for judge, options in params.judges.items()
        if options.kind != "embedded"
    }

    with Progress(len(field) + len(params.judges), f"judge {name}", "part") as progress:
        figures = {}
        for contestant in field:
            answers = [row["answers"][contestant.name] for row in rows]
            tasks = task_figures(params.measures, rows, answers, completions)
            figures[contestant.name] = measure(contestant, rows, overlap) | tasks
            progress.add(1, done=contestant.name)
        reader = Encoder(paths.encoder)
        form = Form(reader)
        limit, sayable = within_limit(rows, field[0].tokenizer)
        long = [text != row["expected"] for text, row in zip(sayable, rows, strict=True)]
        vectors = reader.vectors([row["expected"] for row in rows])
        controls = known_answers(rows, vectors, params.seed, sayable if any(long) else None)
        plain = {kind: overlap.score(items(rows, texts)) for kind, texts in controls.items()}
        texts = {contestant.name: [row["answers"][contestant.name]["text"] for row in rows] for contestant in field}
        opinions, own = {}, read_marks(paths.marks)
        for judge, options in params.judges.items():
            if judge in served:
                opinions[judge] = served[judge].opinion(rows, texts, controls, bootstrap)
            else:
                opinions[judge] = embedded_opinion(options, reader, rows, texts, controls, params.seed)
            progress.add(1, done=judge)
        for contestant in field:
            figures[contestant.name] |= form_figures(form, rows, [row["answers"][contestant.name] for row in rows])
        healths = {"overlap": {"auc": trust(plain, bootstrap, 0.5)["auc"]}}
        for judge, options in params.judges.items():
            if judge not in served and any(long):
                for contestant, scores in scores_within_limit(reader, rows, texts, sayable, opinions[judge]).items():
                    figures[contestant][f"{judge}_within_limit"] = figure(scores)
            for contestant, scores in opinions[judge].scores.items():
                figures[contestant][judge] = figure(scores)
            healths[judge] = health(judge, opinions[judge], texts, bootstrap, options.warn_below)
            if own:
                people, calibrated = of_people(judge, opinions[judge], rows, texts, own, reader, bootstrap)
                healths[judge]["people"] = people
                for contestant, scores in calibrated.items():
                    figures[contestant][f"{judge}_calibrated"] = figure(scores)

    verdicts = enumerate(verdict_rows(rows, opinions))
    write_rows(paths.verdicts, ({**row, **of_row(figures, params.measures, place)} for place, row in verdicts))
    figures |= without_model(params.measures, rows, completions)
    write_table(
        paths.table,
        rows,
        {judge: opinion.scores for judge, opinion in opinions.items()},
        [contestant.name for contestant in field],
    )
    measured = {contestant: named["perplexity"][0][:, 1] for contestant, named in figures.items() if "perplexity" in named}
    outside = {contestant.name: len(rows) for contestant in field if contestant.way == "here"}
    outside |= {contestant: int((tokens == 0).sum()) for contestant, tokens in measured.items()}
    refused = not_answered(rows)
    results = {"rows": len(rows), "outside_context": outside, **refused, **summarize(figures, bootstrap), "judges": healths}
    write_json(paths.details, results | {"signatures": signatures()})
    all_alarms = alarms(rows, figures, results) | sanity.long_references(limit, sum(long), len(rows))
    said = sanity.raised("judge", name, all_alarms)
    write_json(paths.metrics, headline(results, list(params.judges), params.measures) | refused | said)
    spent = {"judges": {judge: judge_server.asker.spent for judge, judge_server in served.items()}} if served else {}
    write_speed(paths.speed, {"seconds": time.monotonic() - start, **spent}, runtime.environment())
