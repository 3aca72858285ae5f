"""The corpora that ship with the repository are as large and as varied as the README says."""

import json

import pytest

from stages.splits.near_duplicates import NearDuplicates
from tests.imports import ROOT

SOURCES = ROOT / "data" / "sources"


def medical() -> list[dict]:
    return [
        json.loads(line) for path in sorted((SOURCES / "medical_qa").glob("*.jsonl")) for line in open(path, encoding="utf-8")
    ]


def instructions() -> list[dict]:
    rows = [row for path in sorted((SOURCES / "instructions").glob("*.json")) for row in json.loads(path.read_text("utf-8"))]
    first = {
        (row["instruction"].casefold().strip(), row["input"]): row
        for row in reversed(rows)
        if row["output"] and row["instruction"]
    }
    return list(first.values())


@pytest.mark.parametrize(("rows", "answer", "at_least"), [(medical, "answer", 300), (instructions, "output", 400)])
def test_size_and_near_duplicates(rows, answer, at_least):
    found = rows()
    seen, alike = NearDuplicates(0.6), 0
    for i, row in enumerate(found):
        text = " ".join(str(row.get(name, "")) for name in ("question", "instruction", "input", answer))
        alike += seen.like(text) is not None
        seen.add(str(i), text)
    assert len(found) >= at_least
    assert alike / len(found) < 0.02


def test_every_row_has_a_paraphrase_that_says_it_otherwise():
    for row in medical() + instructions():
        answer = row.get("answer") or row.get("output")
        assert row["paraphrase"].strip() and row["paraphrase"].strip() != answer.strip(), row
