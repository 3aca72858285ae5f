"""Whether llama.cpp and transformers agree on an exported model: rendered prompts, their tokens, and greedy answers."""

from pathlib import Path

import requests
import torch

from stages.common.errors import StageError
from stages.models.directory import load, load_tokenizer
from stages.models.prompting import encode_prompt, end_tokens, render


def serve(file: Path, context: int):
    """llama.cpp's server in this process, computing in float32; `listening_address` says where.

    Raises:
        StageError: if the package is missing.
    """
    try:
        import xllamacpp
    except ImportError:
        raise StageError("xllamacpp", "not installed", "llama.cpp as a package", "pip install xllamacpp") from None
    options = xllamacpp.CommonParams()
    options.model.path, options.n_ctx, options.n_parallel = str(file), context, 1
    options.cache_type_k = options.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    options.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    options.n_gpu_layers, options.warmup, options.verbosity, options.fit_params = 0, False, 0, False
    return xllamacpp.Server(options)


def ask(address: str, route: str, **body) -> dict:
    """What the server replies."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy on the way to this machine
        reply = session.post(f"{address}/{route}", json=body, timeout=600)
    if not reply.ok:
        raise StageError(f"llama.cpp {route}", reply.text, "a reply", "")
    return reply.json()


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
    """For each conversation `same`, or what differs: `prompt` (as rendered), `tokens` (of the prompt) or `answer`."""
    model, tokenizer = load(folder), load_tokenizer(folder)
    prompts = [encode_prompt(tokenizer, messages) for messages in conversations]
    server = serve(file, max(map(len, prompts)) + tokens)
    return [
        _difference(server.listening_address, model, tokenizer, messages, prompt, tokens)
        for messages, prompt in zip(conversations, prompts, strict=True)
    ]


def _difference(address: str, model, tokenizer, messages: list[dict], prompt: list[int], tokens: int) -> str:
    rendered = ask(address, "apply-template", messages=messages)["prompt"]
    if rendered != render(tokenizer, messages):
        return "prompt"
    if ask(address, "tokenize", content=rendered, add_special=True, parse_special=True)["tokens"] != prompt:
        return "tokens"
    reply = ask(address, "completion", prompt=prompt, n_predict=tokens, temperature=0, return_tokens=True, cache_prompt=False)
    # llama.cpp also ends at tokens that it knows by name (<|endoftext|>), whatever the model's settings say
    ends = {*end_tokens(model, tokenizer), *tokenizer.all_special_ids}
    return "same" if visible(reply["tokens"], ends) == greedy(model, prompt, tokens, ends) else "answer"
