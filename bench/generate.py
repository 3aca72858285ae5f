"""Speed of generation: ours against the ways of Hugging Face's transformers, set up as an expert would.

    python bench/generate.py                                   # on a GPU: SmolLM2-360M's shape and GPT-2 medium
    python bench/generate.py --shape smollm2-360m --rows 512 --tokens 128
    python bench/generate.py --rows 64 --prompt-tokens 2000    # long prompts, all of one length
    python bench/generate.py --sampled --top-k 50 --top-p 0.95  # drawn at temperature 0.8
    python bench/generate.py --model medical                   # a model of params.yaml on real rows

Every answer has its full length. Prompts have Alpaca's lengths (mean 51 tokens). Weights are random and in bf16 on a GPU, in
float32 on a CPU. On a GPU every contestant runs once before it is timed. One that takes under 2 seconds is timed three times,
and the median counts. Peers: generate_peers.py. The ratio is that to the fastest of them.
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench.generate_peers import PEERS, released
from bench.shapes import VOCABULARY, rows, shapes
from stages.common.check_params import check
from stages.common.files import read_rows
from stages.common.params import read
from stages.common.schema_models import Generate
from stages.decoding import products
from stages.decoding.causal import batch_answers, caches
from stages.models import directory, prompting, runtime

Tokens = list[list[int]]
TEMPERATURE = 0.8  # of drawn answers


class Letters:
    """A tokenizer with a letter for each token, and no end token: answers end at their limit."""

    eos_token_id = None
    chat_template = None

    def decode(self, tokens: list[int], **_) -> str:
        return (np.array(tokens, np.uint32) + 0x10000).tobytes().decode("utf-32")


def random_prompts(asked: argparse.Namespace) -> Tokens:
    """Random tokens, with Alpaca's lengths or all of one length. They are sorted by length, as the stage does it."""
    if not asked.prompt_tokens:
        return sorted((row.prompt for row in rows(asked.rows)), key=len)
    return np.random.default_rng(1).integers(0, VOCABULARY, (asked.rows, asked.prompt_tokens)).tolist()


def own_prompts(name: str, count: int) -> Tokens:
    """The prompts of test rows of a model of `params.yaml`."""
    entry = check(read(), Path("params.yaml")).models[name]
    tokenizer = directory.load_tokenizer(Path("models", name))
    test = islice(read_rows(Path("data", entry.dataset, "formatted", "test")), count)
    return [prompting.encode_prompt(tokenizer, row["messages"]) for row in test]


def loader(name: str, own: bool) -> Callable[[], PreTrainedModel]:
    """What makes a model anew, so that no contestant changes another's."""
    if own:
        return lambda: directory.load(Path("models", name))
    gpu = torch.cuda.is_available()
    return lambda: shapes()[name].model(torch.bfloat16 if gpu else torch.float32, "cuda" if gpu else "cpu").eval()


def ours(model: PreTrainedModel, prompts: Tokens, asked: argparse.Namespace) -> Callable[[], list[str]]:
    """What answers all prompts, as the stage answers a batch: what is set up for the first one serves all."""
    options = Generate(
        task="text",
        max_new_tokens=asked.tokens,
        min_new_tokens=0,
        temperature=TEMPERATURE if asked.sampled else 0,
        top_k=asked.top_k,
        top_p=asked.top_p,
        repetition_penalty=1.0,
        batch_rows=len(prompts),
        precision="auto",
        probes=[],
        shots=0,
        seed=1,
    )
    decoder = caches.steps(model, asked.tokens)
    return lambda: [answer.text for answer in batch_answers.answer(model, Letters(), prompts, options, [], decoder)]


def theirs(asked: argparse.Namespace) -> GenerationConfig:
    """The same settings in transformers' words."""
    drawn = {"temperature": TEMPERATURE, "top_k": asked.top_k, "top_p": asked.top_p} if asked.sampled else {}
    return GenerationConfig(do_sample=asked.sampled, max_new_tokens=asked.tokens, pad_token_id=0, **drawn)


def ready() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], list]) -> tuple[float, list]:
    """Seconds and the result."""
    if torch.cuda.is_available():
        work()
    times = []
    while len(times) < (3 if times and times[0] < 2 else 1):
        ready()
        start = time.perf_counter()
        result = work()
        ready()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def measure(title: str, work: Callable[[], list], total: int) -> tuple[float, list] | None:
    """Time one contestant and print its line: (tokens a second, answers), or None where a peer fails."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    try:
        seconds, answers = timed(work)
    except Exception as error:  # whatever a peer stumbles over, the others are still to be measured
        if title.startswith("ours"):
            raise
        print(f"{title:24} fails: {type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}", flush=True)
        return None
    memory = runtime.memory(runtime.device())
    whole = time.perf_counter() - begun
    print(f"{title:24} {total / seconds:9,.0f} tok/s  {memory}  {whole:.1f} s with the first call", flush=True)
    return total / seconds, answers


def run(name: str, asked: argparse.Namespace) -> None:
    """All contestants on one model."""
    prompts = own_prompts(name, asked.rows) if asked.model else random_prompts(asked)
    load, total = loader(name, bool(asked.model)), len(prompts) * asked.tokens
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    size = f"{len(prompts)} prompts of {np.mean([*map(len, prompts)]):.0f} tokens, {asked.tokens} new ones each"
    way = f"drawn, top_k {asked.top_k}, top_p {asked.top_p}" if asked.sampled else "greedy"
    print(f"{where}, torch {torch.__version__}; {name}, {size}, {way}", flush=True)
    done = {}
    for title in asked.peers:
        model = load()
        model.generation_config.eos_token_id = None
        settings = theirs(asked)
        with released(model):
            if result := measure(f"transformers, {title}", lambda: PEERS[title](model, prompts, settings), total):  # noqa: B023
                done[title] = result
        del model
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
    model = products.lay_out(load())  # on a CPU
    model.generation_config.eos_token_id = None
    runtime.deterministic()
    speed, answers = measure("ours", ours(model, prompts, asked), total)
    runtime.deterministic(False)
    compare(speed, answers, done, asked.sampled)


def compare(speed: float, answers: list[str], done: dict[str, tuple[float, Tokens]], sampled: bool) -> None:
    """The ratio to the fastest peer, and how many answers are those of each."""
    if done:
        strongest = max(done, key=lambda title: done[title][0])
        print(f"ours: {speed / done[strongest][0]:.2f} times the fastest peer ({strongest})")
    for title, (_, tokens) in {} if sampled else done.items():
        same = sum(a == Letters().decode(b) for a, b in zip(answers, tokens, strict=True))
        print(f"the same answers as {title}: {same} of {len(answers)} (ties break with the order of additions)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=list(shapes()), default=["smollm2-360m", "gpt2-medium"])
    parser.add_argument("--model", help="a model of params.yaml, instead of a shape")
    parser.add_argument("--rows", type=int, default=128, help="prompts, all answered at once")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens of each answer")
    parser.add_argument("--prompt-tokens", type=int, help="of every prompt (default: Alpaca's lengths)")
    parser.add_argument("--sampled", action="store_true", help=f"draw answers at temperature {TEMPERATURE}")
    parser.add_argument("--top-k", type=int, default=0, help="draw from so many best tokens (0: all)")
    parser.add_argument("--top-p", type=float, default=1.0, help="draw from the fewest tokens of so much probability")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    asked = parser.parse_args()
    for name in [asked.model] if asked.model else asked.shape:
        run(name, asked)


if __name__ == "__main__":
    main()
