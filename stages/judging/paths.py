"""What the stage `judge` reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from stages.common.path_fields import path


@dataclass(frozen=True)
class Paths:
    """What `judge` reads and writes."""

    formatted: Path = path("directory of formatted rows")
    answers: Path = path("answers to judge")
    model: Path = path("tuned model directory")
    base: Path = path("model it was tuned from")
    root: Path = path("base at the start of its chain of rounds")
    encoder: Path = path("the embedded judge's encoder")
    marks: Path = path("directory of your own people's marks")
    verdicts: Path = path("scores of each row to write")
    metrics: Path = path("headline metrics to write")
    details: Path = path("every figure with its interval, to write")
    table: Path = path("long table of scores to write")
    speed: Path = path("timings and environment to write")
