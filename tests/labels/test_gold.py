"""The shipped pages, synonyms and gold rows: enough names, and a labeller that finds them."""

import csv
import json

import pytest
from lxml import html

from stages.labels.dictionary import build
from stages.labels.parts import Finder
from stages.labels.reviews import against_gold
from tests.imports import ROOT

SOURCES = ROOT / "data" / "sources" / "car_reviews"


@pytest.fixture(scope="module")
def dictionary():
    page, table = (html.parse(SOURCES / "parts" / name).getroot() for name in ("list.html", "table.html"))
    cells = [*page.xpath("//main/ul[not(@class)]//li[not(@hidden or @style)]"), *table.xpath("//tr[not(@style)]/td[1]")]
    cells = [cell for cell in cells if not cell.xpath("ancestor::table[not(contains(@class, 'parts'))] or ancestor::tfoot")]
    entries = ["".join(cell.xpath("./text()|./a/text()|./b/text()")) for cell in cells]
    with open(SOURCES / "synonyms.csv", encoding="utf-8", newline="") as file:
        return build(entries, csv.DictReader(file))


def test_names(dictionary):
    assert len(dictionary.names) >= 650
    assert not {"and", "set", "home", "privacy", "advertisement", "references"} & set(dictionary.names)
    assert dictionary.canonical("Bonnets") == "hood"


def test_the_labeller_against_the_gold_rows(dictionary):
    with open(SOURCES / "gold.jsonl", encoding="utf-8") as file:
        found = against_gold(Finder(dictionary), dictionary, map(json.loads, file))
    assert found["reviews"] >= 120
    assert found["parts"]["precision"] >= 0.95
    assert found["parts"]["recall"] >= 0.90
    assert found["faults"]["f1"] >= 0.75
