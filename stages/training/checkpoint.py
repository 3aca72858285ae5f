"""Unfinished training, kept in scratch. A run that goes on from it ends as if nothing had stopped it."""

import os
import pickle
from pathlib import Path

import torch

from stages.common.errors import StageError
from stages.common.files import remove
from stages.common.scratch import sweep


class Checkpoints:
    """The last whole checkpoint of one run. A new one replaces the old only once it is complete on disk.

    Args:
        folder: scratch of this run's fingerprint. Other data, parameters, base or code have another fingerprint and so another
            folder: their checkpoint is never loaded.
    """

    def __init__(self, folder: Path):
        self.path = folder / "checkpoint.pt"
        self.partial = folder / f"checkpoint.{os.getpid()}.partial"  # of this process: two experiments may train the same
        sweep(folder)

    def save(self, state: dict) -> None:
        """`state` may hold tensors, numbers, text, lists and mappings."""
        try:
            with open(self.partial, "wb") as file:  # opened here, not by torch: Python's error says where the disk is full
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            self.partial.replace(self.path)
        finally:
            remove(self.partial)

    def load(self) -> dict | None:
        """The last whole state, or None. `weights_only` keeps pickled code out, `mmap` lets all processes share the memory.

        Raises:
            StageError: if it cannot be read.
        """
        remove(self.partial)
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise StageError(
                self.path, f"no checkpoint ({reason})", "a whole one", "remove it: training then starts anew"
            ) from None

    def clear(self) -> None:
        """Remove everything once the outputs are in place."""
        remove(self.path)
        remove(self.partial)


def random_state(device: torch.device) -> dict:
    """Where the random numbers of this process stand, of the CPU and of its GPU."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None}


def restore_random(saved: dict, device: torch.device) -> None:
    """Go on from what `random_state` gave."""
    torch.set_rng_state(saved["cpu"])
    if saved["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(saved["cuda"], device)
