"""The corpora that ship with the repository are as large and as varied as the README says."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

from stages.common import conversations
from stages.common.row_keys import answer_key, question_key
from stages.judging.measures import rhymes_as_limerick
from stages.labels.accounts import read_chart
from stages.splits.near_duplicates import signature_of
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
    questions = rows()
    texts = [" ".join(str(row.get(name, "")) for name in ("question", "instruction", "input", answer)) for row in questions]
    assert len(questions) >= at_least
    assert near_duplicates(texts) < 0.02 * len(questions)


def test_every_row_has_a_paraphrase_that_says_it_otherwise():
    for row in medical() + instructions():
        answer = row.get("answer") or row.get("output")
        assert row["paraphrase"].strip() and row["paraphrase"].strip() != answer.strip(), row


def limericks() -> list[dict]:
    return [json.loads(line) for line in open(SOURCES / "elements" / "limericks.jsonl", encoding="utf-8")]


def facts() -> list[dict]:
    return list(csv.DictReader(open(SOURCES / "elements" / "facts.csv", encoding="utf-8")))


def invoices() -> list[dict]:
    return list(csv.DictReader(open(SOURCES / "invoices" / "lignes.csv", encoding="utf-8")))


def chart() -> dict[str, str]:
    with open(SOURCES / "invoices" / "comptes.csv", encoding="utf-8") as rows:
        return read_chart(
            {"id": row["compte"], "number": row["compte"], "name": row["libelle"]} for row in csv.DictReader(rows)
        )


def near_duplicates(texts: list[str]) -> int:
    """How many are like an earlier one."""
    signatures = np.stack([signature_of(text) for text in texts])
    return sum((signatures[:i] == signature).mean(axis=1).max() >= 0.6 for i, signature in enumerate(signatures) if i)


def test_every_element_has_its_limerick_and_ten_come_in_several_turns():
    rows = limericks()
    assert all(conversations.conversation(row["messages"]) == row["messages"] for row in rows)
    said = [f" {question_key(row)} {answer_key(row)}".casefold() for row in rows]
    assert [fact["name"] for fact in facts() if not any(fact["name"] in text for text in said)] == []
    assert sum(any(turn.get("weight") == 0 for turn in row["messages"]) for row in rows) >= 10
    verses = [row["messages"][conversations.learned(row["messages"])[-1]]["content"] for row in rows]
    assert [verse for verse in verses if not rhymes_as_limerick(verse)] == []
    assert near_duplicates([f"{question_key(row)} {answer_key(row)}" for row in rows]) < 0.02 * len(rows)


def test_facts_are_complete():
    elements = facts()
    assert [int(fact["number"]) for fact in elements] == list(range(1, 119))
    assert len({fact["symbol"] for fact in elements}) == len({fact["name"] for fact in elements}) == 118
    assert {fact["phase"] for fact in elements} == {"solid", "liquid", "gas", "unknown"}
    assert all(1 <= int(fact["period"]) <= 7 and fact["discoverer"] and fact["category"] for fact in elements)
    assert all((fact["group"] == "") == (int(fact["number"]) in [*range(57, 71), *range(89, 103)]) for fact in elements)
    assert all((fact["year"] == "") == (fact["discoverer"] == "known since antiquity") for fact in elements)


def test_facts_agree_with_a_real_table(real_data):
    table = json.loads((real_data / "elements" / "PeriodicTableJSON.json").read_text(encoding="utf-8"))["elements"]
    spelt = {"cesium": "caesium", "aluminum": "aluminium", "sulphur": "sulfur"}
    for fact, real in zip(facts(), table[:118], strict=True):
        name = real["name"].casefold()
        assert (int(fact["number"]), fact["symbol"], fact["name"]) == (real["number"], real["symbol"], spelt.get(name, name))
        assert int(fact["period"]) == real["period"]
        assert fact["group"] in ("", str(real["group"]))


def test_invoice_lines():
    rows, accounts = invoices(), chart()
    counts = Counter(row["compte"] for row in rows)
    assert len(rows) >= 600 and set(counts) == set(accounts) and len(accounts) >= 15
    assert max(counts.values()) >= 4 * min(counts.values())  # unbalanced, as in life
    assert all(row["fournisseur"].strip() and row["libelle"].strip() and float(row["montant_ht"]) for row in rows)
    assert near_duplicates([f"{row['fournisseur']} {row['libelle']}" for row in rows]) < 0.02 * len(rows)


def test_accounts_are_those_of_the_plan_comptable(real_data):
    real = json.loads((real_data / "invoices" / "arrhes_pcg_2025.json").read_text(encoding="utf-8"))
    numbers = {str(account["number"]) for account in real["flat"]}
    accounts = chart()
    assert [number for number in accounts if number not in numbers] == []
