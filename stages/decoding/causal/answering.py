"""Answers of a model on this machine, each kept as soon as it is there."""

import time
from dataclasses import asdict
from functools import partial

from stages.common import kept
from stages.common.progress import Progress
from stages.common.rows import FormattedText
from stages.common.schema_models import Generate
from stages.decoding import products
from stages.decoding.answers import Answer, latencies, too_long, unreadable
from stages.decoding.causal import batch_answers, caches
from stages.decoding.contestants import Contestant
from stages.models import directory, runtime
from stages.models.prompting import Refusals
from stages.models.templates import Refusal
from stages.models.tokenizer_marks import Unreadable, marks

# parameters with no say in the key: probes and shots are in the prompts, precision is taken as resolved, and the last two
# name other contestants
NO_SAY = {"probes", "shots", "precision", "exports", "servers"}


def answers(
    contestant: Contestant, rows: list[FormattedText], options: Generate, progress: Progress
) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed: totals of the answers made now, and latencies of all, taken when each was made.

    Rows are answered in groups. Answers that were made before are kept (stages/common/kept.py).
    """
    start = time.monotonic()
    prompts, marked = prompted(contestant, rows)
    device = runtime.device()
    dtype = runtime.precision(options.precision, device)
    answered, loaded, fresh = {}, [], []

    def make(group: list[int]) -> list[dict]:
        if not loaded:
            model = products.lay_out(directory.load(contestant.folder, dtype=dtype, device=device))
            loaded.extend([model, caches.steps(model, options.max_new_tokens)])
        (model, decoder), group_prompts = loaded, [prompts[i] for i in group]
        written = batch_answers.answer(model, contestant.tokenizer, group_prompts, options, contestant.stop, decoder)
        fresh.extend(answer.tokens for answer in written)
        return [asdict(answer) for answer in written]

    settings = [options.model_dump(exclude=NO_SAY), contestant.stop]
    before = kept.computed("answers", __name__, [contestant.folder], settings, runtime.machine(dtype))
    room = directory.context_length(contestant.folder) - options.max_new_tokens
    for group in batch_answers.groups(prompts, options.batch_rows, room):
        group_answers = before.get([prompts[i] for i in group], partial(make, group))
        answered |= {i: Answer(**answer) for i, answer in zip(group, group_answers, strict=True)}
        progress.add(len(group), contestant=contestant.name)
    seconds = time.monotonic() - start
    all_answers = [answered.get(i) or (too_long(prompt) if prompt else unreadable()) for i, prompt in enumerate(prompts)]
    speed = {"seconds": seconds, "tokens": sum(fresh), "tokens_per_second": sum(fresh) / seconds, "marked": marked}
    return all_answers, speed | latencies(all_answers)


def prompted(contestant: Contestant, rows: list[FormattedText]) -> tuple[list[list[int]], int]:
    """Token ids of each row's prompt, and how many rows have a mark of the tokenizer in their texts.

    A prompt has no ids where a mark in its texts cannot be read as letters.

    Raises:
        StageError: if the template refuses rows; it names them.
    """
    prompts, refusals = [], Refusals()
    for row in rows:
        try:
            prompts.append(contestant.tokens(row["messages"]))
        except Refusal as refusal:
            refusals.add(row["id"], refusal)
        except Unreadable:
            prompts.append([])
    refusals.check(["datasets.<name>.format.system", "models.<name>.base"])
    tokenizer_marks = marks(contestant.tokenizer)
    return prompts, sum(any(tokenizer_marks.inside(turn["content"]) for turn in row["messages"]) for row in rows)
