"""Rows that repeat an earlier one, and rows that answer the same question otherwise: each is set aside with its reason."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from stages.common.row_keys import answer_key, question_key
from stages.common.rows import RawRow
from stages.common.seen import Seen, Votes, digest


class Keys(NamedTuple):
    """What tells whether a row repeats another one, as digests."""

    verbatim: bytes  # the same to the letter
    question: bytes
    answer: bytes


Checked = tuple[RawRow, str | None, Keys | None]  # a row with the reason to drop it, or with its keys


def keys(row: RawRow, verbatim: str) -> Keys:
    """Keys of a row that stands in its source as `verbatim`."""
    return Keys(digest(verbatim), digest(question_key(row)), digest(answer_key(row)))


def distinct(read: Callable[[], Iterable[Checked]], conflicts: str) -> Iterator[tuple[RawRow, str | None]]:
    """Rows with the reason to drop them, repeats of earlier ones among these.

    Reasons: `duplicate` (the same to the letter), `duplicate but for case or white space`, `conflict` (the same question
    with another answer).

    Args:
        read: gives the checked rows. It is called twice where all answers must be known before the first row is judged.
        conflicts: what happens to a question with several answers. `drop_later` keeps the first answer, `majority` the most
            frequent one (of equally frequent ones the first), `drop_all` none, `keep` every one.
    """
    with Votes() as votes, Seen() as answers, Seen() as letters:
        if conflicts in ("majority", "drop_all"):
            for _, _, known in read():
                if known is not None:
                    votes.add(known.question, known.answer)
        for row, reason, known in read():
            if known is not None:
                reason = _repeated(known, conflicts, votes, answers, letters)
            yield row, reason


def _repeated(known: Keys, conflicts: str, votes: Votes, answers: Seen, letters: Seen) -> str | None:
    """Why a row must go, as the ones before it and the votes on its question have it; None if it stays."""
    verbatim = letters.first(known.verbatim, b"") is not None
    if conflicts in ("majority", "drop_all"):
        answer, several = votes.winner(known.question)
        if answer != known.answer or (several and conflicts == "drop_all"):
            return "conflict"
    earlier = answers.first(known.question + known.answer * (conflicts == "keep"), known.answer)
    if earlier is None:
        return None
    if earlier != known.answer:
        return "conflict"
    return "duplicate" if verbatim else "duplicate but for case or white space"
