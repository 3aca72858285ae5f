"""What a stage depends on; the walk itself is the code's own (stages/common/closure.py)."""

from stages.common import closure as walk
from stages.common.closure import ROOT, WITHOUT_EFFECT, imported  # noqa: F401 (tests find them here)


def closure(stage: str) -> set[str]:
    """Every file that has a say in what a stage writes."""
    return walk.closure(f"stages/{stage}.py")
