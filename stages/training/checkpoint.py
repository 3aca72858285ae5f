"""Unfinished training, kept in scratch: what is needed to go on from a step as if nothing had happened."""

import os
from pathlib import Path

import torch

from stages.common.files import remove


class Checkpoints:
    """The last whole checkpoint of one run. A new one replaces the old only once it is complete on disk.

    Args:
        folder: scratch of this fingerprint: another fingerprint is another folder, so a checkpoint of other data,
            parameters, base or code is never loaded.
    """

    def __init__(self, folder: Path):
        self.path = folder / "checkpoint.pt"
        self.partial = folder / f"checkpoint.{os.getpid()}.partial"  # two queued experiments may train the same
        for left in folder.glob("checkpoint.*.partial"):
            if not _lives(int(left.name.split(".")[1])):
                remove(left)

    def save(self, state: dict) -> None:
        """`state` may hold tensors, numbers, text, lists and mappings."""
        torch.save(state, self.partial)
        self.partial.replace(self.path)

    def load(self) -> dict | None:
        """The last whole state, or None. `weights_only` keeps pickled code out."""
        remove(self.partial)
        return torch.load(self.path, map_location="cpu", weights_only=True) if self.path.exists() else None

    def clear(self) -> None:
        """Remove everything once the outputs are in place."""
        remove(self.path)
        remove(self.partial)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
