"""The chat style: turns by system, user and assistant under the base's own chat template.

Every assistant turn that is to be learned ends a row of its own, whose `messages` are all turns before it. Turns of weight 0
are read and never learned. Turns after the last one to learn are left out, for nothing is learned from them.
"""

from stages.common.conversations import learned
from stages.common.rows import FormattedText, LabelledRow, Message
from stages.common.schema_data import ChatFormat
from stages.prompts import formatted


def conversation(row: LabelledRow, params: ChatFormat) -> list[Message]:
    """The turns of a row, with the system message in front. A question and its answer become two turns."""
    turns = row.get("messages")
    if turns is None:
        asked = row["instruction"] + (f"\n\n{row['input']}" if row.get("input") else "")
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": row["response"]}]
    first = [{"role": "system", "content": params.system}] if params.system and turns[0]["role"] != "system" else []
    return first + turns


def rows(row: LabelledRow, params: ChatFormat) -> list[FormattedText]:
    """A row for every turn to learn, in their order. The last one has the row's id, earlier ones `<id>/turn<place>`.

    A paraphrase is of the last answer and stays with it.
    """
    turns = conversation(row, params)
    *earlier, last = learned(turns)
    bare = [{key: value for key, value in turn.items() if key != "weight"} for turn in turns]
    heads = [{"id": f"{row['id']}/turn{i}"} for i in earlier] + [row]
    return [formatted(head, bare[:i], bare[i]["content"]) for head, i in zip(heads, [*earlier, last], strict=True)]


def contract(params: ChatFormat) -> dict:
    """The prompt contract. `chat_template` is None, for the model keeps its tokenizer's own."""
    return {"style": "chat", "chat_template": None, "stop": []}
