"""Marks of turns in texts for a server, whose tokenizer is not here. A text that holds a mark is not sent.

A server writes the chat template. Most servers then read template and texts in one piece, so that `<|im_end|>` in a question
ends the turn. No protocol has a way to say that a text is letters alone. Nor is it known which family of models answers. So the
marks of all well-known families are refused (source: their published tokenizers).
"""

import re
from collections.abc import Iterable

REFUSED = "refused: marks"  # the `finish` of an answer that was never asked for

MARKS = {  # patterns, by family
    "ChatML, Qwen, Llama 3 and 4, Phi, GPT, Zephyr, Falcon, Command R, Granite, OLMo": r"<\|[\w\-/.:]{1,64}\|>",
    "Llama 2, Mistral": r"</?s>|\[/?INST\]|<</?SYS>>",
    "Mistral": r"\[/?(?:AVAILABLE_TOOLS|TOOL_RESULTS|SYSTEM_PROMPT|MODEL_SETTINGS)\]",
    "Mistral, of tools": r"\[(?:TOOL_CALLS|TOOL_CONTENT|ARGS|CALL_ID)\]",
    "Command R": r"<(?:BOS|EOS|EOP|PAD|UNK|CLS|SEP|MASK)_TOKEN>",
    "EXAONE": r"\[\|[\w\-]{1,64}\|\]",
    "GLM": r"\[[gs]MASK\]|<(?:sop|eop)>",
    "InternLM, Nemotron, Seed": r"<eo[ha]>|<(?:extra_id|SPECIAL)_\d{1,4}>|<seed:\w{1,32}>",
    "MiniMax": r"\]~b\]|\]~!b\[|\[e~\[",
    "Kimi": r"\[(?:BOS|EOS|EOT)\]",
    "Gemma": r"<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|<turn\|>|<\|turn>",
    "DeepSeek": r"<｜[^｜<>]{1,64}｜>",
}
_MARK = re.compile("|".join(MARKS.values()))


def first_mark(texts: Iterable[str]) -> str:
    """The first mark of a well-known family in the texts; "" where there is none."""
    return next((mark[0] for text in texts if (mark := _MARK.search(text))), "")
