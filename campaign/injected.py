"""Faults in a run's own process, at the n-th time that it changes something on disk.

An audit hook sees each file that Python opens for writing, makes, renames or removes, before it happens. Bytes written in
between, and what native code writes, are left to kills by time and to a small file system.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}
GROWS = {"open", "os.mkdir"}  # what a full disk refuses; a rename within a folder needs no room


def _changes(folder: str, event: str, arguments: tuple) -> bool:
    if event == "open":
        path, _, flags = arguments
        changing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        path, changing = (arguments or ("",))[0], event in CHANGES
    if not changing or isinstance(path, int):
        return False
    path = os.fsdecode(path)
    return path.startswith(folder) or not path.startswith("/")  # a tree is removed by names within its folders


def watch(folder: Path, act: Callable[[int, str], None]) -> None:
    """Call `act(number, event)` before each change in the run's folder, from 1 on."""
    place, number = f"{folder}/", 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal number
        if (event == "open" or event in CHANGES) and _changes(place, event, arguments) and "notes.txt" not in str(arguments[0]):
            number += 1
            act(number, event)

    sys.addaudithook(hook)


def count(folder: Path) -> Callable[[], None]:
    """Note every change, to know how many there are."""

    def act(number: int, event: str) -> None:
        with open(folder.parent / f"{folder.name}.changes", "a") as file:
            file.write(f"{event}\n")

    return lambda: watch(folder, act)


def kill(folder: Path, at: int) -> Callable[[], None]:
    """SIGKILL before the change `at`."""

    def act(number: int, _: str) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: watch(folder, act)


def full(folder: Path, at: int) -> Callable[[], None]:
    """No room on the device from the change `at` on."""

    def act(number: int, event: str) -> None:
        if number >= at and event in GROWS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    return lambda: watch(folder, act)


def jumping_clock() -> None:
    """A wall clock that leaps by years, back and forth, at each look."""
    real, looks = time.time, 0

    def leaping() -> float:
        nonlocal looks
        looks += 1
        return real() + (-1) ** looks * looks * 1e7

    time.time = leaping
    time.time_ns = lambda: int(leaping() * 1e9)
