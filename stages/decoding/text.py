"""Answers in text: every test row and every probe, by the tuned model and by what it is compared with."""

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from stages.common.files import write_json, write_rows
from stages.common.progress import Progress
from stages.common.rows import FormattedText, TextAnswers
from stages.common.schema_models import Generate
from stages.common.scratch import code_hash, content_hash, fingerprint, remember, scratch
from stages.common.text import until
from stages.decoding import caches, local, sampling, served
from stages.decoding.answers import Answer, latencies, too_long
from stages.decoding.contestants import Contestant, contestants
from stages.models import attention, directory, runtime


def answers(who: Contestant, rows: list[FormattedText], options: Generate, progress: Progress) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed: totals of what is made now, and the seconds that each answer took when it was made.
    Groups answered before, by the same weights, prompts, options and code, are kept."""
    start = time.monotonic()
    prompts = [who.tokens(row["messages"]) for row in rows]
    found, loaded, fresh = {}, [], []

    def make(group: list[int]) -> list[dict]:
        if not loaded:
            device = runtime.device()
            loaded.append(directory.load(who.folder, dtype=runtime.precision(options.precision, device)).to(device))
        made = local.answer(loaded[0], who.tokenizer, [prompts[i] for i in group], options, who.stop)
        fresh.extend(answer.tokens for answer in made)
        return [asdict(answer) for answer in made]

    settings = options.model_dump(exclude={"probes", "shots"})
    code = code_hash(attention, caches, local, sampling)
    cache = scratch("generate", "answers", fingerprint(content_hash(who.folder), settings, who.stop, code))
    room = directory.context_length(who.folder) - options.max_new_tokens
    for group in local.groups(prompts, options.batch_rows, room):
        kept = remember(cache, fingerprint([prompts[i] for i in group]), partial(make, group))
        found |= {i: Answer(**answer) for i, answer in zip(group, kept, strict=True)}
        progress.add(len(group), who=who.name)
    seconds = time.monotonic() - start
    given = [found.get(i) or too_long(prompt) for i, prompt in enumerate(prompts)]
    speed = {"seconds": seconds, "tokens": sum(fresh), "tokens_per_second": sum(fresh) / seconds}
    return given, speed | latencies(rows, given)


def side_by_side(row: FormattedText, answered: list[tuple[Contestant, Answer]]) -> TextAnswers:
    """A row of the answers file: each contestant's prompt and answer (the tuned one's first), and the ids of the examples that
    it was shown. Probes have no expected answer."""
    given = {}
    for who, answer in answered:
        shots = {"shots": list(who.shots)} if who.shots else {}
        given[who.name] = {"prompt": who.prompt(row["messages"]), **answer.content(), **shots}
    kept = {key: row[key] for key in ("id", "task", "messages")}
    extra = {key: row[key] for key in ("paraphrase", "weak") if key in row}
    return kept | expected(row.get("completion"), answered[0][0].stop) | extra | {"answers": given}


def expected(completion: str | None, stop: list[str]) -> dict[str, str | None]:
    """`expected`, to which answers are compared: a completion up to its stop string, as answers are cut; where that changes it,
    the `completion` itself too, for that is what models were trained to say."""
    text = None if completion is None else until(completion, stop)
    return {"expected": completion} if text == completion else {"expected": text.strip(), "completion": completion}


def generate_text(
    name: str,
    params: Generate,
    rows: list[FormattedText],
    shots: list[FormattedText],
    model: Path,
    base: Path,
    root: Path,
    out: Path,
    speed: Path,
) -> None:
    """Answer side by side, each contestant with its own prompt; `shots` are the training rows that the base is shown."""
    runtime.deterministic()
    rows = list(rows)
    for i, probe in enumerate(params.probes, 1):
        rows.append({"id": f"probe#{i}", "task": "text", "messages": [{"role": "user", "content": probe}]})
    made, speeds = {}, {}
    field = contestants(model, base, root, shots)
    with Progress(len(rows) * len(field), f"generate {name}", "answer") as progress:
        for who in field:
            make = served.answers if who.hosted else answers
            made[who.name], speeds[who.name] = make(who, rows, params, progress)
    lines = (side_by_side(row, [(who, made[who.name][i]) for who in field]) for i, row in enumerate(rows))
    write_rows(out, lines)
    write_json(speed, {**speeds, **runtime.environment()})
