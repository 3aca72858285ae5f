import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stages.models.prompting import adopt_template, encode_prompt, render
from stages.prompts import Refused, completion
from stages.tasks.batches import encode
from tests import tiny
from tests.data_helpers import completion_params

PARAMS = completion_params()


def row(instruction: str, response: str = "Wheel", **more) -> dict:
    return {"id": "f#1", "task": "text", "instruction": instruction, "response": response, **more}


def tokenizer():
    own = tiny.tokenizer()
    adopt_template(own, completion.contract(PARAMS)["chat_template"])
    return own


def test_marks_end_the_prompt_and_the_answer():
    (formatted,) = completion.rows(row("The wheel squeaks.", input="2016 model"), PARAMS)
    assert formatted == {
        **{"id": "f#1", "task": "text", "messages": [{"role": "user", "content": "The wheel squeaks.\n\n2016 model"}]},
        "completion": " Wheel END",
    }
    assert render(tokenizer(), formatted["messages"]) == "The wheel squeaks.\n\n2016 model ->"
    contract = completion.contract(PARAMS)
    assert (contract["style"], contract["stop"], contract["prompt_ending"]) == ("completion", [" END"], " ->")


@pytest.mark.parametrize("text", ["a -> b", "a ->", " ->"])
def test_the_prompt_ending_is_refused_inside_a_prompt(text):
    for refused in (row(text), row("q", input=text)):
        with pytest.raises(Refused, match="prompt ending in the prompt"):
            completion.rows(refused, PARAMS)


def test_an_ending_that_begins_in_the_text_is_refused():
    with pytest.raises(Refused):
        completion.rows(row("a-"), completion_params(prompt_ending="--"))  # "a---" ends twice


def test_the_completion_ending_is_refused_inside_an_answer():
    for response in ("the END of it", "END"):
        with pytest.raises(Refused, match="completion ending in the completion"):
            completion.rows(row("q", response), PARAMS)
    assert completion.rows(row("the END of it"), PARAMS)  # in a prompt it ends nothing


marks = st.text(min_size=1, max_size=4)


@given(st.text(), st.text(), marks, marks, st.sampled_from(["", " "]))
def test_text_round_trips(question, answer, prompt_ending, ending, start):
    params = completion_params(prompt_ending=prompt_ending, completion_ending=ending, completion_start=start)
    try:
        (formatted,) = completion.rows(row(question, answer), params)
    except Refused:
        assume(False)
    whole = formatted["messages"][0]["content"] + prompt_ending + formatted["completion"]
    asked, _, rest = whole.partition(prompt_ending)
    assert (asked, rest.partition(ending)[0]) == (question, start + answer)


@given(st.text(), st.text(min_size=1))
def test_the_prompt_is_a_prefix_of_the_training_text(question, answer):
    try:
        (formatted,) = completion.rows(row(question, answer), PARAMS)
    except Refused:
        assume(False)
    words, messages = tokenizer(), formatted["messages"]
    example = encode(formatted, words, 100_000)
    assert example.prompt == encode_prompt(words, messages)
    whole = words.apply_chat_template([*messages, {"role": "assistant", "content": formatted["completion"]}], tokenize=False)
    assert words.decode(example.prompt + example.completion) == whole.removesuffix("\n\n")
    assert whole.startswith(f"{question} -> {answer} END</s>")


def test_several_turns_and_a_system_message():
    turns = [
        {"role": role, "content": text} for role, text in (("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    ]
    assert render(tokenizer(), turns) == "s\n\na ->b</s>\n\nc ->"
