import pytest

from stages.common.chat import learned, problem
from stages.common.row_keys import answer_key, question_key


def turn(role: str, content: object = "x", **more) -> dict:
    return {"role": role, "content": content, **more}


GOOD = [
    turn("system"),
    turn("user", "A", name="ann"),
    turn("assistant", "b", weight=0),
    turn("user", "C"),
    turn("assistant", "D"),
]


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (GOOD, None),
        (None, "no list of turns"),
        ([], "no list of turns"),
        (["x"], "turn 1 is no mapping"),
        ([turn("tool")], "turn 1 has no known role"),
        ([turn("user", " ")], "turn 1 has no text"),
        ([turn("user", 5)], "turn 1 has no text"),
        ([turn("user", more=1)], "turn 1 has unknown keys more"),
        ([turn("user", name=1)], "turn 1 has a name that is no text"),
        ([turn("user", weight=1)], "turn 1 has a weight other than an assistant's 0 or 1"),
        ([turn("user"), turn("assistant", weight=0.5)], "turn 2 has a weight other than an assistant's 0 or 1"),
        ([turn("user"), turn("assistant", weight=True)], "turn 2 has a weight other than an assistant's 0 or 1"),
        ([turn("user"), turn("system"), turn("assistant")], "turn 2 is a system message after the first turn"),
        ([turn("user"), turn("assistant", weight=0)], "no assistant turn to learn"),
        ([turn("system"), turn("assistant")], "an answer before any question"),
    ],
)
def test_what_is_wrong_is_named(messages, why):
    assert problem(messages) == why


def test_what_is_learned_asked_and_answered():
    assert learned(GOOD) == [4]
    assert question_key({"messages": GOOD}) == "a\nb\nc"
    assert answer_key({"messages": GOOD}) == "d"
    assert (question_key({"text": "A", "label": "B"}), answer_key({"text": "A", "label": "B"})) == ("a", "B")
    asked = {"instruction": "A", "response": "R", "text": "t", "label": "l"}
    assert (question_key(asked), answer_key(asked)) == ("a\n", "r")
