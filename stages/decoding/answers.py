"""An answer, and how long answers took: kept with each other in scratch, apart in what the stage writes."""

import statistics
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Answer:
    """`finish`: `stop` (end token or stop string), `length` (maximum reached), `refused` (by a server, or because a mark in the
    prompt's texts cannot be read as letters) or `prompt too long` (no answer made).

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


def unreadable() -> Answer:
    """What stands for an answer where a mark in the prompt's texts cannot be read as letters."""
    return Answer("", 0, 0, "refused")


def latencies(rows: list[dict], answers: list[Answer]) -> dict:
    """Tokens and seconds of each answer as it was made (a list: tables of metrics leave lists out)."""
    seconds = [answer.seconds for answer in answers if answer.finish not in ("prompt too long", "refused")]
    listed = zip(rows, answers, strict=True)
    return {
        "latency_median": statistics.median(seconds) if seconds else 0.0,
        "latency_highest": max(seconds, default=0.0),
        "answers": [{"id": row["id"], "tokens": answer.tokens, "seconds": answer.seconds} for row, answer in listed],
    }
