import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.schema_data import AlpacaFormat
from stages.models.directory import load, load_tokenizer, save
from stages.models.prompting import adopt_template, encode_prompt, read_prompt, render, write_prompt
from stages.prompts import style
from stages.tasks.batches import encode
from tests import tiny

ROW = tiny.rows(1)[0]
PROMPT = "### Instruction:\nWhat is the colour of apple 0?\n\n### Response:\n"


def adopted(begins: bool = False):
    tokenizer = tiny.tokenizer(begins)
    adopt_template(tokenizer, tiny.CONTRACT["chat_template"])
    return tokenizer


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_saved_template_renders_the_prompt_trained_on(tmp_path, architecture, begins):
    base, tuned = tiny.base(tmp_path / "base", architecture, begins=begins), tmp_path / "tuned"
    tokenizer = load_tokenizer(base)
    adopt_template(tokenizer, tiny.CONTRACT["chat_template"])
    trained = encode(ROW, tokenizer, 128).prompt
    tuned.mkdir()
    save(tuned, load(base), tokenizer)
    served = load_tokenizer(tuned)
    assert render(served, ROW["messages"]) == tokenizer.decode(trained) == "<s>" * begins + PROMPT
    chat = served.apply_chat_template(ROW["messages"], add_generation_prompt=True, return_dict=False)
    assert chat == encode_prompt(served, ROW["messages"]) == trained


@given(st.text(), st.text(min_size=1))
def test_the_prompt_is_a_prefix_of_the_training_text(question, answer):
    tokenizer, messages = adopted(), [{"role": "user", "content": question}]
    example = encode({"id": "a", "messages": messages, "completion": answer}, tokenizer, 100_000)
    assert example.prompt == encode_prompt(tokenizer, messages)
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": answer}], tokenize=False)
    assert tokenizer.decode(example.prompt + example.completion) == whole.removesuffix("\n\n")


def test_a_tokenizer_that_begins_texts_keeps_doing_so_once():
    tokenizer = adopted(begins=True)
    for _ in range(3):  # rounds
        assert encode_prompt(tokenizer, ROW["messages"]).count(tiny.BOS) == 1
        assert encode_prompt(tokenizer, ROW["messages"])[0] == tiny.BOS
        adopt_template(tokenizer, tiny.CONTRACT["chat_template"])
    assert tiny.BOS not in encode_prompt(adopted(), ROW["messages"])


@pytest.mark.parametrize("preamble", ['Answer "well".', "Deux lignes:\n1. é\\n {{ x }} {% if %}"])
def test_a_preamble_stands_before_the_first_heading_alone(preamble):
    contract = style("alpaca").contract(AlpacaFormat(style="alpaca", preamble=preamble, shard_rows=1))
    tokenizer = tiny.tokenizer()
    adopt_template(tokenizer, contract["chat_template"])
    assert render(tokenizer, ROW["messages"]) == f"{preamble}\n\n{PROMPT}"
    system = [{"role": "system", "content": "Be brief."}, *ROW["messages"]]
    assert render(tokenizer, system) == f"Be brief.\n\n{PROMPT}"


def test_no_template_keeps_the_tokenizer_s_own_and_needs_one():
    tokenizer = tiny.tokenizer(begins=True)
    adopt_template(tokenizer, None)
    assert tokenizer.chat_template == tiny.CHAT
    with pytest.raises(StageError, match="no chat template[^$]*format.style"):
        adopt_template(tiny.tokenizer(chat=None), None)


def test_contract_round_trip(tmp_path):
    assert read_prompt(tmp_path) == {"style": "chat", "stop": []}
    write_prompt(tmp_path, {**tiny.CONTRACT, "stop": ["###"]})
    assert read_prompt(tmp_path) == {"style": "alpaca", "stop": ["###"]}
