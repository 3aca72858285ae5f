import pytest

from stages.common.conversations import NotUsable, conversation, learned
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
        (None, "no list of turns"),
        ([], "no list of turns"),
        (["x"], "turn 1 is no mapping"),
        ("[", "text that is no JSON"),
        ([turn("reader")], "turn 1 has no known role"),
        ([turn("tool")], "turn 1 is a tool's"),
        ([turn("user"), turn("function", name="f")], "turn 2 is a tool's"),
        ([turn("user"), {"from": "observation", "value": "x"}], "turn 2 is a tool's"),
        ([turn("user"), turn("assistant", None, tool_calls=[{"id": "1"}])], "turn 2 calls a tool"),
        ([turn("user"), turn("assistant", None, refusal="No.")], "turn 2 is a refusal"),
        ([turn("user", [{"type": "image_url", "image_url": {}}])], "turn 1 has a part that is no text: image_url"),
        ([turn("user", [["x"]])], "turn 1 has a part that is no text: list"),
        ([turn("user", [])], "turn 1 has no text"),
        ([turn("user", " ")], "turn 1 has no text"),
        ([turn("user", {"answer": "x"})], "turn 1 has a part that is no text: dict"),
        ([turn("user", [{"type": "image", "text": None}])], "turn 1 has a part that is no text: image"),
        ([{"role": "user", "from": "gpt", "content": "q"}], "turn 1 says two things under role and from"),
        ([{"role": "user", "content": "q", "value": "r"}], "turn 1 says two things under content and value"),
        ([turn("user"), turn("assistant", "")], "turn 2 has no text"),
        ([turn("user"), turn("assistant", train=False)], "turn 2 has unknown keys train"),
        ([turn("user"), turn("system", ""), turn("assistant", "\u200b")], "turn 3 has no text"),
        ([turn("user", more=1)], "turn 1 has unknown keys more"),
        ([turn("user", name=1)], "turn 1 has a name that is no text"),
        ([turn("user", weight=1)], "turn 1 has a weight other than an assistant's 0 or 1"),
        ([turn("user"), turn("assistant", weight=0.5)], "turn 2 has a weight other than an assistant's 0 or 1"),
        ([turn("user"), turn("assistant", weight="1")], "turn 2 has a weight other than an assistant's 0 or 1"),
        ([turn("user"), turn("system"), turn("assistant")], "turn 2 is a system message after the first turn"),
        ([turn("user"), turn("assistant", weight=0)], "no assistant turn to learn"),
        ([turn("system"), turn("assistant")], "an answer before any question"),
    ],
)
def test_what_is_wrong_is_named(messages, why):
    with pytest.raises(NotUsable) as caught:
        conversation(messages)
    assert str(caught.value) == why


ASKED = [turn("user", "q"), turn("assistant", "a")]


@pytest.mark.parametrize(
    ("messages", "ours"),
    [
        (GOOD, GOOD),
        ([turn("user", "q", name=None, weight=None), turn("assistant", "a", tool_calls=None, refusal=None)], ASKED),
        ([turn("user", "q", tool_calls=[]), turn("assistant", "a", annotations=[], id=7)], ASKED),
        ([turn("user", [{"type": "text", "text": "q"}]), turn("assistant", ["a"])], ASKED),
        (
            [turn("user", [{"type": "text", "text": "q"}, {"type": "text", "text": "r"}]), turn("assistant", "a")],
            [turn("user", "qr"), ASKED[1]],
        ),
        ([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], ASKED),
        ([{"from": "human", "value": "q", "weight": None}, {"from": "GPT", "value": "a"}], ASKED),
        ([turn("developer", "s"), *ASKED], [turn("system", "s"), *ASKED]),
        ([turn("User", "q"), turn("Assistant", "a")], ASKED),
        ([turn("user", "q"), turn("assistant", "a", weight=1.0)], [ASKED[0], turn("assistant", "a", weight=1)]),
        ([{"role": "user", "value": "q"}, {"role": "assistant", "value": "a"}], ASKED),
        ([{"role": "prompter", "text": "q"}, {"speaker": "Assistant: ", "text": "a"}], ASKED),
        ([turn("user", "q") | {"from": "human", "value": "q"}, turn("assistant", "a") | {"from": None, "value": None}], ASKED),
        ([turn("user", "q"), turn("assistant", 42.0)], [ASKED[0], turn("assistant", "42")]),
        ([turn("user", True), ASKED[1]], [turn("user", "true"), ASKED[1]]),
        ([turn("user", {"type": "text", "text": "q"}), turn("assistant", {"content_type": "text", "parts": ["a"]})], ASKED),
        ([turn("user", [{"type": "text", "text": "q"}, {"type": None, "text": None}, None]), ASKED[1]], ASKED),
        ([turn("system", ""), *ASKED], ASKED),
        ([{"from": "system", "value": None}, *ASKED], ASKED),
        ([turn("user", "q", weight=0, extra={}, reasoning_content=""), ASKED[1]], ASKED),
        ([*ASKED[:1], turn("assistant", "b", weight=0.0), *ASKED], [ASKED[0], turn("assistant", "b", weight=0), *ASKED]),
        ('[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": NaN}]', ASKED),
    ],
)
def test_every_way_of_writing_turns_is_taken_as_what_it_means(messages, ours):
    assert conversation(messages) == ours
    assert conversation(ours) == ours


def test_what_is_learned_asked_and_answered():
    assert learned(GOOD) == [4]
    assert question_key({"messages": GOOD}) == "a\nb\nc"
    assert answer_key({"messages": GOOD}) == "d"
    assert (question_key({"text": "A", "label": "B"}), answer_key({"text": "A", "label": "B"})) == ("a", "B")
    asked = {"instruction": "A", "response": "R", "text": "t", "label": "l"}
    assert (question_key(asked), answer_key(asked)) == ("a\n", "r")
