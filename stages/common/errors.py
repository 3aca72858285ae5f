"""Errors that are part of the interface: where, what was found, what was expected, what fixes it."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stages.common.text_keys import shorten  # noqa: F401 (callers find all that messages need here)

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class StageError(Exception):
    """A problem that the user can fix.

    Args:
        where: file and row, parameter or server, as the user would look for it.
        found: what is there.
        expected: what was expected instead.
        fix: the command or the edit that fixes it.
    """

    def __init__(self, where: object, found: str, expected: str, fix: str = ""):
        self.where, self.found, self.expected, self.fix = str(where), found, expected, fix
        text = f"{where}\n  found:    {found}\n  expected: {expected}"
        super().__init__(text + (f"\n  fix:      {fix}" if fix else ""))


def wording(error: BaseException) -> str:
    """An error of another package on one line: its type and what it says, at most 300 characters of it."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def hub_errors(where: str, expected: str, names: str) -> Iterator[None]:
    """Errors of the Hugging Face hub, in our words. A full disk stays what it is (`report`).

    Args:
        where: the repository and its commit.
        expected: "a reachable model of the hub", or the like.
        names: what to check beside the network, such as "the name and the revision".
    """
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        yield
    except (HTTPError, HFValidationError, OSError) as error:  # the hub's own errors are OSErrors
        if getattr(error, "errno", None) in DISK:
            raise
        fix = f"check the network, {names}; where access is gated, accept the licence at the hub and set HF_TOKEN"
        raise StageError(where, wording(error), expected, fix) from None


def report(main: Callable[[], None]) -> None:
    """Run `main`; a StageError, a full disk or a file that is not there ends the process with a message and status 1, not a
    traceback."""
    try:
        main()
    except StageError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        cause = _of_the_system(error)
        if cause is None:
            raise
        disk = cause.errno in DISK
        sys.exit(
            f"error: {cause.filename or 'a file'}\n  found:    {cause.strerror or cause}"
            f"\n  expected: {'a writable disk with room' if disk else 'a file that can be read and written'}"
            f"\n  fix:      {'free some space or permissions' if disk else 'bring it back (dvc repro, dvc checkout)'}, "
            "then run the same command again: finished work is kept"
        )


def _of_the_system(error: BaseException) -> OSError | None:
    """The operating system's error that this one is, or hides: safetensors, torch and SQLite have errors of their own."""
    if isinstance(error, OSError) and (error.errno in DISK or error.filename or error.errno is None):
        return error
    behind: BaseException | None = error
    while behind is not None:
        number = re.search(r"\(os error (\d+)\)", str(behind))
        code = int(number[1]) if number else errno.ENOSPC if "disk is full" in str(behind) else getattr(behind, "errno", None)
        if code in DISK:
            return OSError(code, os.strerror(code))
        behind = behind.__cause__ or behind.__context__
    return None
