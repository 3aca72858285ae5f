"""Making things at a service exactly once, by a record that is saved before and after each call."""

from collections.abc import Callable
from pathlib import Path
from time import sleep

from stages.common.errors import StageError
from stages.common.files import read_json, write_json
from stages.training.hosted.client import Refused, Service

SETTLE = (0.0, 2.0, 5.0, 15.0)  # seconds before each look for what may have been made: lists of services lag behind


class State:
    """The record: a small JSON file in scratch. Losing it costs nothing, for the service is asked what it has."""

    def __init__(self, folder: Path):
        self.path = folder / "state.json"
        try:
            self.record = read_json(self.path)
        except StageError:
            self.record = {}

    def save(self, **changes: object) -> None:
        """Remember `changes`, on disk before this returns."""
        self.record = {**self.record, **changes}
        write_json(self.path, self.record)


def once(service: Service, state: State, action: str, find: Callable[[], dict | None], make: Callable[[], dict]) -> dict:
    """What `find()` finds at the service, or else what `make()` makes there. It is made once, however often this is killed.

    A request may have been obeyed though its answer never came. So the service is always looked through first. Where the record
    says that this `action` was begun, and not how it ended, the service is looked through several times.
    """

    def attempt() -> dict:
        begun = state.record.get("doing") == action
        for wait in SETTLE if begun else SETTLE[:1]:
            sleep(wait)
            if existing := find():
                return existing
        state.save(doing=action)
        try:
            return make()
        except Refused:
            state.save(doing="")
            raise

    return service.patiently(attempt)
