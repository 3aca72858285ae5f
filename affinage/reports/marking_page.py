"""Answers to be marked, as a page that opens from a file: one answer at a time, blind, keys 1 to 5.

The page needs no network and no server. It keeps marks in the browser and saves them to a file, which goes to marks/.
"""

import json
import random
from pathlib import Path

from markupsafe import Markup

from affinage.reports.marking import drawn
from affinage.reports.rendering import render_template
from affinage.reports.results import Results
from stages.common.files import atomic_file, clean_text
from stages.common.scratch import fingerprint
from stages.judging.marked import FORMAT

LEVELS = (
    "useless or wrong",
    "little of it is right",
    "about half is right",
    "right but for a detail",
    "as good as the expected answer",
)


def answers(results: Results, rival: str, rows: int, seed: int) -> list[dict[str, str]]:
    """Each drawn row's two answers (one where both read the same), shuffled, without whose they are."""
    lines = []
    for row, sides in drawn(results, rival, rows, seed):
        for text in dict.fromkeys(clean_text(row.text_of(contestant)) for contestant in sides):
            texts = {"question": "\n\n".join(turn_text for _, turn_text in row.turns), "expected": row.expected, "answer": text}
            lines.append({name: clean_text(value) for name, value in texts.items()})
    return random.Random(seed).sample(lines, len(lines))


def write_page(path: Path, model: str, lines: list[dict[str, str]]) -> None:
    """The page of the answers."""
    content = {"format": FORMAT, "model": model, "key": fingerprint(model, lines)[:16], "answers": lines}
    escaped = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")  # nothing in it can end the element
    page = render_template(
        "marking.html", ("marking.css",), ("marking.js",), model=model, levels=LEVELS, answers=Markup(escaped)
    )
    with atomic_file(path) as file:
        file.write(page)
