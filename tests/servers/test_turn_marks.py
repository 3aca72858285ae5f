"""Marks of the well-known families are told from what is only like them."""

import pytest

from stages.servers.turn_marks import first_mark

MARKS = """
    <|im_start|> <|im_end|> <|endoftext|> <|eot_id|> <|start_header_id|> <|end_header_id|> <|begin_of_text|> <|end|> <|user|>
    <|assistant|> <|END_OF_TURN_TOKEN|> <s> </s> [INST] [/INST] <<SYS>> <</SYS>> [TOOL_CALLS] [AVAILABLE_TOOLS]
    [/SYSTEM_PROMPT] <start_of_turn> <end_of_turn> <bos> <eos> <pad> <｜User｜> <｜end▁of▁sentence｜> <BOS_TOKEN> [|endofturn|]
    <|header_start|> <|start_of_role|> [gMASK] <sop> <eoh> <extra_id_0> <SPECIAL_12> <seed:bos> ]~b] [e~[ [EOS] [TOOL_CONTENT]
"""
LETTERS = [
    "",
    "a < b | c > d",
    "<b>bold</b>",
    "[INSTALL]",
    "x |> y <| z",
    "<strong>",
    "[1]",
    "<|>",
    "end_of_turn",
    "<S>",
    "[MASK]",
    "[PAD]",
    "[|x y|]",
]


@pytest.mark.parametrize("mark", MARKS.split())
def test_a_mark_is_found_wherever_it_stands(mark):
    for text in (mark, f"Write {mark} here.", f"a{mark}b", f"\n{mark}\n"):
        assert first_mark(["plain", text]) == mark


@pytest.mark.parametrize("text", LETTERS)
def test_what_is_no_mark_may_be_sent(text):
    assert first_mark([text]) == ""
