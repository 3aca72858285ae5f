"""Conversations: the ways in which they are written, the one that is ours, and which of their turns are to be learned."""

import json
from collections.abc import Callable

from stages.common.rows import Message
from stages.common.text_keys import as_text, text_key

ROLES = ("system", "user", "assistant")
# other names of these, in lower case: OpenAI's newer one, ShareGPT's, those of its copies
SPELLINGS = dict(zip(ROLES, ROLES, strict=True)) | {"developer": "system", "human": "user", "prompter": "user"}
SPELLINGS |= dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "model", "bot", "ai"), "assistant")
TOOLS = ("tool", "function", "tool_call", "function_call", "function_response", "observation", "ipython")
CALLS = ("tool_calls", "function_call")
# keys that say nothing of what is to be read or learned: who answered, when, by which rules
ASIDE = {"id", "uuid", "message_id", "parent_id", "timestamp", "created_at", "create_time", "date", "model", "lang", "language"}
ASIDE |= {"annotations", "metadata", "html", "markdown", "tokens"}
KEYS = {"role", "content", "name", "weight"}
ROLE_KEYS = ("role", "from", "speaker")  # who speaks: OpenAI's key, ShareGPT's, others'
TEXT_KEYS = ("content", "value", "text")  # what is said
NOTHING: tuple = (None, "", [], {})  # how exporters write a key that is not there


class NotUsable(Exception):
    """Why a conversation cannot be used, as the reason to drop its row."""


def learned(messages: list[Message]) -> list[int]:
    """Places of the assistant turns to learn: all but those with `weight` 0, as hosted fine-tuning has it."""
    return [i for i, turn in enumerate(messages) if turn["role"] == "assistant" and turn.get("weight", 1) == 1]


def conversation(messages: object) -> list[Message]:
    """The turns of a row's `messages`, whoever wrote them, as ours: `role`, `content`, perhaps `name` and `weight`.

    Taken: a list of mappings, also as JSON text; OpenAI's `role` and `content` (text, a number, or parts that are all text),
    ShareGPT's `from` and `value`, and others of ROLE_KEYS and TEXT_KEYS; the roles of SPELLINGS in any case; keys with nothing
    (null, which is how columns of Parquet and OpenAI's own exports write what is not there), a system message without a text
    among them; weights 0.0 and 1.0; keys of ASIDE, which are left out.

    Raises:
        NotUsable: what is wrong first. A conversation has text in every turn, a system message first or not at all, no turn of
            a tool and no call of one, something to learn, and a question before it.
    """
    if isinstance(messages, str):
        try:
            messages = json.loads(messages, parse_constant=lambda constant: None)
        except (ValueError, RecursionError):
            raise NotUsable("text that is no JSON") from None
    if not isinstance(messages, list) or not messages:
        raise NotUsable("no list of turns")
    turns = [_turn(turn, number) for number, turn in enumerate(messages, 1) if not _silent_system(turn)]
    if not learned(turns):
        raise NotUsable("no assistant turn to learn")
    if all(turn["role"] != "user" for turn in turns[: learned(turns)[0]]):
        raise NotUsable("an answer before any question")
    return turns


def _value_of(turn: dict, keys: tuple[str, ...], where: str, plain: Callable = str) -> object:
    """What stands under one of several keys that mean the same; None for nothing. `plain` makes values alike that are."""
    values = {key: turn[key] for key in keys if key in turn}
    if len({plain(value) for value in values.values()}) > 1:
        raise NotUsable(f"{where} says two things under {' and '.join(values)}")
    return next(iter(values.values()), None)


def role_of(value: object) -> str:
    """A role by our name, or as it is spelled."""
    spelled = str(value).strip().rstrip(":").lower()
    return SPELLINGS.get(spelled, spelled)


def _silent_system(turn: object) -> bool:
    """Whether it is a system message without a text, as exporters write where there is none."""
    if not isinstance(turn, dict) or any(turn.get(key) not in NOTHING for key in TEXT_KEYS):
        return False
    return any(role_of(turn.get(key)) == "system" for key in ROLE_KEYS)


def _turn(turn: object, number: int) -> Message:
    where = f"turn {number}"
    if not isinstance(turn, dict):
        raise NotUsable(f"{where} is no mapping")
    fields = {str(key): value for key, value in turn.items() if value not in NOTHING and key not in ASIDE}
    if any(fields.get(key) for key in CALLS):
        raise NotUsable(f"{where} calls a tool")
    spelled, content = role_of(_value_of(fields, ROLE_KEYS, where, role_of)), _value_of(fields, TEXT_KEYS, where)
    if spelled in TOOLS:
        raise NotUsable(f"{where} is a tool's")
    if fields.get("refusal"):
        raise NotUsable(f"{where} is a refusal")
    if unknown := sorted(fields.keys() - KEYS - {*ROLE_KEYS, *TEXT_KEYS, *CALLS, "refusal"}):
        raise NotUsable(f"{where} has unknown keys {', '.join(unknown)}")
    if spelled not in ROLES:
        raise NotUsable(f"{where} has no known role")
    role, content = spelled, _content(content, where)
    if not text_key(content):
        raise NotUsable(f"{where} has no text")
    if not isinstance(fields.get("name", ""), str):
        raise NotUsable(f"{where} has a name that is no text")
    if role == "system" and number > 1:
        raise NotUsable(f"{where} is a system message after the first turn")
    message: Message = {"role": role, "content": content}
    message |= {"name": fields["name"]} if fields.get("name") else {}
    if "weight" in fields and (role == "assistant" or fields["weight"] != 0):  # no other turn is ever learned
        if role != "assistant" or not isinstance(fields["weight"], int | float) or fields["weight"] not in (0, 1):
            raise NotUsable(f"{where} has a weight other than an assistant's 0 or 1")
        message["weight"] = int(fields["weight"])
    return message


def _content(content: object, where: str) -> str:
    """The text of a turn: as it stands, or that of its parts one after the other."""
    if isinstance(content, dict) and isinstance(content.get("parts"), list):  # an export of ChatGPT
        content = content["parts"]
    texts = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict) and (part.get("type") or "text") in ("text", "input_text", "output_text"):
            part = part.get("text", part if any(value not in NOTHING for value in part.values()) else None)
        text = "" if part is None else as_text(part)
        if not isinstance(text, str):
            kind = (part.get("type") if isinstance(part, dict) else None) or type(part).__name__
            raise NotUsable(f"{where} has a part that is no text: {kind}")
        texts.append(text)
    return "".join(texts)
