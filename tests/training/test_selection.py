"""Rounds: an earlier model goes on with rows of its own. It is no resumed run."""

import json
import re

import pytest

from stages.common.errors import StageError
from stages.common.files import write_rows
from stages.common.scratch import content_hash
from stages.models import directory
from stages.tasks.batches import encode_all
from stages.tasks.score import score
from stages.training import loop, selection
from tests import tiny, trained

ROWS = [{"place": place} for place in range(10)]


@pytest.fixture
def work(tmp_path):
    """A base, and 24 training rows in three shards of eight."""
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    for number in range(3):
        write_rows(tmp_path / "formatted" / "train" / f"{number:03}.jsonl", tiny.rows(8, 8 * number))
    return tmp_path


@pytest.fixture
def seen(monkeypatch):
    """The ids of the rows of every step."""
    whole, ids = loop.Run.step, []
    monkeypatch.setattr(
        loop.Run, "step", lambda self, batch, ready: ids.append({e.id for e in batch}) or whole(self, batch, ready)
    )
    return ids


def named(first, last) -> set[str]:
    return {f"row#{place}" for place in range(first, last)}


def test_a_span_is_of_places_with_its_end_left_out():
    assert selection.between(ROWS, "all", "x") == ROWS and selection.between(ROWS, "none", "x") == []
    assert selection.between(ROWS, [2, 5], "x") == ROWS[2:5]
    assert selection.between(ROWS[::-1], [2, 5], "x") == ROWS[2:5][::-1]  # places count, not where a row stands
    assert selection.between(iter(ROWS), [0, 10], "x") == ROWS


@pytest.mark.parametrize(("span", "there"), [([8, 12], 2), ([10, 12], 0), ([0, 11], 10)])
def test_a_span_beyond_the_rows_says_how_many_are_there(span, there):
    with pytest.raises(StageError, match=rf"models\.t\.train\.rows(.|\n)*of which {there} rows(.|\n)*{span[1] - span[0]} rows"):
        selection.between(ROWS, span, "models.t.train.rows")


@pytest.mark.parametrize("span", [[4, 4], [5, 4], [-1, 4], [1], [1, 2, 3], "some"])
def test_a_span_that_is_none_is_refused(span):
    with pytest.raises(ValueError, match="rows"):
        tiny.training(rows=span)


@pytest.mark.parametrize("wrong", [{"wrong_rows": [0, 4]}, {"wrong_times": 2}])
def test_wrong_rows_need_how_many_times(wrong):
    with pytest.raises(ValueError, match="wrong_rows and wrong_times go together"):
        tiny.training(**wrong)


def test_a_round_takes_its_rows_and_no_other(work, seen):
    trained.run(work, tiny.training(epochs=1))
    assert set.union(*seen) == named(0, 24)
    seen.clear()
    trained.run(work, tiny.training(rows=[8, 16], epochs=2, batch_rows=4))
    assert set.union(*seen[:2]) == set.union(*seen[2:]) == named(8, 16)


def test_a_later_round_goes_on_from_its_parent_and_says_so(work, seen):
    first = trained.run(work, tiny.training(rows=[0, 8]), out="t_001")
    seen.clear()
    second = trained.run(work, tiny.training(rows=[8, 24]), "t_001", "t_002")
    assert set.union(*seen) == named(8, 24)
    assert second["validation_loss_start"] == pytest.approx(first["validation_loss"], abs=1e-5)
    assert (second["steps"], second["rows"]["rows"]) == (4, 16)
    parent = json.loads((work / "t_002" / "parent.json").read_text())
    assert parent == {"base": "t_001", "sha256": content_hash(work / "t_001")}
    assert trained.table(work, "t_002")[0]["step"] == "1"  # a table of its own


def test_a_round_is_no_resumed_run(work):
    """Two rounds of one epoch differ from one run of two: the second starts its optimizer and its schedule anew."""
    trained.run(work, tiny.training(epochs=1, seed=3), out="first")
    trained.run(work, tiny.training(epochs=1, seed=3), "first", "second")
    trained.run(work, tiny.training(epochs=2, seed=3), out="whole")
    last = [float(trained.table(work, name)[-1]["training_loss"]) for name in ("second", "whole")]
    assert last[0] != pytest.approx(last[1], rel=1e-3)


def test_rows_that_the_base_gets_wrong_come_again(work, seen, monkeypatch):
    taught = {"rows": [0, 2], "epochs": 60, "batch_rows": 2, "learning_rate": 1e-2, "schedule": "constant"}
    (work / "formatted" / "validation" / "000.jsonl").unlink()
    trained.run(work, tiny.training(**taught), out="t_001")
    examples, _ = encode_all(tiny.rows(8), directory.load_tokenizer(work / "t_001"), 128)
    right = {
        e.id
        for e, s in zip(examples, score(directory.load(work / "t_001"), examples, tiny.scoring(512)), strict=True)
        if s.correct == s.tokens
    }
    assert {"row#0", "row#1"} <= right < named(0, 8)
    seen.clear()
    ids = []
    prepared = loop.Run.train
    monkeypatch.setattr(
        loop.Run, "train", lambda self, examples, *rest: ids.extend(e.id for e in examples) or prepared(self, examples, *rest)
    )
    metrics = trained.run(work, tiny.training(rows=[8, 24], wrong_rows=[0, 8], wrong_times=3, epochs=1), "t_001", "t_002")
    wrong = named(0, 8) - right
    assert {name: ids.count(name) for name in wrong} == dict.fromkeys(wrong, 3)
    assert not right & {*ids} and named(8, 24) <= {*ids}
    assert metrics["rows"]["repeated"] == 3 * len(wrong) and metrics["rows"]["rows"] == 16 + 3 * len(wrong)


def test_rows_too_long_to_be_looked_at_count_as_wrong():
    rows = tiny.rows(3)
    assert selection.repeated(rows, [True, False, False], 2) == [rows[1], rows[1], rows[2], rows[2]]


@pytest.mark.parametrize("parameter", ["rows", "wrong_rows"])
def test_a_span_that_is_not_there_is_an_error_of_its_parameter(work, parameter):
    span = {"rows": [20, 30]} if parameter == "rows" else {"rows": [0, 8], "wrong_rows": [20, 30], "wrong_times": 1}
    with pytest.raises(StageError, match=re.escape(f"models.model.train.{parameter}\n") + r"(.|\n)*of which 4 rows"):
        trained.run(work, tiny.training(**span))
    assert not (work / "model").exists()


def test_a_round_may_name_one_shard(work, seen):
    trained.run(work, tiny.training(rows=[8, 16], epochs=1), rows="train/001.jsonl")
    assert set.union(*seen) == named(8, 16)
    for spans in ({"rows": [8, 20]}, {"rows": [8, 16], "wrong_rows": [0, 8], "wrong_times": 1}):
        with pytest.raises(StageError, match="let `shards` name"):
            trained.run(work, tiny.training(**spans), rows="train/001.jsonl", out="other")


def test_shards_appended_later_leave_a_round_alone(work):
    """It reads its own shard, so that its fingerprint stays; a checkpoint from before is one of the same training."""
    for out in ("before", "after"):
        trained.run(work, tiny.training(rows=[0, 8]), rows="train/000.jsonl", out=out)
        write_rows(work / "formatted" / "train" / "003.jsonl", tiny.rows(9, 100))
    for before, after in zip(trained.outputs(work, "before"), trained.outputs(work, "after"), strict=True):
        assert [*tiny.contents(before).values()] == [*tiny.contents(after).values()]


def test_a_checkpoint_from_before_new_rows_is_gone_on_with(work, monkeypatch):
    begun = trained.interrupt_the_fourth_step(monkeypatch)
    params = tiny.training(rows=[0, 8], batch_rows=2, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        trained.run(work, params, rows="train/000.jsonl")
    write_rows(work / "formatted" / "train" / "003.jsonl", tiny.rows(9, 100))
    trained.run(work, params, rows="train/000.jsonl")
    assert begun == [0, 1, 2, 3, 3]
