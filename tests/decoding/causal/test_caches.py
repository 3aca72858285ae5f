"""Decoding in a CUDA graph, tried without a GPU: the kernel in plain words, and a graph that calls what it has recorded."""

from contextlib import contextmanager

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from stages.decoding.causal import batch_answers, caches
from stages.models import prompting
from stages.models.prompting import encode_prompt
from tests import tiny
from tests.varlen import instead_of_kernels

PROMPTS = [encode_prompt(tiny.tokenizer(), row["messages"]) for row in tiny.rows(5)]
PROMPTS += [PROMPTS[0][:5], [7], PROMPTS[1][3:9]]
WAYS = {
    "greedy": {},
    "long": {"max_new_tokens": 30},
    "one": {"max_new_tokens": 1},
    "at least": {"min_new_tokens": 9},
    "sampled": {"temperature": 0.9},
    "cut": {"temperature": 1.3, "top_k": 20, "top_p": 0.9},
    "penalized": {"repetition_penalty": 1.4},
}


class Recorded:
    """A CUDA graph: recording runs nothing, replaying runs what was recorded, on the same tensors."""

    graphs: list

    def __init__(self):
        self.graphs.append(self)
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.work()


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were recorded."""
    step, recording, Recorded.graphs = caches.Graphed._step, [], []

    @contextmanager
    def record(graph):
        recording.append(graph)
        yield
        recording.pop()

    def noted(self, tokens):
        logits = step(self, tokens)
        self.places -= 1  # nothing has happened yet
        recording[-1].work = lambda: logits.copy_(step(self, tokens))
        return logits

    monkeypatch.setattr(caches.Graphed, "_step", noted)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recorded)
    monkeypatch.setattr(caches, "recording", record)
    instead_of_kernels(monkeypatch)
    return Recorded.graphs


def answers(monkeypatch, kind, model, prompts=PROMPTS, stop=(), **options) -> list[batch_answers.Answer]:
    monkeypatch.setattr(caches, "steps", kind)
    return batch_answers.answer(model, tiny.tokenizer(), prompts, tiny.generation(**options), list(stop))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_answers_are_those_of_growing_caches(graphs, monkeypatch, architecture, way):
    growing, graphed = (
        answers(monkeypatch, kind, tiny.model(architecture), **WAYS[way]) for kind in (caches.Growing, caches.Graphed)
    )
    assert graphed == growing and any(answer.tokens for answer in growing)
    assert bool(graphs) == (way != "one")


def test_a_window_of_attention_is_kept(graphs, monkeypatch):
    both = [answers(monkeypatch, kind, tiny.windowed(6), max_new_tokens=20) for kind in (caches.Growing, caches.Graphed)]
    assert both[0] == both[1]
    assert both[0] != answers(monkeypatch, caches.Growing, tiny.model("mistral"), max_new_tokens=20)


def test_stop_strings_end_answers_in_the_middle_of_several_tokens(graphs, monkeypatch):
    whole = answers(monkeypatch, caches.Growing, tiny.model(), max_new_tokens=24)
    stop = [whole[0].text[4:6]]
    assert stop[0]
    growing, graphed = (
        answers(monkeypatch, kind, tiny.model(), stop=stop, max_new_tokens=24) for kind in (caches.Growing, caches.Graphed)
    )
    assert growing == graphed and growing != whole


def test_rows_that_have_ended_leave_and_the_others_go_on_in_a_new_graph(graphs, monkeypatch):
    growing = answers(monkeypatch, caches.Growing, tiny.model("phi"), max_new_tokens=40)
    ended = sorted(answer.tokens for answer in growing)
    words = [growing[i].text[:2] for i in range(6)]  # as stop strings these end most rows at once
    both = [
        answers(monkeypatch, kind, tiny.model("phi"), stop=words, max_new_tokens=40)
        for kind in (caches.Growing, caches.Graphed)
    ]
    assert both[0] == both[1] and sorted(answer.tokens for answer in both[0]) != ended
    assert len(graphs) > 1


@pytest.mark.parametrize("way", WAYS)
def test_several_tokens_are_written_before_anyone_looks(graphs, monkeypatch, way):
    looks, add = [], batch_answers._Writing.add
    monkeypatch.setattr(
        batch_answers._Writing, "add", lambda self, alive, tokens: looks.append(len(tokens[0])) or add(self, alive, tokens)
    )
    options = {"max_new_tokens": 20} | WAYS[way]
    replies = answers(monkeypatch, caches.Graphed, tiny.model(), PROMPTS[:1], **options)
    assert (
        max(looks) == min(caches.AT_ONCE, options["max_new_tokens"])
        and len(looks) <= -(-replies[0].tokens // caches.AT_ONCE) + 1
    )
    assert sum(graph.replays for graph in graphs) == sum(looks) - 1  # the first token comes from the prompt


def test_a_batch_works_with_what_the_last_one_of_its_size_has_left(graphs, monkeypatch):
    model = tiny.model()
    decoder = caches.Graphed(model, 20)
    options, recorded = tiny.generation(max_new_tokens=20), []
    for prompts in (PROMPTS, [[5, 6, 7], *PROMPTS[1:]], PROMPTS[:3], PROMPTS[:3], PROMPTS):
        replies = batch_answers.answer(model, tiny.tokenizer(), prompts, options, [], decoder)
        assert replies == answers(monkeypatch, caches.Growing, tiny.model(), prompts, max_new_tokens=20)
        recorded.append(len(graphs))
    assert recorded == [1, 1, 2, 2, 3]


def test_rows_that_left_are_there_again_in_the_next_batch(graphs, monkeypatch):
    model = tiny.model("phi")
    decoder = caches.Graphed(model, 40)
    growing = answers(monkeypatch, caches.Growing, tiny.model("phi"), max_new_tokens=40)
    words = [growing[i].text[:2] for i in range(6)]  # as stop strings these end most rows at once
    expected = answers(monkeypatch, caches.Growing, tiny.model("phi"), stop=words, max_new_tokens=40)
    options, recorded = tiny.generation(max_new_tokens=40), []
    for _ in range(2):
        assert batch_answers.answer(model, tiny.tokenizer(), PROMPTS, options, words, decoder) == expected
        recorded.append(len(graphs))
    assert recorded[1] == 2 * recorded[0] - 1 > 1  # that of the whole batch is there, those of the rows that went on are not


def test_rotary_embedding_that_changes_with_length_has_no_graphs(monkeypatch):
    monkeypatch.setattr(caches.kernels, "HERE", True)
    monkeypatch.setattr(caches.attention, "has_flash", lambda *_: True)
    model = tiny.model()
    assert isinstance(caches.steps(model, 4), caches.Graphed)
    model.model.rotary_emb.rope_type = "dynamic"
    assert isinstance(caches.steps(model, 4), caches.Growing)
    model.model.rotary_emb.rope_type = {"full_attention": "longrope"}
    assert isinstance(caches.steps(model, 4), caches.Growing)


def test_a_cpu_has_no_graphs():
    assert isinstance(caches.steps(tiny.model(), 4), caches.Growing)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi", "mistral"])
@torch.no_grad()
def test_keys_and_values_in_room_that_was_set_aside_are_those_that_grow(architecture):
    model, logits = tiny.model(architecture), {}
    ids, _ = batch_answers._padded(PROMPTS, model.device)
    for layer in (caches.Roomy, DynamicLayer):
        growing = caches.Growing(model, 2 * caches.SPARE)
        growing.layer = layer
        logits[layer] = [growing.first(ids, ids.new_ones(ids.shape))]
        for step in range(2 * caches.SPARE):
            if step in (0, 3, caches.SPARE + 1):  # rows leave while there is room, and where there is none
                lines = torch.arange(1, len(logits[layer][-1]))
                growing.keep(lines)
                logits[layer][-1] = logits[layer][-1][lines]
            logits[layer].append(growing.next(logits[layer][-1].argmax(-1)))
    assert (
        all(torch.equal(*both) for both in zip(*logits.values(), strict=True))
        and len(logits[DynamicLayer][-1]) == len(PROMPTS) - 3
    )


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi"])
def test_a_common_head_is_read_once_and_changes_nothing(architecture, monkeypatch):
    prompts = [[*range(3, 3 + prompting.HEAD), *prompt] for prompt in PROMPTS]
    said, read = [], []
    for head in (prompting.HEAD, 1000):
        monkeypatch.setattr(prompting, "HEAD", head)
        model = tiny.model(architecture)
        model.register_forward_pre_hook(lambda _, args, named: read[-1].append(named["input_ids"].numel()), with_kwargs=True)
        read.append([])
        said.append(answers(monkeypatch, caches.Growing, model, prompts, max_new_tokens=24))
    assert said[0] == said[1]
    head = len(prompts[0]) - len(PROMPTS[0])
    assert sum(read[1]) - sum(read[0]) == head * (len(prompts) - 1)


def test_a_window_is_counted_without_a_head(monkeypatch):
    prompts, said = [[*range(3, 3 + prompting.HEAD), *prompt] for prompt in PROMPTS], []
    for head in (prompting.HEAD, 1000):
        monkeypatch.setattr(prompting, "HEAD", head)
        said.append(answers(monkeypatch, caches.Growing, tiny.windowed(6), prompts, max_new_tokens=24))
    assert said[0] == said[1]


@pytest.mark.parametrize("headed", [False, True], ids=["apart", "headed"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi", "window"])
def test_prompts_read_a_few_at_a_time_have_the_same_answers_and_less_padding(monkeypatch, kind, headed):
    prompts = sorted(PROMPTS, key=len)
    prompts = [[*range(3, 3 + prompting.HEAD), *prompt] for prompt in prompts] if headed else prompts
    said, read = [], []
    for most in (40, 1000):
        monkeypatch.setattr(caches, "PROMPT_TOKENS", most)
        model = tiny.windowed(6) if kind == "window" else tiny.model(kind)
        model.register_forward_pre_hook(lambda _, args, named: read[-1].append(named["input_ids"].numel()), with_kwargs=True)
        read.append([])
        said.append(answers(monkeypatch, caches.Growing, model, prompts, max_new_tokens=24))
    assert said[0] == said[1]
    assert len(read[0]) > len(read[1]) + 2 and sum(read[0]) < sum(read[1])
