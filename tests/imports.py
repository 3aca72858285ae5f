"""What a stage depends on; the walk itself is the code's own (stages/common/closure.py)."""

from stages.common import closure as walk
from stages.common.closure import ON_THE_WIRE, ROOT  # noqa: F401 (tests find the root here)

METHODS = ("causal", "classifier", "hosted")  # of training: each has a package of its own, in training and in decoding
BY_METHOD = {"train": "stages/training", "generate": "stages/decoding"}


def closure(stage: str, method: str | None = None) -> set[str]:
    """Every file that has a say in what a stage writes; of a model of one method, if it is given."""
    without = [f"{BY_METHOD[stage]}/{other}/" for other in METHODS if other != method] if method else []
    without += ON_THE_WIRE if stage in BY_METHOD else []
    return walk.closure(f"stages/{stage}.py", tuple(without))


def of_all_methods(stage: str) -> set[str]:
    """The closure but for what lies in the packages of the methods."""
    packages = tuple(f"{BY_METHOD[stage]}/{method}/" for method in METHODS) if stage in BY_METHOD else ()
    return {file for file in closure(stage) if not file.startswith(packages)} if packages else closure(stage)
