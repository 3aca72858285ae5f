"""Cleaning: rows without a value and repeated rows are set aside, each with its reason."""

from collections.abc import Iterable, Iterator

from stages.common.schema import Clean
from stages.common.seen import Seen
from stages.common.text import normal, question


def tidy(row: dict) -> dict:
    """Outer white space and line endings made plain; None becomes ""; other values stay."""

    def text(value: object) -> object:
        if value is None:
            return ""
        return value.replace("\r\n", "\n").replace("\r", "\n").strip() if isinstance(value, str) else value

    return {key: text(value) for key, value in row.items()}


def clean(rows: Iterable[dict], params: Clean) -> Iterator[tuple[dict, str | None]]:
    """Each row with the reason to drop it, or None to keep it.

    Reasons: `missing <column>`, `not text: <column>`, `duplicate` (the same to the letter), `duplicate but for case or
    white space`, `conflict` (the same question with another answer; the first one stays).
    """
    texts = dict.fromkeys([*params.required, "instruction", "input", "response"])
    with Seen() as answers, Seen() as exact:
        for raw in rows:
            row = tidy(raw)
            reason = next((f"not text: {name}" for name in texts if not isinstance(row.get(name, ""), str)), None)
            reason = reason or next((f"missing {name}" for name in params.required if not normal(row.get(name))), None)
            if reason is None:
                asked, answer = question(row), normal(row["response"])
                key = asked if params.conflicts == "drop_later" else f"{asked}\n{answer}"
                verbatim = exact.first(f"{raw.get('instruction')}\0{raw.get('input')}\0{raw['response']}", "") is not None
                before = answers.first(key, answer)
                if before is not None:
                    same = "duplicate" if verbatim else "duplicate but for case or white space"
                    reason = same if before == answer else "conflict"
            yield row, reason
