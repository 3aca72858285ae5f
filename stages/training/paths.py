"""What the stage `train` reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from stages.common.path_fields import path


@dataclass(frozen=True)
class Paths:
    """What `train` reads and writes."""

    rows: Path = path("formatted rows to train on: a file or a directory")
    formatted: Path = path("directory of formatted rows")
    base: Path = path("model directory to start from")
    out: Path = path("model directory to write")
    table: Path = path("results.csv to write")
    metrics: Path = path("metrics to write")
    speed: Path = path("timings and environment to write")
