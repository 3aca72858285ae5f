"""What makes two texts, and two rows, the same to us."""

import unicodedata

from stages.common.chat import learned
from stages.common.rows import LabelledRow, RawRow


def normal(text: object) -> str:
    """Unicode NFKC, lower case, white space folded: what makes two texts the same to us."""
    return " ".join(unicodedata.normalize("NFKC", "" if text is None else str(text)).casefold().split())


def to_classify(row: RawRow | LabelledRow) -> bool:
    """Whether the row is a text with a label (task `label`) and no question with an answer (task `text`)."""
    return "label" in row and "instruction" not in row and "messages" not in row


def question(row: RawRow | LabelledRow) -> str:
    """What is asked, normalized: the turns before the last one to learn, but for the system message; the text to
    classify; else instruction and input."""
    if "messages" in row:
        turns = row["messages"][: learned(row["messages"])[-1]]
        return "\n".join(normal(turn["content"]) for turn in turns if turn["role"] != "system")
    if to_classify(row):
        return normal(row.get("text"))
    return f"{normal(row.get('instruction'))}\n{normal(row.get('input'))}"


def answer(row: RawRow | LabelledRow) -> str:
    """What is to be answered, normalized: the last turn to learn, the label, or the response."""
    if "messages" in row:
        return normal(row["messages"][learned(row["messages"])[-1]]["content"])
    return normal(row["label"] if to_classify(row) else row.get("response"))


def until(text: str, stop: list[str]) -> str:
    """`text` up to the first stop string."""
    places = [text.find(end) for end in stop if end in text]
    return text[: min(places)] if places else text
