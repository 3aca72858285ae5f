"""One process at a time in a folder of scratch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.common.errors import StageError


@contextmanager
def alone(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process at the latest.

    Raises:
        StageError: if another process holds it and is not to be waited for.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise StageError(folder, "another process at work here", "one at a time", "wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()
