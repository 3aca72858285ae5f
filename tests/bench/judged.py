"""A folder of answers that people marked, made up."""

import json
from pathlib import Path

from tests import tiny


def write(folder: Path, sets: tuple[str, ...] = ("liveqa", "mohler", "pandalm"), questions: int = 4) -> Path:
    """Right, half right and wrong answers to each question, with marks of 1, 0.5 and 0."""
    folder.mkdir(parents=True)
    for start, name in enumerate(sets):
        lines = []
        for row in tiny.rows(questions, first=10 * start):
            other = tiny.rows(1, first=10 * start + 7)[0]["completion"]
            half = " ".join(row["completion"].split()[: len(row["completion"].split()) // 2])
            for answer, mark in ((row["completion"], 1.0), (half, 0.5), (other, 0.0)):
                judged = {"set": name, "group": f"{name}:{row['id']}", "question": row["messages"][0]["content"]}
                right = None if name == "pandalm" else mark >= 0.5
                lines.append({**judged, "reference": row["completion"], "answer": answer, "human": mark, "right": right})
        (folder / f"{name}_dev.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "pandalm_pairs_dev.jsonl").write_text(json.dumps({"set": "pandalm", "answer_a": "x", "answer_b": "y"}) + "\n")
    return folder
