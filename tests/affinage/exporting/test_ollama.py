"""The Modelfile prompts as the chat template does, or none is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affinage.exporting import ollama
from stages.common.errors import StageError
from stages.common.schema_data import AlpacaFormat, CompletionFormat
from stages.models.prompting import adopt_template
from stages.prompts import style
from tests import tiny
from tests.models import shapes

COMPLETION = {"prompt_ending": " ->", "completion_start": " ", "completion_ending": " END", "shard_rows": 1000}
CONTRACTS = {
    "alpaca": style("alpaca").contract(AlpacaFormat(style="alpaca", preamble="", shard_rows=1000)),
    "preamble": style("alpaca").contract(AlpacaFormat(style="alpaca", preamble="Answer.", shard_rows=1000)),
    "completion": style("completion").contract(CompletionFormat(style="completion", **COMPLETION)),
    "own": {"chat_template": None},
}
PARTS = {}


def parts(name: str, begins: bool = False):
    """Taken apart once."""
    if (name, begins) not in PARTS:
        tokenizer = tiny.tokenizer(begins=begins)
        adopt_template(tokenizer, CONTRACTS[name]["chat_template"])
        PARTS[name, begins] = tokenizer, ollama.take_apart(tokenizer, Path("model"))
    return PARTS[name, begins]


texts = st.text(st.characters(exclude_categories=["C"]), min_size=1)
turns = st.lists(texts, min_size=1, max_size=5)


@given(name=st.sampled_from(sorted(CONTRACTS)), begins=st.booleans(), system=st.none() | texts, said=turns)
def test_the_parts_compose_what_the_chat_template_renders(name, begins, system, said):
    tokenizer, taken = parts(name, begins)
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    messages = ([] if system is None else [{"role": "system", "content": system}]) + messages
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert taken.compose(messages) == expected


def test_the_template_of_the_alpaca_style():
    assert ollama.template(parts("preamble")[1]) == (
        '{{ if ne (index .Messages 0).Role "system" }}Answer.\n\n{{ end }}'
        '{{ range .Messages }}{{ if eq .Role "system" }}{{ .Content }}\n\n'
        '{{ else if eq .Role "user" }}### Instruction:\n{{ .Content }}\n\n'
        '{{ else if eq .Role "assistant" }}### Response:\n{{ .Content }}</s>\n\n'
        "{{ end }}{{ end }}### Response:\n"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{{ loop.index }}\n{% endfor %}",
        "{{ messages[-1].content }}",
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}",
    ],
)
def test_a_template_that_does_more_is_refused(template):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(StageError, match="does more than"):
        ollama.take_apart(tokenizer, Path("model"))


def test_signs_of_go_templates_in_a_prompt_are_quoted():
    taken = ollama.Parts(("", ""), ("{{x}} ", '"""'), ("", ""), "", "")
    assert '{{ "{{x}} " }}{{ .Content }}{{ "\\"\\"\\"" }}' in ollama.template(taken)


def test_the_modelfile():
    options = tiny.generation(max_new_tokens=7, temperature=0.5, top_k=3, repetition_penalty=1.2, seed=4)
    named = ollama.parameters(options, [" END", 'a "b"'], 99)
    lines = ollama.modelfile("./w.gguf", "T", named).splitlines()
    assert lines[:2] == ["FROM ./w.gguf", 'TEMPLATE """T"""']
    for line in ("temperature 0.5", "top_k 3", "repeat_penalty 1.2", "seed 4", "num_predict 7", "num_ctx 99"):
        assert f"PARAMETER {line}" in lines
    assert lines[-2:] == ['PARAMETER stop " END"', 'PARAMETER stop """a "b""""']


@pytest.mark.parametrize("shape", ["gemma", "phi 3", "chatml", "llama 3", "mistral", "zephyr"])
def test_the_end_mark_of_a_template_is_a_stop_string_unless_it_is_the_end_token(shape):
    tokenizer = shapes.tokenizer(shape)
    ending = shapes.ENDS[shape]
    assert ollama.end_marks(tokenizer) == ([] if ending == tokenizer.eos_token else [ending])
