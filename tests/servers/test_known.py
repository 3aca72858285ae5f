import os

import pytest

from stages.common.errors import StageError
from stages.servers.failures import Unanswered
from stages.servers.known import identity


class Server:
    """A server of one model. Its identity is what the test says; an exception is raised."""

    def __init__(self, answer):
        self.answer = answer

    def identity(self) -> dict:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def down(self, reason: str) -> StageError:
        return StageError("server", reason, "a running server", "start it")


DOWN = Unanswered("unreachable", "no connection")


def ask(answer, model="m") -> dict:
    return identity(Server(answer), "ollama", "", model)


def test_a_server_that_is_down_is_what_it_was_when_last_asked():
    assert ask({"digest": "one"}) == {"digest": "one"} == ask(DOWN)
    assert ask({"digest": "two"}) == {"digest": "two"} == ask(DOWN)


def test_a_server_that_was_never_asked_is_down():
    ask({"digest": "one"}, "another")
    with pytest.raises(StageError, match="no connection"):
        ask(DOWN)


def test_an_identity_that_is_not_written_whole_leaves_the_one_before(monkeypatch):
    ask({"digest": "one"})

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            ask({"digest": "two"})
    assert ask(DOWN) == {"digest": "one"}
