"""Conversations: what a row's `messages` may hold, and which of its turns are to be learned."""

from stages.common.rows import Message

ROLES = ("system", "user", "assistant")
KEYS = {"role", "content", "name", "weight"}


def learned(messages: list[Message]) -> list[int]:
    """Places of the assistant turns to learn: all but those with `weight` 0, as hosted fine-tuning has it."""
    return [i for i, turn in enumerate(messages) if turn["role"] == "assistant" and turn.get("weight", 1) == 1]


def with_ending(messages: list[Message], ending: str) -> list[Message]:
    """The turns with the prompt's mark written out after every question, for services that render no template."""
    return [turn | {"content": turn["content"] + ending} if turn["role"] == "user" else dict(turn) for turn in messages]


def problem(messages: object) -> str | None:
    """What is wrong first with a row's `messages`; None if they can be used.

    Usable: a list of mappings with `role` (system, user, assistant), `content` (text that is not blank), optional `name`
    (text) and, for the assistant, optional `weight` (0 or 1); system first or not at all; at least one turn to learn,
    and none before the first user turn.
    """
    if not isinstance(messages, list) or not messages:
        return "no list of turns"
    for number, turn in enumerate(messages, 1):
        if found := _of_turn(turn, number):
            return f"turn {number} {found}"
    if not learned(messages):
        return "no assistant turn to learn"
    if all(turn["role"] != "user" for turn in messages[: learned(messages)[0]]):
        return "an answer before any question"
    return None


def _of_turn(turn: object, number: int) -> str | None:
    if not isinstance(turn, dict):
        return "is no mapping"
    if unknown := sorted(map(str, turn.keys() - KEYS)):
        return f"has unknown keys {', '.join(unknown)}"
    if turn.get("role") not in ROLES:
        return "has no known role"
    if not isinstance(turn.get("content"), str) or not turn["content"].strip():
        return "has no text"
    if not isinstance(turn.get("name", ""), str):
        return "has a name that is no text"
    if "weight" in turn and (turn["role"] != "assistant" or type(turn["weight"]) is not int or turn["weight"] not in (0, 1)):
        return "has a weight other than an assistant's 0 or 1"
    return "is a system message after the first turn" if turn["role"] == "system" and number > 1 else None
