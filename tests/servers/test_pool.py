import threading
import time

import pytest

from stages.common.errors import StageError
from stages.servers.failures import Unanswered
from stages.servers.pool import Pool


class Chat:
    where = "a server"

    def down(self, reason):
        return StageError(self.where, reason, "a running server", "start it")


def pool(concurrency=4, attempts=3, seconds=10.0) -> Pool:
    return Pool(Chat(), concurrency, attempts, seconds)


def flaky(*failures):
    """Fails in these ways first; lists the numbers of its tries."""
    left, numbers = list(failures), []

    def attempt(number):
        numbers.append(number)
        if left:
            raise left.pop(0)
        return "done"

    return attempt, numbers


def test_results_come_in_order():
    def work(number):
        time.sleep(0.002 * (7 - number % 7))
        return number * number

    assert list(pool(8).map(work, list(range(50)))) == [n * n for n in range(50)]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_are_in_flight_than_allowed_and_no_fewer(concurrency):
    inside, seen, lock = 0, [], threading.Lock()
    together = threading.Barrier(concurrency)

    def work(number):
        nonlocal inside
        with lock:
            inside += 1
            seen.append(inside)
        together.wait(5)  # breaks unless as many come together
        with lock:
            inside -= 1

    list(pool(concurrency).map(work, list(range(6))))
    assert max(seen) == concurrency


def test_nothing_to_do():
    assert list(pool().map(lambda item: item, [])) == []


def test_the_first_error_ends_all():
    done = []

    def work(number):
        if number == 3:
            raise StageError("here", "a", "b")
        time.sleep(0.01)
        done.append(number)

    with pytest.raises(StageError):
        list(pool(2).map(work, list(range(1000))))
    assert len(done) < 20


def test_an_error_does_not_wait_for_the_slow(hurried):
    release = threading.Event()

    def work(number):
        if number == 0:
            release.wait(20)
        elif number == 1:
            raise ValueError("at once")

    start = time.monotonic()
    with pytest.raises(ValueError):
        list(pool(2).map(work, [0, 1]))
    assert time.monotonic() - start < 15
    release.set()


def test_failures_that_pass_are_tried_again_with_growing_waits(hurried):
    attempt, numbers = flaky(Unanswered("server_error", "500"), Unanswered("timeout", "late"))
    assert pool().persist(attempt) == "done"
    assert numbers == [0, 1, 2]
    assert 0.5 <= hurried[0] <= 1 and 1 <= hurried[1] <= 2


def test_tries_are_counted(hurried):
    attempt, numbers = flaky(*[Unanswered("server_error", "500")] * 9)
    with pytest.raises(Unanswered, match="500"):
        pool(attempts=4).persist(attempt)
    assert numbers == [0, 1, 2, 3]


def test_an_unreachable_server_is_named(hurried):
    attempt, _ = flaky(*[Unanswered("unreachable", "refused")] * 9)
    with pytest.raises(StageError, match="start it"):
        pool().persist(attempt)


def test_the_wait_asked_for_is_obeyed(hurried):
    attempt, _ = flaky(Unanswered("server_error", "503", 17.0))
    pool(seconds=100).persist(attempt)
    assert hurried == [17.0]


def test_too_long_a_wait_is_refused(hurried):
    attempt, _ = flaky(Unanswered("rate_limited", "429", 4000.0))
    with pytest.raises(StageError, match="asks to wait 4000 s"):
        pool().persist(attempt)


def test_being_told_to_slow_down_is_no_try(hurried):
    attempt, numbers = flaky(*[Unanswered("rate_limited", "429", 2.0)] * 5)
    assert pool(attempts=2, seconds=100).persist(attempt) == "done"
    assert numbers == [0] * 6


def test_a_limit_that_never_lifts_stops_the_run(monkeypatch):
    attempt, numbers = flaky(*[Unanswered("rate_limited", "429", 0.03)] * 1000)
    with pytest.raises(StageError, match="finished work is kept"):
        pool(attempts=2, seconds=0.05).persist(attempt)
    assert len(numbers) < 10


def test_a_limit_holds_everyone_back():
    times = []

    def attempt(_):
        times.append(time.monotonic())
        if len(times) == 1:
            raise Unanswered("rate_limited", "429", 0.3)
        return "done"

    single = pool(1, seconds=10)
    list(single.map(lambda _: single.persist(attempt), [1, 2, 3]))
    assert len(times) == 4 and min(times[1:]) >= times[0] + 0.3


def test_what_needs_no_wait_gets_none(hurried):
    attempt, _ = flaky(Unanswered("unparsable", "?", at_once=True))
    assert pool().persist(attempt) == "done"
    assert hurried == []


def test_no_try_begins_after_the_deadline():
    attempt, numbers = flaky(*[Unanswered("server_error", "500", 0.06)] * 50)
    with pytest.raises(Unanswered):
        pool(attempts=50, seconds=0.004).persist(attempt)
    assert len(numbers) <= 4
