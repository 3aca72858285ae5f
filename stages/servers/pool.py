"""Many requests to one server at a time: a bounded number in flight, results in order, tries that are counted."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from stages.common.errors import StageError
from stages.common.http import pause
from stages.servers.chat_server import LATER, Chat
from stages.servers.failures import Unanswered

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Asks one server on behalf of many.

    Args:
        chat: the server, named in messages.
        concurrency: requests in flight.
        attempts: tries for one item. Being told to slow down does not count as a try.
        seconds: for one try. No try of an item begins later than after `attempts` times these, waits included.
    """

    def __init__(self, chat: Chat, concurrency: int, attempts: int, seconds: float):
        self.chat, self.concurrency, self.attempts, self.deadline = chat, concurrency, attempts, attempts * seconds
        self.ended = threading.Event()
        self.resume = 0.0  # when the server wants to hear from us again

    def persist(self, attempt: Callable[[int], Result]) -> Result:
        """What `attempt(number)` returns, called again with growing waits while it raises Unanswered.

        It is not the loop of http.Client: here many items share one wait, one deadline ends them, and being slowed down does
        not count as a try.

        Raises:
            Unanswered: the last one, when tries or time are used up.
            StageError: if the server cannot be reached, or still asks to slow down, by then.
        """
        begun, tries, waits = time.monotonic(), 0, 0
        while True:
            self._rest(self.resume - time.monotonic())
            try:
                return attempt(tries)
            except Unanswered as failed:
                waits += 1
                tries += failed.kind != "rate_limited"
                wait = 0 if failed.at_once else pause(self.chat.where, failed, waits)
                if tries < self.attempts and time.monotonic() + wait - begun < self.deadline:
                    if failed.kind == "rate_limited":
                        self.resume = max(self.resume, time.monotonic() + wait)  # for all items: the account has the limit
                    else:
                        self._rest(wait)
                    continue
                if failed.kind == "unreachable":
                    raise self.chat.down(failed.reason) from None
                if failed.kind == "rate_limited":
                    raise StageError(self.chat.where, failed.reason, "an answer", LATER) from None
                raise

    def _rest(self, seconds: float) -> None:
        if seconds > 0:
            self.ended.wait(seconds)
        if self.ended.is_set():
            raise Ended

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """`work(item)` for every item, in order, as soon as it and all before it are there.

        The first exception ends everything. Requests in flight are not waited for.
        """
        self.ended.clear()
        results: queue.SimpleQueue = queue.SimpleQueue()
        waiting, lock = iter(enumerate(items)), threading.Lock()

        def serve() -> None:
            while not self.ended.is_set():
                with lock:
                    place, item = next(waiting, (None, None))
                if place is None:
                    return
                try:
                    results.put((place, work(item), None))
                except BaseException as error:  # handed to the caller's thread
                    results.put((place, None, error))
                    self.ended.set()  # before this thread takes another item

        for _ in range(min(self.concurrency, len(items))):
            threading.Thread(target=serve, daemon=True).start()  # daemons: Ctrl-C does not wait for a slow server
        try:
            done: dict[int, Result] = {}
            for place in range(len(items)):
                while place not in done:
                    done_place, result, error = results.get()
                    if error is not None:
                        raise error
                    done[done_place] = result
                yield done.pop(place)
        finally:
            self.ended.set()


class Ended(Exception):
    """Another item failed for good, and so this one is given up."""
