"""Answers of a model on this machine, each kept as soon as it is there."""

import time
from dataclasses import asdict
from functools import partial

from stages.common import kept
from stages.common.progress import Progress
from stages.common.rows import FormattedText
from stages.common.schema_models import Generate
from stages.decoding.answers import Answer, latencies, too_long
from stages.decoding.causal import local
from stages.decoding.contestants import Contestant
from stages.models import directory, runtime

NO_SAY = {"probes", "shots", "precision"}  # these stand in the prompts; precision is taken as resolved


def answers(
    contestant: Contestant, rows: list[FormattedText], options: Generate, progress: Progress
) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed: totals of what is made now, and the seconds that each answer took when it was made.

    Rows are answered in groups. Those answered before are kept (stages/common/kept.py).
    """
    start = time.monotonic()
    prompts = [contestant.tokens(row["messages"]) for row in rows]
    device = runtime.device()
    dtype = runtime.precision(options.precision, device)
    answered, loaded, fresh = {}, [], []

    def make(group: list[int]) -> list[dict]:
        if not loaded:
            loaded.append(directory.load(contestant.folder, dtype=dtype).to(device))
        written = local.answer(loaded[0], contestant.tokenizer, [prompts[i] for i in group], options, contestant.stop)
        fresh.extend(answer.tokens for answer in written)
        return [asdict(answer) for answer in written]

    settings = [options.model_dump(exclude=NO_SAY), contestant.stop]
    before = kept.made("answers", __name__, [contestant.folder], settings, runtime.machine(dtype))
    room = directory.context_length(contestant.folder) - options.max_new_tokens
    for group in local.groups(prompts, options.batch_rows, room):
        group_answers = before.get([prompts[i] for i in group], partial(make, group))
        answered |= {i: Answer(**answer) for i, answer in zip(group, group_answers, strict=True)}
        progress.add(len(group), contestant=contestant.name)
    seconds = time.monotonic() - start
    all_answers = [answered.get(i) or too_long(prompt) for i, prompt in enumerate(prompts)]
    speed = {"seconds": seconds, "tokens": sum(fresh), "tokens_per_second": sum(fresh) / seconds}
    return all_answers, speed | latencies(rows, all_answers)
