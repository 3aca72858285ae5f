"""Speed of generation on one GPU: ours (a CUDA graph a step) against Hugging Face's `generate`, one by one and in batches.

    python bench/generate_gpu.py [--rows 128] [--tokens 64] [--model DIRECTORY]

GPT-2 medium with random weights in bf16 unless a model directory is named; prompts of Alpaca's lengths (mean 51 tokens);
greedy, every answer of full length. Both sides are run once before they are timed.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench.train_gpu import rows
from stages.common.schema_models import Generate
from stages.decoding import local


class Words:
    """A tokenizer with no end token: answers end at their limit."""

    eos_token_id = None

    def decode(self, tokens: list[int], **_) -> str:
        return " ".join(map(str, tokens))


def load(folder: str | None) -> torch.nn.Module:
    if folder:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).cuda().eval()
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_embd=1024, n_layer=24, n_head=16)).to("cuda", torch.bfloat16).eval()


def timed(work) -> tuple[float, object]:
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    found = work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--model")
    asked = parser.parse_args()
    model = load(asked.model)
    model.generation_config.eos_token_id = None
    words = model.config.get_text_config().vocab_size
    prompts = [[token % words for token in e.prompt] for e in rows(asked.rows)]
    options = Generate(
        max_new_tokens=asked.tokens,
        min_new_tokens=0,
        temperature=0,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        batch_rows=asked.rows,
        precision="bf16",
        probes=[],
        shots=0,
        seed=1,
    )
    total = asked.rows * asked.tokens

    def peer(some: list[list[int]]) -> torch.Tensor:
        ids, mask = local._padded(some, model.device)
        limits = {"min_new_tokens": asked.tokens, "max_new_tokens": asked.tokens, "do_sample": False, "pad_token_id": 0}
        return model.generate(input_ids=ids, attention_mask=mask, **limits)

    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {asked.rows} prompts, {asked.tokens} new tokens",
        flush=True,
    )
    seconds, _ = timed(lambda: [peer([prompt]) for prompt in prompts[:4]])
    one = 4 * asked.tokens / seconds
    print(f"Hugging Face generate, one by one  {one:9,.0f} tok/s", flush=True)
    groups = local.groups(prompts, 32, 1 << 30)
    seconds, _ = timed(lambda: [peer([prompts[i] for i in group]) for group in groups])
    batched = total / seconds
    print(f"Hugging Face generate, batch 32    {batched:9,.0f} tok/s", flush=True)
    seconds, whole = timed(lambda: peer(prompts))
    print(f"Hugging Face generate, batch {asked.rows}   {total / seconds:9,.0f} tok/s", flush=True)
    seconds, answers = timed(lambda: local.answer(model, Words(), prompts, options, []))
    print(f"ours, batch {asked.rows}                    {total / seconds:9,.0f} tok/s", flush=True)
    theirs = whole[:, -asked.tokens :].tolist()
    same = sum(a.text == Words().decode(b) for a, b in zip(answers, theirs, strict=True))
    print(f"ratio to batch 32: {total / seconds / batched:.1f}; to one by one: {total / seconds / one:.0f}")
    print(f"answers equal to those of generate: {same} of {asked.rows} (bf16 ties break with the order of additions)")


if __name__ == "__main__":
    main()
