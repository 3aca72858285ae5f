"""Answers that are lists of names: how they are read, and how right they are. Needs no torch."""

import re

from stages.common.text_keys import folded_key

NOTHING = "none"


def names(text: str) -> list[str]:
    """The distinct names of a list in their order. The word `none` is no name."""
    distinct = dict.fromkeys(folded_key(part) for part in re.split(r"[,\n]", text))
    return [name for name in distinct if name and name != NOTHING]


def micro_f1(expected: list[str], answers: list[str]) -> float:
    """F1 of the names in all answers together. It is 1 where no name is expected and none answered."""
    pairs = [({*names(text)}, {*names(answer)}) for text, answer in zip(expected, answers, strict=True)]
    named = sum(len(expected_names) + len(answered) for expected_names, answered in pairs)
    return 2 * sum(len(expected_names & answered) for expected_names, answered in pairs) / named if named else 1.0
