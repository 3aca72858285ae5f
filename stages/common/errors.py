"""Errors that are part of the interface: where, what was found, what was expected, what fixes it."""

import errno
import sys
from collections.abc import Callable


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


def shorten(value: object, width: int = 80) -> str:
    """`repr(value)`, cut to `width` characters, for use in a message."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def report(main: Callable[[], None]) -> None:
    """Run `main`; a StageError or a full disk ends the process with a message and status 1, not a traceback."""
    try:
        main()
    except StageError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        sys.exit(
            f"error: {error.filename or 'output'}\n  found:    {error.strerror}\n  expected: a writable disk with room"
            "\n  fix:      free some space or permissions, then run the same command again: finished work is kept"
        )
