"""Whether llama.cpp and transformers agree on an exported model: rendered prompts, their tokens, and greedy answers."""

from pathlib import Path

import torch

from stages.decoding.causal.exported.llama_cpp import ask, serve
from stages.models.directory import load, load_tokenizer
from stages.models.prompting import encode_prompt, end_tokens, render


def visible(tokens: list[int], ends: set[int]) -> list[int]:
    """Tokens before the first end token."""
    return next((tokens[:place] for place, token in enumerate(tokens) if token in ends), tokens)


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
    return visible(written[0, len(prompt) :].tolist(), ends)


def compare(folder: Path, file: Path, conversations: list[list[dict]], tokens: int) -> list[str]:
    """For each conversation `same`, or what differs: `prompt` (as rendered), `tokens` (of the prompt) or `answer`.

    The weights of transformers go before llama.cpp's come: a large model is never in memory twice.
    """
    tokenizer = load_tokenizer(folder)
    prompts = [encode_prompt(tokenizer, messages) for messages in conversations]
    model = load(folder)
    # llama.cpp also ends at tokens that it knows by name (<|endoftext|>), whatever the model's settings say
    ends = {*end_tokens(model, tokenizer), *tokenizer.all_special_ids}
    answers = [greedy(model, prompt, tokens, ends) for prompt in prompts]
    del model
    server = serve(file, max(map(len, prompts)) + tokens, exact=True)

    def difference(messages: list[dict], prompt: list[int], answer: list[int]) -> str:
        rendered = ask(server.listening_address, "apply-template", messages=messages)["prompt"]
        if rendered != render(tokenizer, messages):
            return "prompt"
        read = ask(server.listening_address, "tokenize", content=rendered, add_special=True, parse_special=True)["tokens"]
        if read != prompt:
            return "tokens"
        written = {"n_predict": tokens, "temperature": 0, "return_tokens": True, "cache_prompt": False}
        reply = ask(server.listening_address, "completion", prompt=prompt, **written)
        return "same" if visible(reply["tokens"], ends) == answer else "answer"

    return [difference(*row) for row in zip(conversations, prompts, answers, strict=True)]
