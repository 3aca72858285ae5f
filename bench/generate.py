"""Speed of generation: ours against Hugging Face's `generate`, one by one and in batches.

    python bench/generate.py                     # on a GPU: GPT-2 medium with random weights in bf16, a CUDA graph a step
    python bench/generate.py --model medical     # a model of params.yaml on real rows, in float32 on a CPU

Greedy, every answer of full length. On a GPU prompts have Alpaca's lengths (mean 51 tokens), and both sides are run once
before they are timed. One by one is timed on four prompts spread over all lengths.
"""

import argparse
import sys
import time
from itertools import islice
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench.shapes import rows
from stages.common.check_params import check
from stages.common.files import read_rows
from stages.common.params import read
from stages.common.schema_models import Generate
from stages.decoding.causal import batch_answers
from stages.models import directory, prompting


class Words:
    """A tokenizer with no end token: answers end at their limit."""

    eos_token_id = None

    def decode(self, tokens: list[int], **_) -> str:
        return " ".join(map(str, tokens))


def gpt2_medium() -> tuple[torch.nn.Module, list[list[int]]]:
    """Random weights on the GPU, and prompts of random tokens."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=1024, n_layer=24, n_head=16)).to("cuda", torch.bfloat16).eval()
    return model, [e.prompt for e in rows(128)]


def own(name: str) -> tuple[torch.nn.Module, list[list[int]]]:
    """A model of `params.yaml`, and the prompts of 32 test rows."""
    entry = check(read(), Path("params.yaml")).models[name]
    tokenizer = directory.load_tokenizer(Path("models", name))
    found = islice(read_rows(Path("data", entry.dataset, "formatted", "test")), 32)
    return directory.load(Path("models", name)), [prompting.encode_prompt(tokenizer, row["messages"]) for row in found]


def ready() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work) -> tuple[float, object]:
    """Seconds and the result; on a GPU of the second call."""
    if torch.cuda.is_available():
        work()
    ready()
    start = time.perf_counter()
    found = work()
    ready()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--model", help="a model of params.yaml")
    asked = parser.parse_args()
    model, prompts = own(asked.model) if asked.model else gpt2_medium()
    count, total = len(prompts), len(prompts) * asked.tokens
    model.generation_config.eos_token_id = None
    options = Generate(
        task="text",
        max_new_tokens=asked.tokens,
        min_new_tokens=0,
        temperature=0,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        batch_rows=count,
        precision="auto",
        probes=[],
        shots=0,
        seed=1,
    )

    def peer(some: list[list[int]]) -> torch.Tensor:
        ids, mask = batch_answers._padded(some, model.device)
        limits = {"min_new_tokens": asked.tokens, "max_new_tokens": asked.tokens, "do_sample": False, "pad_token_id": 0}
        return model.generate(input_ids=ids, attention_mask=mask, **limits)

    where = torch.cuda.get_device_name() if model.device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, {count} prompts, {asked.tokens} tokens each", flush=True)
    few = sorted(prompts, key=len)[count // 8 :: count // 4]
    seconds, _ = timed(lambda: [peer([prompt]) for prompt in few])
    one = len(few) * asked.tokens / seconds
    print(f"Hugging Face generate, one by one  {one:9,.0f} tok/s", flush=True)
    groups = batch_answers.groups(prompts, 32, 1 << 30)
    seconds, _ = timed(lambda: [peer([prompts[i] for i in group]) for group in groups])
    batched = total / seconds
    print(f"Hugging Face generate, batch 32    {batched:9,.0f} tok/s", flush=True)
    seconds, whole = timed(lambda: peer(prompts))
    print(f"Hugging Face generate, batch {count}   {total / seconds:9,.0f} tok/s", flush=True)
    seconds, answers = timed(lambda: batch_answers.answer(model, Words(), prompts, options, []))
    print(f"ours, batch {count}                    {total / seconds:9,.0f} tok/s", flush=True)
    theirs = whole[:, -asked.tokens :].tolist()
    same = sum(a.text == Words().decode(b) for a, b in zip(answers, theirs, strict=True))
    print(f"ratio to batch 32: {total / seconds / batched:.1f}; to one by one: {total / seconds / one:.0f}")
    print(f"answers equal to those of generate: {same} of {count} (ties break with the order of additions)")


if __name__ == "__main__":
    main()
