"""Whether llama.cpp and transformers agree on an exported model: rendered prompts, their tokens, and greedy answers."""

from pathlib import Path

import torch

from stages.decoding.causal.exported.llama_cpp import ask, serve
from stages.models.directory import load, load_tokenizer
from stages.models.prompting import before_end, encode_prompt, end_tokens, render


@torch.inference_mode()
def greedy(model, prompt: list[int], tokens: int, ends: set[int]) -> list[int]:
    """transformers' own answer."""
    written = model.generate(
        torch.tensor([prompt]),
        do_sample=False,
        max_new_tokens=tokens,
        repetition_penalty=1.0,
        eos_token_id=sorted(ends),
        pad_token_id=0,
    )
    return before_end(written[0, len(prompt) :].tolist(), ends)


def compare(folder: Path, file: Path, conversations: list[list[dict]], tokens: int) -> list[str]:
    """For each conversation `same`, or what differs: `prompt` (as rendered), `tokens` (of the prompt) or `answer`.

    llama.cpp answers first, and is gone before transformers comes: a large model is never in memory twice.
    """
    tokenizer = load_tokenizer(folder)
    prompts = [encode_prompt(tokenizer, messages) for messages in conversations]
    longest = max(map(len, prompts)) + tokens
    replies = _replies(file, longest, [(render(tokenizer, messages), messages) for messages in conversations], prompts, tokens)
    differences, model = [], load(folder)
    for prompt, reply in zip(prompts, replies, strict=True):
        if isinstance(reply, str):
            differences.append(reply)
            continue
        # llama.cpp also ends at tokens that it knows by name (<|endoftext|>), whatever the model's settings say
        ends = {*end_tokens(model, tokenizer), *tokenizer.all_special_ids}
        same = before_end(reply, ends) == greedy(model, prompt, tokens, ends)
        differences.append("same" if same else "answer")
    return differences


def _replies(
    file: Path, context: int, rendered: list[tuple[str, list[dict]]], prompts: list[list[int]], tokens: int
) -> list[list[int] | str]:
    """The tokens that llama.cpp answers each prompt with, or what differs before the answer."""
    server = serve(file, context, exact=True)
    address, options = server.listening_address, {"temperature": 0, "return_tokens": True, "cache_prompt": False}
    replies = []
    for (text, messages), prompt in zip(rendered, prompts, strict=True):
        if ask(address, "apply-template", messages=messages)["prompt"] != text:
            replies.append("prompt")
        elif ask(address, "tokenize", content=text, add_special=True, parse_special=True)["tokens"] != prompt:
            replies.append("tokens")
        else:
            replies.append(ask(address, "completion", prompt=prompt, n_predict=tokens, **options)["tokens"])
    return replies
