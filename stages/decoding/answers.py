"""An answer and how long it took. Scratch keeps both together; the stage writes them to different files."""

import statistics
from dataclasses import asdict, dataclass, field

FORM = "tuned_"  # begins the name of a contestant that is the tuned model in another form: an export, or behind a server
NOT_ANSWERED = ("prompt too long", "refused", "refused: marks")


@dataclass(frozen=True)
class Answer:
    """What a model said after a prompt.

    `finish` says why it ended:

    | finish | why |
    |---|---|
    | `stop` | an end token or a stop string |
    | `length` | the most tokens were reached |
    | `refused` | a server refused, or a mark in the prompt's texts cannot be read as letters |
    | `refused: marks` | the prompt was not sent to a server, for a mark in its texts |
    | `prompt too long` | no answer was made |

    `seconds` were measured when the answer was made: behind a server from the request to the reply, here from the start of its
    batch to the step that ended it.

    `likelihood` is that of the expected answer after the same prompt, where a model here has read it: nats, tokens and tokens
    that were predicted right. There are no tokens where the two do not fit the context.

    Neither counts when two answers are compared.
    """

    text: str
    tokens: int
    prompt_tokens: int
    finish: str
    seconds: float = field(default=0.0, compare=False)
    likelihood: tuple[float, int, int] | None = field(default=None, compare=False)

    def content(self) -> dict:
        """What is the same in every run: everything but the seconds. A likelihood that was not read is left out."""
        return {key: value for key, value in asdict(self).items() if key != "seconds" and value is not None}


def too_long(prompt: list[int]) -> Answer:
    """The empty answer to a prompt that leaves no room for one."""
    return Answer("", 0, len(prompt), "prompt too long")


def unreadable(finish: str = "refused") -> Answer:
    """The empty answer to a prompt with a mark in its texts that cannot be read as letters."""
    return Answer("", 0, 0, finish)


def latencies(answers: list[Answer]) -> dict[str, float]:
    """Median and highest of the seconds that an answer took."""
    seconds = [answer.seconds for answer in answers if answer.finish not in NOT_ANSWERED]
    return {
        "latency_median": statistics.median(seconds) if seconds else 0.0,
        "latency_highest": max(seconds, default=0.0),
    }
