import errno
import sqlite3

import pytest

from stages.common.errors import StageError, hub_errors, report, shorten


def raising(error):
    def main():
        raise error

    return main


def test_a_problem_says_where_what_and_how_to_fix_it():
    error = StageError("data/x.csv line 3", "2 fields", "3 fields", "edit the line")
    assert str(error) == "data/x.csv line 3\n  found:    2 fields\n  expected: 3 fields\n  fix:      edit the line"
    assert "fix" not in str(StageError("x", "a", "b"))


def test_a_problem_ends_the_process_with_its_message():
    with pytest.raises(SystemExit) as caught:
        report(raising(StageError("here", "this", "that")))
    assert caught.value.code == "error: here\n  found:    this\n  expected: that"  # a text: printed, status 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_a_problem_too(code):
    with pytest.raises(SystemExit, match="/data/out"):
        report(raising(OSError(code, "disk trouble", "/data/out")))


def test_what_keeps_the_hub_away_is_said_with_what_to_check():
    with pytest.raises(StageError) as caught, hub_errors("owner/set@0123", "a reachable dataset of the hub", "the name"):
        raise ConnectionError("connection\n refused")
    assert (caught.value.where, caught.value.found) == ("owner/set@0123", "ConnectionError: connection refused")
    assert caught.value.fix.startswith("check the network, the name; ")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no room"), StageError("here", "this", "that"), KeyError("ours")])
def test_what_the_hub_has_no_part_in_stays_what_it_is(error):
    with pytest.raises(type(error)) as caught, hub_errors("owner/set@0123", "a reachable dataset of the hub", "the name"):
        raise error
    assert caught.value is error


def hidden(message: str, behind: BaseException | None = None) -> Exception:
    error = RuntimeError(message)
    error.__context__ = behind
    return error


@pytest.mark.parametrize(
    "error",
    [
        hidden("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
        hidden("unexpected pos 11200 vs 11094", OSError(errno.ENOSPC, "No space left on device")),  # torch.save
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_is_seen_through_the_errors_of_native_code(error):
    with pytest.raises(SystemExit, match="No space left on device"):
        report(raising(error))


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "No such file", "data/raw/a.jsonl"), OSError("no file a.jsonl named")]
)
def test_a_file_that_went_away_is_named(error):
    with pytest.raises(SystemExit, match="a.jsonl"):
        report(raising(error))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), KeyError("bug")])
def test_anything_else_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        report(raising(error))


def test_long_values_are_cut():
    assert shorten("abc") == "'abc'"
    assert len(shorten("x" * 1000)) == 80
    assert shorten("x" * 1000).endswith("…")
