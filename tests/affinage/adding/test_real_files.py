"""Real files, where they are beside the repository: each is added by one command, with counts looked at by eye."""

import pytest

from stages.common.errors import StageError
from tests.affinage.adding.place import add

FILES = [
    ("alpaca/rasbt_instruction-data.json", [], "1100 rows: 1075 kept"),
    ("alpaca/llamafactory_alpaca_en_demo.json", [], "999 rows: 985 kept"),
    ("elements/limericks_training-data.jsonl", ["--model", "smollm2"], "10 rows: 10 kept"),
    ("elements/PeriodicTableJSON.json", [], "119 rows: 119 kept"),
    ("invoices/arrhes_pcg_2026.json", ["--question", "Which account is {number}?", "--answer", "label"], "838 rows: 838 kept"),
    ("invoices/arrhes_pcg_2025.json", ["--as", "accounts", "--model", "minilm"], "784 rows: 784 kept"),
    ("invoices/arrhes_pcg_2025.json", ["--text", "label", "--label", "{number:.1}"], "838 rows: 740 kept"),
    ("judgments/pandalm_pairs_dev.jsonl", [], "474 rows: 85 kept"),
    ("judgments/mohler_dev.jsonl", [], "410 rows: 41 kept"),
    ("alpaca/alpaca_cleaned_en_part.json", [], "6009 rows: 6009 kept"),
    ("alpaca/rasbt_eval-example-data.json", [], "100 rows: 100 kept"),
    ("car_parts/wikipedia_List_of_auto_parts_2017.html", ["--as", "parts"], "470 rows: 448 kept"),
    pytest.param("medical_qa/medquad_gard_ghr_mplus.zip", [], "11805 rows: 11800 kept", marks=pytest.mark.slow, id="zip"),
    ("car_parts/car_parts_272.txt", ["--as", "parts"], "470 rows: 448 kept"),
    ("car_reviews", ["--model", "smollm2"], "1724 rows: 1712 kept"),
    ("medical_qa/MedQuAD", [], "2480 rows: 2432 kept"),
]


@pytest.mark.parametrize("file, options, said", FILES)
def test_a_real_file(here, real_data, file, options, said):
    assert said in add(real_data / file, *options, "--dry-run")


UNTOLD = [
    ("invoices/arrhes_pcg_2025.json", "likeliest: --as accounts"),
    ("invoices/arrhes_pcg_2026.json", "likeliest: --as accounts"),
    ("car_parts/car_parts_272.txt", "likeliest: --as parts"),
    ("car_parts/wikipedia_List_of_auto_parts_2017.html", "likeliest: --as parts"),
]


@pytest.mark.parametrize("file, likeliest", UNTOLD)
def test_a_real_file_that_needs_a_word_says_which(here, real_data, file, likeliest):
    with pytest.raises(StageError) as error:
        add(real_data / file, "--dry-run")
    assert likeliest in error.value.fix
