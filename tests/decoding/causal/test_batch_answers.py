import itertools
from types import SimpleNamespace

import pytest
import torch

from stages.common.errors import StageError
from stages.decoding.answers import Answer, latencies, too_long
from stages.decoding.causal import batch_answers, texts
from stages.decoding.causal.batch_answers import answer, groups
from stages.decoding.contestants import Contestant
from stages.models.prompting import adopt_template, encode_prompt, encode_turn, end_tokens
from stages.models.templates import turn
from tests import tiny
from tests.models import shapes

PROMPTS = [encode_prompt(tiny.tokenizer(), row["messages"]) for row in tiny.rows(4)]
PROMPTS += [PROMPTS[0][:5], [tiny.PAD, *PROMPTS[1][:9]], [7]]


def forced(text: str, strength: float = 1e4):
    """A model that always says the token of `text`."""
    model = tiny.model("phi")
    with torch.no_grad():
        model.lm_head.bias[tiny.tokenizer().convert_tokens_to_ids(text)] = strength
    return model


def by_transformers(model, prompt, **options) -> list[int]:
    """New tokens, the end token left out."""
    ids = torch.tensor([prompt])
    generated = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=tiny.PAD, **options)
    new = generated[0, len(prompt) :].tolist()
    return new[: new.index(tiny.EOS)] if tiny.EOS in new else new


@pytest.mark.parametrize("penalty", [1.0, 1.4])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_greedy_answers_equal_transformers_and_one_by_one(architecture, penalty):
    model, tokenizer = tiny.model(architecture), tiny.tokenizer()
    options = tiny.generation(max_new_tokens=20, repetition_penalty=penalty)
    together = answer(model, tokenizer, PROMPTS, options, [])
    assert together == [answer(model, tokenizer, [prompt], options, [])[0] for prompt in PROMPTS]
    for reply, prompt in zip(together, PROMPTS, strict=True):
        theirs = by_transformers(model, prompt, max_new_tokens=20, repetition_penalty=penalty)
        assert reply.text == tokenizer.decode(theirs, skip_special_tokens=True).strip()
        assert (reply.tokens, reply.prompt_tokens) == (len(theirs), len(prompt))
        assert reply.finish == ("length" if len(theirs) == 20 else "stop")


def test_padding_counts_as_no_repetition():
    """Token 0 fills up short prompts: only where a prompt holds it is it penalized."""
    model, options = forced("<pad>"), tiny.generation(max_new_tokens=1, repetition_penalty=2.0)
    with torch.no_grad():
        model.lm_head.bias[tiny.tokenizer().convert_tokens_to_ids("a")] = 8e3
    reply = answer(model, tiny.tokenizer(), [PROMPTS[0], [7], [tiny.PAD, 7], [7, tiny.PAD]], options, [])
    assert [a.text for a in reply] == ["", "", "a", "a"]


def test_rows_that_end_leave_the_others_alone():
    """An end token that comes sooner or later by row: the batch shrinks on the way."""
    model, tokenizer = tiny.model("phi"), tiny.tokenizer()
    with torch.no_grad():
        model.lm_head.bias[tiny.EOS] = 3.5
    options = tiny.generation(max_new_tokens=30)
    together = answer(model, tokenizer, PROMPTS, options, [])
    assert len({a.tokens for a in together}) > 2 and {a.finish for a in together} >= {"stop"}
    for reply, prompt in zip(together, PROMPTS, strict=True):
        assert reply.tokens == len(by_transformers(model, prompt, max_new_tokens=30))
        assert reply == answer(model, tokenizer, [prompt], options, [])[0]


def test_an_end_token_is_no_part_of_the_answer():
    assert answer(forced("</s>"), tiny.tokenizer(), PROMPTS[:2], tiny.generation(), []) == [
        Answer("", 0, len(prompt), "stop") for prompt in PROMPTS[:2]
    ]


def test_min_and_max_new_tokens():
    model, tokenizer = forced("</s>"), tiny.tokenizer()
    for least in (1, 5):
        replies = answer(model, tokenizer, PROMPTS, tiny.generation(min_new_tokens=least), [])
        assert {(a.tokens, a.finish) for a in replies} == {(least, "stop")}
        theirs = by_transformers(model, PROMPTS[0], max_new_tokens=12, min_new_tokens=least)
        assert replies[0].text == tokenizer.decode(theirs, skip_special_tokens=True).strip()
    replies = answer(forced("a"), tokenizer, PROMPTS, tiny.generation(max_new_tokens=7), [])
    assert {(a.text, a.tokens, a.finish) for a in replies} == {("aaaaaaa", 7, "length")}


@pytest.mark.parametrize(
    ("stop", "text", "tokens"),
    [(["aaa"], "", 3), (["b", "aa"], "", 2), (["b"], "aaaaa", 5), ([], "aaaaa", 5)],
)
def test_stop_strings_may_span_tokens(stop, text, tokens):
    (reply,) = answer(forced("a"), tiny.tokenizer(), PROMPTS[:1], tiny.generation(max_new_tokens=5), stop)
    assert (reply.text, reply.tokens) == (text, tokens)
    assert reply.finish == ("length" if tokens == 5 else "stop")


def test_the_text_ends_before_the_first_stop_string():
    model, tokenizer, options = tiny.model(), tiny.tokenizer(), tiny.generation(max_new_tokens=30)
    (whole,) = answer(model, tokenizer, PROMPTS[:1], options, [])
    stop = whole.text[6:9]
    (reply,) = answer(model, tokenizer, PROMPTS[:1], options, [stop, "no such text"])
    assert reply.text == whole.text[: whole.text.index(stop)].strip()
    assert reply.finish == "stop" and reply.tokens < whole.tokens


def test_what_the_template_writes_before_each_answer_is_no_part_of_it_though_marks_are_in_it():
    tokenizer = shapes.tokenizer("harmony")
    adopt_template(tokenizer, None)
    assert turn(tokenizer).lead == "<|channel|>final<|message|>"
    asked = [{"role": "user", "content": "What is the colour of the apple?"}]
    for said in ("The apple is red.", "final: red"):
        written = encode_turn(tokenizer, asked, said).answer[:-1]
        writing = batch_answers._Writing(tokenizer, set(), [], turn(tokenizer).lead, 99, [written], ["stop"], [0.0])
        assert writing.answers([[1]])[0].text == said
        contestant = Contestant("tuned", None, tokenizer, [])
        assert texts.said(contestant, tokenizer.decode(written)) == said
        assert texts.said(contestant, tokenizer.decode(written, skip_special_tokens=True)) == said  # as servers do


def test_a_prompt_with_a_token_that_the_model_has_no_row_for_is_named():
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens([f"<new {number}>" for number in range(10)])
    with pytest.raises(StageError, match="<new 9>(.|\n)*below 336"):
        answer(tiny.model(), tokenizer, [PROMPTS[0], [7, len(tokenizer) - 1]], tiny.generation(), [])


def test_every_end_token_of_the_generation_settings_counts():
    model, tokenizer = forced("a"), tiny.tokenizer()
    extra = tokenizer.convert_tokens_to_ids("a")
    model.generation_config.eos_token_id = [extra, tiny.EOS]
    assert end_tokens(model, tokenizer) == sorted({extra, tiny.EOS})
    (reply,) = answer(model, tokenizer, PROMPTS[:1], tiny.generation(), [])
    assert (reply.tokens, reply.finish) == (0, "stop")
    model.generation_config.eos_token_id = None
    assert end_tokens(model, tokenizer) == [tiny.EOS]


def test_sampling_depends_on_neither_company_nor_order():
    model, tokenizer = tiny.model(), tiny.tokenizer()
    options = tiny.generation(temperature=0.8, top_k=20, top_p=0.95, repetition_penalty=1.2)
    together = answer(model, tokenizer, PROMPTS, options, [])
    assert together == [answer(model, tokenizer, [prompt], options, [])[0] for prompt in PROMPTS]
    assert together[::-1] == answer(model, tokenizer, PROMPTS[::-1], options, [])
    assert together != answer(model, tokenizer, PROMPTS, tiny.generation(temperature=0.8, top_k=20, seed=2), [])
    assert together != answer(model, tokenizer, PROMPTS, tiny.generation(), [])


def test_an_answer_takes_as_long_as_its_batch_until_it_ends(monkeypatch):
    """By a clock that ticks once a step; the end token is a step, too."""
    ticks = itertools.count()
    monkeypatch.setattr(batch_answers, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    model = tiny.model("phi")
    with torch.no_grad():
        model.lm_head.bias[tiny.EOS] = 3.5
    replies = answer(model, tiny.tokenizer(), PROMPTS, tiny.generation(max_new_tokens=30), [])
    assert [a.seconds for a in replies] == [a.tokens + (a.finish == "stop") for a in replies]
    assert len({a.seconds for a in replies}) > 2


def test_latencies_leave_out_what_was_never_answered():
    replies = [Answer("", 5, 1, "stop", seconds) for seconds in (1.0, 4.0, 2.0)] + [too_long([1])]
    speed = latencies(replies)
    assert (speed["latency_median"], speed["latency_highest"]) == (2.0, 4.0)
    assert latencies([]) == {"latency_median": 0.0, "latency_highest": 0.0}


def test_the_seconds_are_no_part_of_an_answer():
    assert Answer("a", 1, 2, "stop", 3.0) == Answer("a", 1, 2, "stop", 4.0)
    assert Answer("a", 1, 2, "stop", 3.0).content() == {"text": "a", "tokens": 1, "prompt_tokens": 2, "finish": "stop"}


def test_groups_are_of_like_length_and_hold_every_prompt_that_fits():
    prompts = [[1] * length for length in (9, 2, 5, 2, 30, 7, 31)]
    assert groups(prompts, 2, 30) == [[1, 3], [2, 5], [0, 4]]
    assert groups(prompts, 100, 30) == [[1, 3, 2, 5, 0, 4]]
    assert groups([], 2, 30) == groups([[1, 1]], 2, 1) == []


def test_too_long_says_so():
    assert too_long([5, 6]) == Answer("", 0, 2, "prompt too long")
