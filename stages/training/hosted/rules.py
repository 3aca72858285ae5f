"""Chat JSONL for a hosted fine-tuning service: its rules checked here, before anything is uploaded or paid.

The rules are those of OpenAI's supervised fine-tuning:

- One JSON object a line with `messages`, and for tool use `tools`, `functions` and `parallel_tool_calls`.
- No other roles and keys than those of KEYS.
- Weights are 0 or 1, on assistant turns alone. At least one is 1.
- No assistant turn is empty. The last turn is the assistant's.
- At least ten rows; a limit of tokens a row and of bytes a file.

Tokens are bounded, not counted, for the tokenizer is not here. A byte-level BPE token stands for at least one byte of UTF-8, so
a text has at most as many tokens as bytes. Every message adds three for its frame, a name one, the reply three (OpenAI's
cookbook). A row within the bound is within the limit. A row beyond the bound may still be within the limit: a higher limit lets
it pass.

stages/common/conversations.py reads turns too, but has another task: it takes what people write in many ways, and stops at the
first thing that cannot be used. Here a file that is to be paid for is held against one service's rules, and all is named.

    python -m stages.training.hosted.rules FILE …
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from stages.common.errors import StageError, report, shorten
from stages.models.contract import with_ending

LEAST_ROWS = 10
MOST_BYTES = 512 * 2**20  # of a file
MOST_TOKENS = 65_536  # of a row: the context in training of gpt-4o-mini and of the gpt-4.1 models
FRAME, REPLY, NAME = 3, 3, 1  # tokens beside the text
ROW_KEYS = {"messages", "tools", "functions", "parallel_tool_calls"}
KEYS = {  # of a message by its role; all but `weight` as in the service's OpenAPI description
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "tool_calls", "function_call", "weight"},
    "tool": {"role", "content", "tool_call_id"},
    "function": {"role", "content", "name"},
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def hosted_row(row: dict, contract: dict) -> dict:
    """A formatted row of task `text` as the service takes it: `messages`, of which the last is the answer to learn.

    Earlier answers are read and not learned (weight 0). An answer that is to be learned has a row of its own that ends with it.

    Under style `completion` the marks stay. The prompt's ending is written after the last question. The answer's ending is in
    `completion` already.
    """
    turns = [turn | {"weight": 0} if turn["role"] == "assistant" else dict(turn) for turn in row["messages"]]
    if contract["style"] == "completion":
        turns = with_ending(turns, contract["prompt_ending"])
    return {"messages": [*turns, {"role": "assistant", "content": row["completion"]}]}


def text_of(content: object) -> str | None:
    """The text of a message's content, which is text or parts of type `text`; None if it is something else."""
    if isinstance(content, list) and content and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        parts = [part.get("text") for part in content]
        return "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return content if isinstance(content, str) else None


def most_tokens(row: dict) -> int:
    """An upper bound of the tokens of a row (see above). Tools and calls count by their JSON."""
    total = REPLY + sum(len(json.dumps(row[key]).encode()) for key in ROW_KEYS - {"messages"} if key in row)
    for turn in row["messages"]:
        text = text_of(turn.get("content")) or ""
        calls = [turn[key] for key in ("tool_calls", "function_call") if turn.get(key)]
        total += FRAME + NAME * ("name" in turn) + len(str(turn.get("name", "")).encode("utf-8", "surrogatepass"))
        total += len(text.encode("utf-8", "surrogatepass")) + (len(json.dumps(calls).encode()) if calls else 0)
    return total


def row_problems(row: object, tokens: int = MOST_TOKENS) -> Iterator[str]:
    """Everything wrong with one row."""
    if not isinstance(row, dict):
        yield f"found {shorten(row, 40)}, expected an object with messages"
        return
    if unknown := sorted(row.keys() - ROW_KEYS):
        yield f"unknown keys {', '.join(unknown)}; expected some of {', '.join(sorted(ROW_KEYS))}"
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        yield f"messages: found {shorten(turns, 40)}, expected a list of at least one message"
        return
    if not all(isinstance(turn, dict) for turn in turns):
        yield "messages: found one that is no object"
        return
    for number, turn in enumerate(turns, 1):
        yield from (f"message {number}: {problem}" for problem in message_problems(turn))
    answers = [turn for turn in turns if turn.get("role") == "assistant"]
    if turns[-1].get("role") != "assistant":
        yield f"the last message is by {shorten(turns[-1].get('role'), 20)}, expected the assistant"
    if answers and all(turn.get("weight", 1) == 0 for turn in answers):
        yield "every assistant message has weight 0: nothing to learn; expected at least one of weight 1"
    if (most := most_tokens(row)) > tokens:
        yield f"up to {most} tokens, expected at most {tokens}"


def message_problems(turn: dict) -> Iterator[str]:
    """Everything wrong with one message."""
    role = turn.get("role")
    if not isinstance(role, str) or role not in KEYS:
        yield f"role {shorten(role, 30)}, expected one of {', '.join(KEYS)}"
        return
    if unknown := sorted(turn.keys() - KEYS[role]):
        yield f"unknown keys {', '.join(unknown)} for role {role}; expected some of {', '.join(sorted(KEYS[role]))}"
    text, calls = text_of(turn.get("content")), any(turn.get(key) for key in ("tool_calls", "function_call"))
    absent = turn.get("content") is None
    if text is None and not (absent and (calls or turn.get("refusal") or role == "function")):
        yield f"content {shorten(turn.get('content'), 40)}, expected text"
    elif role == "assistant" and not calls and not turn.get("refusal") and not text.strip():
        yield "empty assistant message, expected text"
    if "weight" in turn and (type(turn["weight"]) is not int or turn["weight"] not in (0, 1)):
        yield f"weight {shorten(turn['weight'], 30)}, expected 0 or 1"
    if "name" in turn and (not isinstance(turn["name"], str) or not _NAME.fullmatch(turn["name"])):
        yield f"name {shorten(turn['name'], 40)}, expected 1 to 64 letters, digits, _ and -"
    for key in {"tool": ("tool_call_id",), "function": ("name",)}.get(role, ()):
        if not isinstance(turn.get(key), str) or not turn[key]:
            yield f"no {key}, expected one for role {role}"


def problems(path: Path, tokens: int = MOST_TOKENS, least_rows: int = LEAST_ROWS) -> Iterator[str]:
    """Everything wrong with a file, line by line, then as a whole. Reads one line at a time."""
    rows = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                yield "line 1: begins with a byte order mark, expected plain UTF-8"
                line = line[3:]
            if not line.strip():
                yield f"line {number}: empty, expected one JSON object a line"
                continue
            rows += 1
            try:
                row = json.loads(line.decode("utf-8"), parse_constant=_refuse)
            except (ValueError, RecursionError) as error:
                yield f"line {number}: no JSON in UTF-8 ({error})"
                continue
            yield from (f"line {number}: {problem}" for problem in row_problems(row, tokens))
    if rows < least_rows:
        yield f"{rows} rows, expected at least {least_rows}"
    if (size := path.stat().st_size) > MOST_BYTES:
        yield f"{size} bytes, expected at most {MOST_BYTES}"


def _refuse(constant: str):
    raise ValueError(f"{constant} is no JSON")


def check(path: Path, tokens: int = MOST_TOKENS, least_rows: int = LEAST_ROWS) -> None:
    """Refuse a file that the service would refuse.

    Raises:
        StageError: with all problems of the file, each with its line.
    """
    if not path.is_file():
        raise StageError(path, "no such file", "chat JSONL", "write it first")
    all_problems = list(problems(path, tokens, least_rows))
    if all_problems:
        listing = "".join(f"\n    - {problem}" for problem in all_problems)
        raise StageError(
            path,
            f"{len(all_problems)} problem{'s' * (len(all_problems) > 1)}{listing}",
            "what the hosted service takes",
            "edit these lines",
        )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        report(lambda name=name: check(Path(name)))
        print(f"{name}: no problem")
