"""Answers of a model on this machine, each kept as soon as it is there."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property

import torch
from transformers import PreTrainedModel

from stages.common import kept
from stages.common.progress import Progress
from stages.common.rows import FormattedText
from stages.common.schema_models import Generate
from stages.decoding import products
from stages.decoding.answers import Answer, latencies, too_long, unreadable
from stages.decoding.causal import batch_answers, caches, likelihood
from stages.decoding.causal.whole_rows import Whole
from stages.decoding.contestants import Contestant
from stages.models import directory, runtime
from stages.models.prompting import Refusals
from stages.models.templates import Refusal
from stages.models.tokenizer_marks import Unreadable, marks
from stages.tasks.score import Score

# parameters with no say in the key: probes and shots are in the prompts, precision is taken as resolved, and the last two
# name other contestants
NO_SAY = {"probes", "shots", "precision", "exports", "servers"}


class Asked:
    """What one contestant is asked: a prompt a row, and how likely it finds the expected answer. Its model is loaded when the
    first of them is to be read.

    Args:
        dtype: what the weights are turned to as they are loaded.
    """

    def __init__(self, contestant: Contestant, rows: list[FormattedText], options: Generate, dtype: torch.dtype):
        self.contestant, self.options, self.dtype = contestant, options, dtype
        self.prompts, self.marked = prompted(contestant, rows)
        self.examples = likelihood.encoded(contestant, rows)
        self.room = directory.context_length(contestant.folder) - options.max_new_tokens
        self.tokens, self.reading = 0, 0.0  # written now; seconds that expected answers took

    @cached_property
    def model(self) -> PreTrainedModel:
        model = directory.load(self.contestant.folder, dtype=self.dtype, device=runtime.device())
        likelihood.check_tokens(model, self.contestant.tokenizer, self.examples)
        return products.lay_out(model)

    @cached_property
    def decoder(self) -> caches.Growing | caches.Graphed | Whole:
        return caches.steps(self.model, self.options.max_new_tokens)

    def groups(self) -> list[tuple[list[int], Callable[[list[int]], list[Answer]]]]:
        """Rows that are read together, by their places, and what makes their answers.

        A prompt may leave no room for an answer of the most tokens, but for the expected one. Those are the last group.
        """
        groups = batch_answers.groups(self.prompts, self.options.batch_rows, self.room)
        long = [i for i, prompt in enumerate(self.prompts) if len(prompt) > self.room and self.examples[i]]
        return [(group, self.write) for group in groups] + ([(long, self.leave_out)] if long else [])

    def request(self, group: list[int]) -> list[tuple]:
        """What tells the answers of a group from others of the contestant."""
        return [(self.prompts[i], self.examples[i] and self.examples[i].completion) for i in group]

    def write(self, group: list[int]) -> list[Answer]:
        """Answers, each with the likelihood of the expected one."""
        prompts, stop = [self.prompts[i] for i in group], self.contestant.stop
        expected = likelihood.Reading(self.decoder, [self.examples[i] for i in group])
        written = batch_answers.answer(
            self.model, self.contestant.tokenizer, prompts, self.options, stop, self.decoder, expected
        )
        self.tokens += sum(answer.tokens for answer in written)
        self.reading += expected.seconds
        return [_with(answer, score) for answer, score in zip(written, expected.scores, strict=True)]

    def leave_out(self, group: list[int]) -> list[Answer]:
        """Empty answers, each with the likelihood of the expected one."""
        scores = likelihood.alone(self.model, [self.examples[i] for i in group])
        return [_with(too_long(self.prompts[i]), score) for i, score in zip(group, scores, strict=True)]


def answers(
    contestant: Contestant, rows: list[FormattedText], options: Generate, progress: Progress
) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed: totals of the answers made now, and latencies of all, taken when each was made.

    Answers that were made before are kept (stages/common/kept.py).
    """
    start = time.monotonic()
    dtype = runtime.precision(options.precision, runtime.device())
    asked = Asked(contestant, rows, options, dtype)
    settings = [options.model_dump(exclude=NO_SAY), contestant.stop]
    before = kept.computed("answers", __name__, [contestant.folder], settings, runtime.machine(dtype))
    answered = {}
    for group, make in asked.groups():
        group_answers = before.get(asked.request(group), lambda make=make, group=group: [asdict(a) for a in make(group)])
        answered |= {i: Answer(**answer) for i, answer in zip(group, group_answers, strict=True)}
        progress.add(len(group), contestant=contestant.name)
    for i, prompt in enumerate(asked.prompts):
        if i not in answered:
            answered[i] = _with(too_long(prompt) if prompt else unreadable(), likelihood.NONE)
    all_answers = [answered[i] for i in range(len(rows))]
    seconds = time.monotonic() - start - asked.reading
    speed = {"seconds": seconds, "tokens": asked.tokens, "tokens_per_second": asked.tokens / seconds, "marked": asked.marked}
    return all_answers, speed | {"likelihood_seconds": asked.reading} | latencies(all_answers)


def _with(answer: Answer, score: Score) -> Answer:
    """The answer with the likelihood of the expected one. Further digits are noise of float32."""
    return replace(answer, likelihood=(round(score.nll, 4), score.tokens, score.correct))


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
