"""How likely each contestant finds the expected answers, each prompted in its own way."""

from dataclasses import astuple

from stages.common import kept
from stages.common.errors import StageError
from stages.common.rows import TextAnswers
from stages.decoding.contestants import Contestant
from stages.models import directory, runtime
from stages.models.tokenizer_marks import Unreadable
from stages.tasks import batches, causal, score

MICRO_TOKENS = 1024  # in memory at once; changes no figure


def expected_scores(contestant: Contestant, rows: list[TextAnswers], precision: str = "auto") -> list[score.Score]:
    """A Score for each row's expected answer, made once for the same weights, prompts, answers, precision and code.

    The score has zero tokens where prompt and answer do not fit the context, or where a mark in their texts cannot be read as
    letters.

    Args:
        precision: what the weights are turned to as they are loaded; auto: bf16 where the device is fast at it.

    Raises:
        StageError: if no expected answer fits.
    """
    device = runtime.device()
    dtype = runtime.precision(precision, device)
    room = directory.context_length(contestant.folder)
    examples = [_encoded(contestant, row, room) for row in rows]
    whole = [e if e is not None and not e.cut else None for e in examples]
    if not any(whole):
        raise StageError(
            contestant.folder, f"no expected answer that fits {room} tokens", "at least one", "a base of longer context"
        )

    def make() -> list[tuple]:
        model = directory.load(contestant.folder, dtype=dtype, device=device)
        task = causal.task(model, MICRO_TOKENS)
        return [astuple(row_score) for row_score in score.score(model, [e for e in whole if e is not None], task)]

    before = kept.computed("likelihood", __name__, [contestant.folder], MICRO_TOKENS, runtime.machine(dtype))
    scores = iter(before.get([(e.prompt, e.completion) for e in whole if e is not None], make))
    return [score.Score(*next(scores)) if e is not None else score.Score(0.0, 0, 0) for e in whole]


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
