"""The same work on every row of JSONL files, in order: here, or on the Ray cluster that AFFINAGE_RAY names.

`mapped(work, files)` is to files what `map(work, rows)` is to rows; work that is cheaper on many rows at once takes batches.
AFFINAGE_RAY is no parameter, for it changes no byte: it is
an address that `ray.init` takes, `auto` for the cluster of this machine. Ray Data (`pip install "ray[data]"`) gives pieces of
the files to the workers, tries the pieces of a lost worker again, and gives back what they made of them in the files' order,
holding no more than some pieces at a time. The workers read the files themselves: they need the same file system.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

import stages
from stages.common.errors import StageError
from stages.common.files import read_piece

PIECE = 4 << 20  # bytes of a file that a worker takes at once
PIECES = 4096  # at most; beyond that they grow


def mapped(work: Callable, files: list[Path], batch: int = 0) -> Iterator:
    """`work(row)` of every row. It must be picklable, and must not depend on what it was given before.

    With `batch`, `work(rows)` takes up to so many rows at once and gives a list with an item for each.

    Raises:
        StageError: of `work`, or where a line is no row, or Ray is missing.
    """
    address = os.environ.get("AFFINAGE_RAY")
    if address:
        yield from _on_ray(address, OnPiece(work, batch), files)
    else:
        for file in files:
            yield from _results(work, read_piece(file), batch)


def _results(work: Callable, rows: Iterator[dict], batch: int) -> Iterator:
    return chain.from_iterable(map(work, batched(rows, batch))) if batch else map(work, rows)


def pieces(files: list[Path]) -> list[dict]:
    """`file, start, end` of every piece, in order."""
    sizes = {file: file.stat().st_size for file in files}
    step = max(PIECE, sum(sizes.values()) // PIECES)
    return [
        {"file": str(Path(file).absolute()), "start": start, "end": min(start + step, size)}
        for file, size in sizes.items()
        for start in range(0, size, step)
    ]


class OnPiece:
    """What a worker does: work on all rows of a piece; a StageError is a result like others, for Ray would wrap it."""

    def __init__(self, work: Callable, batch: int = 0):
        self.work, self.batch = work, batch

    def __call__(self, piece: dict) -> dict:
        results, problem = [], None
        try:
            rows = read_piece(Path(piece["file"]), piece["start"], piece["end"])
            results.extend(_results(self.work, rows, self.batch))
        except StageError as error:
            problem = (error.where, error.found, error.expected, error.fix)
        return {"results": pickle.dumps((results, problem))}


def _on_ray(address: str, work: OnPiece, files: list[Path]) -> Iterator:
    try:
        import ray
        import ray.data
    except ImportError:
        raise StageError(
            f"AFFINAGE_RAY={address}", "no package ray", "it installed, here and on the cluster", 'pip install "ray[data]"'
        ) from None
    todo = pieces(files)
    if not todo:
        return
    if not ray.is_initialized():
        code = {"py_modules": [str(Path(stages.__file__).parent)]}
        try:
            ray.init(address=address, runtime_env=code, log_to_driver=False, logging_level="warning")
        except (ConnectionError, ValueError, RuntimeError) as error:
            message = " ".join(str(error).split())[:300]
            raise StageError(
                f"AFFINAGE_RAY={address}", message, "a running Ray cluster", "ray start --head, or unset it"
            ) from None
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    worked = ray.data.from_items(todo, override_num_blocks=len(todo)).map(work)
    for row in worked.iter_rows():
        results, problem = pickle.loads(row["results"])
        yield from results
        if problem:
            raise StageError(*problem)


def batched(values: Iterator, size: int) -> Iterator[list]:
    """Lists of up to `size` of the values of an iterator."""
    while batch := list(islice(values, size)):
        yield batch
