"""Starting one training in several processes, on one host or many: AFFINAGE_LAUNCH names the launcher.

AFFINAGE_LAUNCH='torchrun --nproc-per-node 8' dvc repro train@medical
"""

import os
import shlex
import sys

from stages.common.errors import StageError


def launch(module: str, arguments: list[str]) -> None:
    """Start this stage again under AFFINAGE_LAUNCH. Nothing happens where it is not set, or where it started this process."""
    asked = os.environ.get("AFFINAGE_LAUNCH", "")
    if not asked.strip() or "RANK" in os.environ:
        return
    sys.stdout.flush()
    try:
        launcher = shlex.split(asked)
        os.execvp(launcher[0], [*launcher, "-m", module, *arguments])
    except (FileNotFoundError, PermissionError, ValueError):  # the last: an open quotation mark
        raise StageError("AFFINAGE_LAUNCH", asked, "a launcher on the PATH, such as torchrun", "set it anew") from None
