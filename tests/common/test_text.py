from pathlib import Path

import pytest
from hypothesis import given

from stages.common.seen import Seen
from stages.common.text import normal, question
from tests.data_helpers import odd_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is it?", "  what\tIS\n it? "),
        ("ﬁne", "fine"),  # a ligature
        ("e\u0301", "é"),  # composed in two ways
        ("STRASSE", "straße"),
        ("a\u00a0b", "a b"),
        (None, ""),
    ],
)
def test_these_are_the_same(one, other):
    assert normal(one) == normal(other)


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("a", "á"), ("1", "2"), ("a.", "a"), (0, ""), (0, False)])
def test_these_are_not(one, other):
    assert normal(one) != normal(other)


@given(odd_text)
def test_white_space_at_the_ends_and_case_never_matter(text):
    assert normal(f" {text}\n") == normal(text)
    assert normal(normal(text)).split() == normal(normal(normal(text))).split()


def test_a_question_is_instruction_and_input():
    assert question({"instruction": "Add", "input": "1 2"}) == question({"instruction": "add", "input": "1  2"})
    assert question({"instruction": "Add", "input": None}) == question({"instruction": "Add"})
    assert question({"instruction": "Add 1", "input": "2"}) != question({"instruction": "Add", "input": "1 2"})


def test_what_was_seen_is_kept_with_its_first_value():
    with Seen() as seen:
        assert seen.first("a", "1") is None
        assert seen.first("a", "2") == "1"
        assert seen.get("a") == "1"
        assert seen.get("b") is None
        assert seen.first("b", "") is None
        assert seen.first("b", "x") == ""  # an empty value is a value


@given(odd_text, odd_text)
def test_keys_are_told_apart_to_the_letter(one, other):
    with Seen() as seen:
        seen.first(one, "one")
        assert (seen.get(other) == "one") == (one == other)


def test_what_was_seen_leaves_no_file():
    with Seen() as seen:
        folder = Path(seen.folder.name)
        assert folder.is_dir()
    assert not folder.exists()
