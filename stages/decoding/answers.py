"""An answer and how long it took. Scratch keeps both together; the stage writes them to different files."""

import statistics
from dataclasses import asdict, dataclass, field

NOT_ANSWERED = ("prompt too long", "refused", "refused: marks")


@dataclass(frozen=True)
class Answer:
    """`finish`: `stop` (end token or stop string), `length` (maximum reached), `refused` (by a server, or because a mark in the
    prompt's texts cannot be read as letters), `refused: marks` (not sent to a server, for a mark in them) or `prompt too long`
    (no answer made).

    `seconds` are those it took when it was made: behind a server from the request to the reply, here from the start of its
    batch to the step that ended it. They are no part of what was said: two answers are equal without them.
    """

    text: str
    tokens: int
    prompt_tokens: int
    finish: str
    seconds: float = field(default=0.0, compare=False)

    def content(self) -> dict:
        """What is the same run after run: all but the seconds."""
        return {key: value for key, value in asdict(self).items() if key != "seconds"}


def too_long(prompt: list[int]) -> Answer:
    """What stands for an answer where the prompt leaves no room for one."""
    return Answer("", 0, len(prompt), "prompt too long")


def unreadable(finish: str = "refused") -> Answer:
    """What stands for an answer where a mark in the prompt's texts cannot be read as letters."""
    return Answer("", 0, 0, finish)


def latencies(answers: list[Answer]) -> dict[str, float]:
    """Median and highest of the seconds that an answer took."""
    seconds = [answer.seconds for answer in answers if answer.finish not in NOT_ANSWERED]
    return {
        "latency_median": statistics.median(seconds) if seconds else 0.0,
        "latency_highest": max(seconds, default=0.0),
    }
