import numpy as np
import pytest

from stages.common.text_keys import folded_key
from stages.judging.controls import GRADES, ORDER, controls, good, graded, question
from tests import tiny

BAD = {"other", "orders", "echo", "half", "shuffled", "repeated", "nearest", "spliced"}


def make(rows: list[dict], seed: int = 1, vectors: np.ndarray | None = None) -> list[dict[str, str]]:
    vectors = np.eye(len(rows)) if vectors is None else vectors
    return controls(rows, [row["completion"] for row in rows], vectors, seed)


def said(*answers: str) -> list[dict]:
    return [{**row, "completion": answer} for row, answer in zip(tiny.rows(len(answers)), answers, strict=True)]


def test_every_kind_is_made_for_every_row():
    assert all(answers.keys() == BAD | {"good"} for answers in make(tiny.rows(9)))


def test_kinds_are_what_they_say():
    rows = tiny.rows(9)
    for row, answers in zip(rows, make(rows), strict=True):
        expected = row["completion"]
        others = {other["completion"] for other in rows} - {expected}
        assert answers["other"] in others and answers["nearest"] in others
        assert answers["orders"] == answers["other"] + ORDER
        assert answers["echo"] == question(row) == row["messages"][0]["content"]
        assert expected.startswith(answers["half"]) and len(answers["half"].split()) == (len(expected.split()) + 1) // 2
        assert sorted(answers["shuffled"].split()) == sorted(expected.split())
        assert answers["repeated"] == f"{expected} {expected}"


def test_nearest_is_the_most_alike_of_the_others():
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]])
    assert [answers["nearest"] for answers in make(said("a b", "c d", "e f"), vectors=vectors)] == ["e f", "e f", "a b"]


def test_a_paraphrase_is_the_good_answer():
    row = {**tiny.rows(1)[0], "paraphrase": "Said otherwise."}
    assert good(row, "One. Two. Three.") == "Said otherwise."
    assert good({}, "One. Two. Three.") == "One. Two."
    assert good({}, "One. Two.") == "One. Two."


@pytest.mark.parametrize(
    "answers",
    [
        ("Yes", "No", "Perhaps"),
        ("7", "8", "9"),
        ("ha ha", "no no", "so so"),
        ("a b", "b a", "c d"),
        ("One two. Three", "Four two. Three", "Five two. Three"),
        ("same", "same", "other"),
        ("same", "same", "same"),
        ("Same  answer", "same answer", "another one"),
    ],
    ids=lambda answers: " | ".join(answers),
)
@pytest.mark.parametrize("seed", range(4))
def test_no_bad_answer_is_the_expected_one(answers, seed):
    rows = said(*answers)
    alike = np.full((3, 3), 0.5) + np.eye(3) / 2
    for row, by_kind in zip(rows, make(rows, seed, np.linalg.cholesky(alike)), strict=True):
        assert {kind for kind in BAD if folded_key(by_kind[kind]) == folded_key(row["completion"])} == set()


def test_the_seed_alone_decides():
    rows = tiny.rows(9)
    assert make(rows) == make(rows) != make(rows, seed=2)


def test_each_grade_says_more_than_the_one_before():
    sentences = graded("One. Two. Three. Four.")
    assert sentences == {"quarter": "One.", "half_of_sentences": "One. Two.", "three_quarters": "One. Two. Three."}
    assert graded("a b c d e f g h") == {"quarter": "a b", "half_of_sentences": "a b c d", "three_quarters": "a b c d e f"}
    assert graded("word") == dict.fromkeys(GRADES[:3], "word")
