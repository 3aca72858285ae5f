"""Quantized GGUF files by llama.cpp's own program `llama-quantize`: which tensor gets how many bits is its decision."""

import shutil
import subprocess
from pathlib import Path

from stages.common.errors import StageError

PROGRAM = "llama-quantize"
GET = "install llama.cpp (brew, conda-forge or its releases) and put llama-quantize on the PATH, or choose q8_0"


def program() -> Path:
    """Where llama-quantize is.

    Raises:
        StageError: if it is not on the PATH.
    """
    place = shutil.which(PROGRAM)
    if place is None:
        raise StageError(PROGRAM, "not on the PATH", "llama.cpp's own program", GET)
    return Path(place)


def quantize(whole: Path, out: Path, kind: str) -> None:
    """Write `out`, the GGUF file `whole` with matrices of another `kind`, as llama-quantize names it.

    Raises:
        StageError: if the program is missing or fails, with its last words.
    """
    process = subprocess.run(
        [program(), whole.resolve(), out.resolve(), kind], capture_output=True, text=True, errors="replace", check=False
    )
    if process.returncode or not out.exists():
        words = " ".join((process.stderr or process.stdout).split())[-300:]
        raise StageError(PROGRAM, words or f"status {process.returncode}", f"a file of type {kind}", "choose another type")
