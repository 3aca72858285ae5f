"""Folders for what outgrows memory and goes with the work, in `.cache/temporary/`: a full disk of scratch is one's own to
clear, where a system's folder for temporary files may lie in memory. What a killed process left there, the next one clears.
"""

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from stages.common.scratch import root


class Temporary(tempfile.TemporaryDirectory):
    """A folder of one's own (`name`), locked while it is in use, so that nobody takes it for one that was left behind."""

    def __init__(self):
        place = root().absolute() / "temporary"
        place.mkdir(parents=True, exist_ok=True)
        turn = _hold(place, fcntl.LOCK_EX)  # one at a time: none is cleared between being made and being held
        try:
            for leftover in place.iterdir():
                if (lock := _hold(leftover)) is not None:
                    shutil.rmtree(leftover, ignore_errors=True)
                    os.close(lock)
            super().__init__(dir=place)
            lock = _hold(Path(self.name))
        finally:
            if turn is not None:
                os.close(turn)
        if lock is not None:
            weakref.finalize(self, os.close, lock)


def _hold(folder: Path, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> int | None:
    """A descriptor that holds a folder until it is closed or its process ends; None where another holds it, where it is gone
    and where the file system has no locks."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(number, how)
    except OSError:
        os.close(number)
        return None
    return number
