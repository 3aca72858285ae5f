"""What is known of things made at a service, saved before and after each call; and making them exactly once."""

from collections.abc import Callable
from pathlib import Path
from time import sleep

from stages.common.errors import StageError
from stages.common.files import read_json, write_json
from stages.training.hosted.client import Refused, Service

SETTLE = (0.0, 2.0, 5.0, 15.0)  # seconds before each look for what may have been made: lists of services lag behind


class State:
    """A small JSON file in scratch. Losing it costs nothing: the service is asked what it has."""

    def __init__(self, folder: Path):
        self.path = folder / "state.json"
        try:
            self.known = read_json(self.path)
        except StageError:
            self.known = {}

    def save(self, **changes: object) -> None:
        """Remember `changes`, on disk before this returns."""
        self.known = {**self.known, **changes}
        write_json(self.path, self.known)


def once(service: Service, state: State, what: str, find: Callable[[], dict | None], make: Callable[[], dict]) -> dict:
    """What `find()` finds at the service, else what `make()` makes there, exactly once however often this is killed.

    A request may have been obeyed though its answer never came. So the service is always looked through first; and where a
    `make()` was begun and nothing is known of its end, by this process or one before, several times.
    """

    def attempt() -> dict:
        begun = state.known.get("doing") == what
        for wait in SETTLE if begun else SETTLE[:1]:
            sleep(wait)
            if found := find():
                return found
        state.save(doing=what)
        try:
            return make()
        except Refused:
            state.save(doing="")
            raise

    return service.patiently(attempt)
