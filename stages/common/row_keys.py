"""What a row asks and what it answers, as keys: rows of the same key repeat each other."""

from stages.common.conversations import learned
from stages.common.rows import LabelledRow, Message, RawRow
from stages.common.text_keys import folded_key, text_key


def to_classify(row: RawRow | LabelledRow) -> bool:
    """Whether the row is a text with a label (task `label`) and no question with an answer (task `text`)."""
    return "label" in row and "instruction" not in row and "messages" not in row


def question_key(row: RawRow | LabelledRow) -> str:
    """What is asked: the turns before the last one to learn, but for the system message; the text to classify; else
    instruction and input."""
    if "messages" in row:
        return _question_before(row["messages"], learned(row["messages"])[-1])
    if to_classify(row):
        return folded_key(row.get("text"))
    return f"{folded_key(row.get('instruction'))}\n{folded_key(row.get('input'))}"


def earlier_question_keys(row: RawRow | LabelledRow) -> list[str]:
    """What is asked before each earlier turn to learn, which is learned as a row of its own; none outside of conversations."""
    turns = row.get("messages") or []
    return [_question_before(turns, place) for place in learned(turns)[:-1]]


def _question_before(turns: list[Message], place: int) -> str:
    return "\n".join(folded_key(turn["content"]) for turn in turns[:place] if turn["role"] != "system")


def answer_key(row: RawRow | LabelledRow) -> str:
    """What is to be answered: the last turn to learn, the response, or the label, whose case counts."""
    if "messages" in row:
        return folded_key(row["messages"][learned(row["messages"])[-1]]["content"])
    return text_key(row["label"]) if to_classify(row) else folded_key(row.get("response"))
