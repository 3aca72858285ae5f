"""What the stage `generate` reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from stages.common.path_fields import path


@dataclass(frozen=True)
class Paths:
    """What `generate` reads and writes."""

    formatted: Path = path("directory of formatted rows")
    model: Path = path("model directory that answers")
    base: Path = path("model it was tuned from")
    root: Path = path("base at the start of its chain of rounds")
    out: Path = path("answers to write")
    speed: Path = path("timings and environment to write")
