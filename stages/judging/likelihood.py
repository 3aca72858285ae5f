"""How likely each contestant finds the expected answers, each prompted in its own way."""

import sys
from dataclasses import astuple
from pathlib import Path

from transformers import PreTrainedModel

from stages.common import kept
from stages.common.rows import TextAnswers
from stages.decoding import products
from stages.decoding.contestants import Contestant
from stages.models import directory, runtime
from stages.models.tokenizer_marks import Unreadable
from stages.tasks import batches, causal, score

MICRO_TOKENS = 1024  # in memory at once; changes no figure


class Likelihoods:
    """Scores of expected answers by contestants. Neighbours with the same weights share them, read from disk once.

    Args:
        precision: what the weights are turned to as they are loaded; auto: bf16 where the device is fast at it.
    """

    def __init__(self, precision: str = "auto"):
        self.device = runtime.device()
        self.dtype = runtime.precision(precision, self.device)
        self.folder: Path | None = None
        self.model: PreTrainedModel | None = None

    def of(self, contestant: Contestant, rows: list[TextAnswers]) -> list[score.Score]:
        """A Score for each row's expected answer, made once for the same weights, prompts, answers, precision and code.

        The score has zero tokens where prompt and answer do not fit the context, or where a mark in their texts cannot be
        read as letters.
        """
        if contestant.folder != self.folder:
            self.folder, self.model = contestant.folder, None
            self.before = kept.computed("likelihood", __name__, [self.folder], MICRO_TOKENS, runtime.machine(self.dtype))
        room = directory.context_length(self.folder)
        examples = [_encoded(contestant, row, room) for row in rows]
        whole = [e for e in examples if e is not None and not e.cut]
        if not whole:
            print(
                f"warning: {contestant.name} has no perplexity: with its prompt, no expected answer fits the {room} tokens of "
                f"{self.folder}",
                file=sys.stderr,
            )
            return [score.Score(0.0, 0, 0)] * len(rows)
        scores = iter(self.before.get([(e.prompt, e.completion) for e in whole], lambda: self._make(contestant, whole)))
        return [score.Score(*next(scores)) if e is not None and not e.cut else score.Score(0.0, 0, 0) for e in examples]

    def _make(self, contestant: Contestant, examples: list[batches.Example]) -> list[tuple]:
        self.model = self.model or products.lay_out(directory.load(self.folder, dtype=self.dtype, device=self.device))
        for example in examples:
            runtime.check_rows(self.model, contestant.tokenizer, example.tokens, f"row {example.id}")
        task = causal.task(self.model, MICRO_TOKENS)
        if self.device.type == "cpu":
            task, examples = causal.headed(task, examples)
        return [astuple(row_score) for row_score in score.score(self.model, examples, task)]


def _encoded(contestant: Contestant, row: TextAnswers, room: int) -> batches.Example | None:
    """The row in tokens; None where its prompt takes all the room, or a mark in its texts cannot be read as letters."""
    try:
        return batches.encode(_shown(contestant, row), contestant.tokenizer, room)
    except Unreadable:
        return None


def _shown(contestant: Contestant, row: TextAnswers) -> dict:
    """The row as the contestant is shown it, with the expected answer as its completion."""
    return {**row, "messages": contestant.conversation(row["messages"]), "completion": to_say(row)}


def to_say(row: TextAnswers) -> str:
    """The expected answer with the marks around it that models are trained to say too."""
    return row.get("completion", row["expected"])
