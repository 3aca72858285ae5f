"""Answers of a model on this machine: batched by length, cached keys and values, finished rows leave early."""

from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from stages.common.schema_models import Generate
from stages.decoding.sampling import choose, penalize, stream


@dataclass(frozen=True)
class Answer:
    """`finish`: `stop` (end token or stop string), `length` (maximum reached) or `prompt too long` (no answer made)."""

    text: str
    tokens: int
    prompt_tokens: int
    finish: str


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends an answer: the tokenizer's and those that the model's generation settings name."""
    named = model.generation_config.eos_token_id
    named = named if isinstance(named, list) else [] if named is None else [named]
    return sorted({*named, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])})


def groups(prompts: list[list[int]], batch_rows: int, longest: int) -> list[list[int]]:
    """Which prompts are answered together: like lengths, shortest first. Prompts over `longest` tokens are in no group."""
    fitting = [i for i in sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i)) if len(prompts[i]) <= longest]
    return [fitting[start : start + batch_rows] for start in range(0, len(fitting), batch_rows)]


def too_long(prompt: list[int]) -> Answer:
    """What stands for an answer where the prompt leaves no room for one."""
    return Answer("", 0, len(prompt), "prompt too long")


@torch.inference_mode()
def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    options: Generate,
    stop: list[str],
) -> list[Answer]:
    """Answers to a group of prompts (token ids), in their order."""
    longest = max(map(len, prompts))
    ends = torch.tensor(end_tokens(model, tokenizer), dtype=torch.long)
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):  # padded on the left, so that all rows go on at the same column
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    ids, mask, ends = ids.to(model.device), mask.to(model.device), ends.to(model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    seen = None
    if options.repetition_penalty != 1:
        seen = torch.zeros((len(prompts), model.get_input_embeddings().num_embeddings), dtype=torch.bool, device=model.device)
        seen.scatter_(1, ids, mask.bool())
        seen[:, 0] = torch.tensor([0 in prompt for prompt in prompts], device=model.device)  # padding wrote here
    streams = [stream(options.seed, str(prompt)) for prompt in prompts]
    written: list[list[int]] = [[] for _ in prompts]
    finish = ["length"] * len(prompts)
    alive = list(range(len(prompts)))  # which prompt each line of the batch belongs to
    cache = DynamicCache()

    for made in range(options.max_new_tokens):
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        if seen is not None:
            logits = penalize(logits, seen[:, : logits.shape[-1]], options.repetition_penalty)
        if made < options.min_new_tokens:
            logits[:, ends] = -torch.inf
        tokens = choose(logits, options, [streams[row] for row in alive])
        keep = []
        for line, (row, token, ended) in enumerate(zip(alive, tokens.tolist(), torch.isin(tokens, ends).tolist(), strict=True)):
            if not ended:
                written[row].append(token)
                ended = bool(stop) and any(text in tokenizer.decode(written[row]) for text in stop)
            if ended:
                finish[row] = "stop"
            else:
                keep.append(line)
        if not keep:
            break
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], 1)
        positions = positions[:, -1:] + 1
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        if len(keep) < len(alive):
            index = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(index)
            alive, tokens, mask, positions = [alive[i] for i in keep], tokens[index], mask[index], positions[index]
            seen = None if seen is None else seen[index]
        ids = tokens[:, None]
    return [
        Answer(until(tokenizer.decode(tokens, skip_special_tokens=True), stop).strip(), len(tokens), len(prompt), end)
        for tokens, prompt, end in zip(written, prompts, finish, strict=True)
    ]


def until(text: str, stop: list[str]) -> str:
    """`text` up to the first stop string."""
    places = [text.find(end) for end in stop if end in text]
    return text[: min(places)] if places else text
