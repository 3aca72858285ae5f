"""Conversations: the ways in which they are written, the one that is ours, and which of their turns are to be learned."""

import json

from stages.common.rows import Message
from stages.common.text_keys import text_key

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


class NotUsable(Exception):
    """Why a conversation cannot be used, as the reason to drop its row."""


def learned(messages: list[Message]) -> list[int]:
    """Places of the assistant turns to learn: all but those with `weight` 0, as hosted fine-tuning has it."""
    return [i for i, turn in enumerate(messages) if turn["role"] == "assistant" and turn.get("weight", 1) == 1]


def conversation(messages: object) -> list[Message]:
    """The turns of a row's `messages`, whoever wrote them, as ours: `role`, `content`, perhaps `name` and `weight`.

    Taken: a list of mappings, also as JSON text; OpenAI's `role` and `content` (text, or parts that are all text), ShareGPT's
    `from` and `value`; the roles of SPELLINGS in any case; keys with null, which is how columns of Parquet and OpenAI's own
    exports write what is not there; weights 0.0 and 1.0; keys of ASIDE, which are left out.

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
    turns = [_turn(turn, number) for number, turn in enumerate(messages, 1)]
    if not learned(turns):
        raise NotUsable("no assistant turn to learn")
    if all(turn["role"] != "user" for turn in turns[: learned(turns)[0]]):
        raise NotUsable("an answer before any question")
    return turns


def _turn(turn: object, number: int) -> Message:
    where = f"turn {number}"
    if not isinstance(turn, dict):
        raise NotUsable(f"{where} is no mapping")
    there = {str(key): value for key, value in turn.items() if value is not None and value != [] and key not in ASIDE}
    if any(there.get(key) for key in CALLS):
        raise NotUsable(f"{where} calls a tool")
    if "role" not in there and "from" in there:  # ShareGPT
        there["role"] = there.pop("from")
        there |= {"content": there.pop("value")} if "value" in there else {}
    spelled = str(there.get("role", "")).strip().lower()
    if spelled in TOOLS:
        raise NotUsable(f"{where} is a tool's")
    if there.get("refusal"):
        raise NotUsable(f"{where} is a refusal")
    if unknown := sorted(there.keys() - KEYS - {*CALLS, "refusal"}):
        raise NotUsable(f"{where} has unknown keys {', '.join(unknown)}")
    if spelled not in SPELLINGS:
        raise NotUsable(f"{where} has no known role")
    role, content = SPELLINGS[spelled], _content(there.get("content"), where)
    if not text_key(content):
        raise NotUsable(f"{where} has no text")
    if not isinstance(there.get("name", ""), str):
        raise NotUsable(f"{where} has a name that is no text")
    if role == "system" and number > 1:
        raise NotUsable(f"{where} is a system message after the first turn")
    kept: Message = {"role": role, "content": content}
    kept |= {"name": there["name"]} if there.get("name") else {}
    if "weight" in there:
        if role != "assistant" or not isinstance(there["weight"], int | float) or there["weight"] not in (0, 1):
            raise NotUsable(f"{where} has a weight other than an assistant's 0 or 1")
        kept["weight"] = int(there["weight"])
    return kept


def _content(content: object, where: str) -> str:
    """The text of a turn: as it stands, or that of its parts one after the other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = []
    for part in content:
        if isinstance(part, dict) and (part.get("type") or "text") in ("text", "input_text", "output_text"):
            part = part.get("text")
        if not isinstance(part, str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise NotUsable(f"{where} has a part that is no text: {kind}")
        texts.append(part)
    return "".join(texts)
