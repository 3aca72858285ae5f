"""Real files, where they are beside the repository: each is added by one command, with counts looked at by eye."""

import pytest

from tests.affinage.adding.place import add

FILES = [
    ("alpaca/rasbt_instruction-data.json", [], "1100 rows: 1075 kept"),
    ("alpaca/llamafactory_alpaca_en_demo.json", [], "999 rows: 985 kept"),
    ("elements/limericks_training-data.jsonl", ["--model", "smollm2"], "10 rows: 10 kept"),
    ("elements/PeriodicTableJSON.json", [], "119 rows: 119 kept"),
    ("invoices/arrhes_pcg_2026.json", ["--question", "Which account is {number}?", "--answer", "label"], "838 rows: 838 kept"),
    ("car_parts/car_parts_272.txt", ["--as", "parts"], "470 rows: 448 kept"),
    ("car_reviews", ["--model", "smollm2"], "1724 rows: 1712 kept"),
    ("medical_qa/MedQuAD", [], "2480 rows: 2432 kept"),
]


@pytest.mark.parametrize("file, options, said", FILES, ids=[file for file, _, _ in FILES])
def test_a_real_file(here, real_data, file, options, said):
    assert said in add(real_data / file, *options, "--dry-run")
