"""Training rows are read as they are needed, and what is learned from them is what a list of them would teach."""

import random

import pytest

from stages.common.errors import StageError
from stages.common.files import write_rows
from stages.judging.training_rows import Answers, TrainingRows, shots_of
from tests import tiny


@pytest.fixture
def training(tmp_path) -> TrainingRows:
    rows = tiny.rows(12)
    write_rows(tmp_path / "train" / "000.jsonl", rows[:7])
    write_rows(
        tmp_path / "train" / "001.jsonl", [{**row, "completion": row["completion"] + " \nUser: more"} for row in rows[7:]]
    )
    return TrainingRows(tmp_path / "train", ["\nUser:"])


def test_rows_of_all_shards_come_again_and_again_cut_at_the_stop_strings(training):
    assert len(training) == 12
    assert list(training) == list(training) == tiny.rows(12)
    assert list(answers := Answers(training)) == list(answers) == [row["completion"] for row in tiny.rows(12)]


def test_rows_by_place_in_the_order_asked_for(training):
    places = random.Random(3).sample(range(12), 5)
    assert places != sorted(places)
    assert training.at(places) == random.Random(3).sample(tiny.rows(12), 5)


def test_shots_are_found_in_their_order_and_a_lost_one_is_named(training, tmp_path):
    rows = [{"answers": {"base": {"shots": ["row#9", "row#2"]}, "tuned": {}}}]
    assert shots_of(rows, training, tmp_path) == [tiny.rows(12)[9], tiny.rows(12)[2]]
    assert shots_of([{"answers": {"tuned": {}}}], training, tmp_path) == []
    rows[0]["answers"]["base"]["shots"] = ["row#99"]
    with pytest.raises(StageError, match="row#99"):
        shots_of(rows, training, tmp_path)
