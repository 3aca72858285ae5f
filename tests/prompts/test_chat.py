from hypothesis import given
from hypothesis import strategies as st

from stages.common.conversations import NotUsable, conversation
from stages.models.prompting import adopt_template, encode_prompt, render
from stages.prompts import chat
from stages.tasks.batches import encode
from tests import tiny
from tests.data_helpers import chat_params


def turn(role: str, content: str, **more) -> dict:
    return {"role": role, "content": content, **more}


def row(*messages: dict, **more) -> dict:
    return {"id": "f#1", "task": "text", "messages": list(messages), **more}


def test_a_conversation_ends_with_its_last_turn_to_learn():
    messages = [turn("system", "s"), turn("user", "a", name="ann"), turn("assistant", "b", weight=1), turn("user", "left out")]
    assert chat.rows(row(*messages, paraphrase="c"), chat_params()) == [
        {
            **{"id": "f#1", "task": "text", "messages": [turn("system", "s"), turn("user", "a", name="ann")]},
            **{"completion": "b", "paraphrase": "c"},
        }
    ]


def test_earlier_turns_to_learn_are_rows_of_their_own():
    turns = [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d", weight=0)]
    turns += [turn("user", "e"), turn("assistant", "f", weight=1)]
    first, last = chat.rows(row(*turns, paraphrase="p"), chat_params())
    assert (first["id"], [t["content"] for t in first["messages"]], first["completion"]) == ("f#1/turn1", ["a"], "b")
    assert (last["id"], [t["content"] for t in last["messages"]], last["completion"]) == ("f#1", list("abcde"), "f")
    assert "paraphrase" not in first and last["paraphrase"] == "p"
    assert not any("weight" in t for t in last["messages"])


def test_questions_and_answers_become_conversations():
    plain = {"id": "f#1", "task": "text", "instruction": "q", "input": "i", "response": "r"}
    (formatted,) = chat.rows(plain, chat_params(system="Be brief."))
    assert formatted["messages"] == [turn("system", "Be brief."), turn("user", "q\n\ni")]
    assert formatted["completion"] == "r"
    own = row(turn("system", "own"), turn("user", "a"), turn("assistant", "b"))
    assert chat.rows(own, chat_params(system="Be brief."))[0]["messages"][0]["content"] == "own"


def usable(turns: list[dict]) -> bool:
    """Whether the turns are a conversation."""
    try:
        conversation(turns)
    except NotUsable:
        return False
    return True


some_turns = st.lists(
    st.builds(lambda text: turn("user", text), st.text(min_size=1, max_size=5))
    | st.builds(
        lambda text, weight: turn("assistant", text) | weight,
        st.text(min_size=1, max_size=5),
        st.sampled_from([{}, {"weight": 0}, {"weight": 1}]),
    ),
    max_size=8,
).filter(usable)


@given(some_turns)
def test_every_weighted_turn_is_learned_once_and_no_other(turns):
    rows = chat.rows(row(*turns), chat_params())
    learned = {len(part["messages"]): part["completion"] for part in rows}
    assert learned == {i: t["content"] for i, t in enumerate(turns) if t["role"] == "assistant" and t.get("weight", 1)}
    assert len(learned) == len(rows) == len({part["id"] for part in rows})
    for part in rows:
        assert [t["content"] for t in part["messages"]] == [t["content"] for t in turns[: len(part["messages"])]]


@given(some_turns)
def test_the_prompt_is_a_prefix_of_the_training_text_under_the_base_s_own_template(turns):
    words = tiny.tokenizer()
    adopt_template(words, chat.contract(chat_params())["chat_template"])
    assert words.chat_template == tiny.CHAT
    for part in chat.rows(row(*turns), chat_params()):
        whole = words.apply_chat_template([*part["messages"], turn("assistant", part["completion"])], tokenize=False)
        assert whole.startswith(render(words, part["messages"]) + part["completion"])
        assert encode(part, words, 100_000).prompt == encode_prompt(words, part["messages"])
