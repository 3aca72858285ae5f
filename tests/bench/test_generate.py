"""The benchmark of generation on a tiny shape: every peer has its line, and one that fails ends nothing."""

import sys

import pytest
from transformers import LlamaConfig

from bench import generate
from bench.shapes import VOCABULARY, Shape

TINY = LlamaConfig(
    vocab_size=VOCABULARY,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    pad_token_id=0,
)


def lines(monkeypatch, capsys, *options: str) -> list[str]:
    monkeypatch.setattr(generate, "shapes", lambda: {"tiny": Shape(TINY)})
    monkeypatch.setattr(sys, "argv", ["generate.py", "--shape", "tiny", "--rows", "4", "--tokens", "3", *options])
    generate.main()
    return capsys.readouterr().out.splitlines()


GENERATE = [name for name in generate.PEERS if name != "continuous"]


@pytest.mark.parametrize("options", [[], ["--prompt-tokens", "7"]], ids=str)
def test_all_ways_give_the_same_answers(monkeypatch, capsys, options):
    shown = lines(monkeypatch, capsys, "--peers", *GENERATE, *options)
    assert [line[:24].strip() for line in shown[1:5]] == [*(f"transformers, {name}" for name in GENERATE), "ours"]
    assert shown[5].startswith("ours: ") and "times the fastest peer" in shown[5]
    assert len(shown[6:]) == len(GENERATE) and all(": 4 of 4 " in line for line in shown[6:])
    assert not options or "4 prompts of 7 tokens" in shown[0]


def test_drawn_answers_are_not_compared(monkeypatch, capsys):
    shown = lines(monkeypatch, capsys, "--sampled", "--peers", GENERATE[0])
    assert "drawn" in shown[0] and len(shown) == 4


def test_a_peer_that_fails_leaves_the_others(monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no room\nfor more")

    monkeypatch.setitem(generate.PEERS, GENERATE[0], broken)
    shown = lines(monkeypatch, capsys, "--peers", *GENERATE[:2])
    assert shown[1].endswith("fails: RuntimeError: no room") and GENERATE[1] in shown[4]
