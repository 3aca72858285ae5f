"""Models of well-known shapes with random weights, and rows with Alpaca's lengths: what the benchmarks on a GPU work on."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PhiConfig, PretrainedConfig, PreTrainedModel

from stages.tasks.batches import Example

VOCABULARY = 49152  # of the rows' tokens: every shape knows so many


@dataclass(frozen=True)
class Shape:
    """A configuration, and how many weights a token of a row is multiplied by: those of all blocks."""

    config: PretrainedConfig

    def model(self, dtype: torch.dtype = torch.float32, device: str = "cuda") -> PreTrainedModel:
        """Random weights, the same ones each time."""
        torch.manual_seed(0)
        with torch.device(device):
            return AutoModelForCausalLM.from_config(self.config, dtype=dtype)

    def operations(self, tokens: int, answers: int, passes: float) -> float:
        """Of `tokens` through the blocks and `answers` through the output matrix; a pass is 2 operations a weight."""
        config = self.config
        width, inner = config.hidden_size, getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        shared = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        attention = 2 * width * width * (1 + shared / config.num_attention_heads)
        matrices = 3 if config.model_type == "llama" else 2
        blocks = config.num_hidden_layers * (attention + matrices * width * inner)
        return 2 * passes * (blocks * tokens + width * config.vocab_size * answers)


def _llama(vocabulary: int, width: int, inner: int, layers: int, heads: int, shared: int, tied: bool) -> Shape:
    return Shape(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=shared,
            max_position_embeddings=8192,
            tie_word_embeddings=tied,
            pad_token_id=0,
        )
    )


def shapes() -> dict[str, Shape]:
    """By the names that people know them by."""
    dropout = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
    return {
        "gpt2-medium": Shape(GPT2Config(n_embd=1024, n_layer=24, n_head=16, **dropout)),
        "smollm2-360m": _llama(49152, 960, 2560, 32, 15, 5, tied=True),
        "phi-2": Shape(
            PhiConfig(vocab_size=51200, hidden_size=2560, intermediate_size=10240, num_hidden_layers=32, num_attention_heads=32)
        ),
        "yi-6b": _llama(64000, 4096, 11008, 32, 32, 4, tied=False),
        "llama3-8b": _llama(128256, 4096, 14336, 32, 32, 8, tied=False),
    }


def rows(count: int) -> list[Example]:
    """Random tokens in rows with the lengths of Alpaca: 51 prompt and 151 answer tokens on average, long tails."""
    dice = np.random.default_rng(1)

    def lengths(mean: float, most: int) -> np.ndarray:
        drawn = np.clip(dice.lognormal(0, 0.7, count), 0.05, 6)
        return np.clip(drawn / drawn.mean() * mean, 4, most).astype(int)

    def tokens(size: int) -> list[int]:  # skewed, so that there is something to learn
        return (dice.zipf(1.3, size) % VOCABULARY).tolist()

    pairs = zip(lengths(51, 200), lengths(151, 700), strict=True)
    return [Example(str(i), tokens(prompt), tokens(answer)) for i, (prompt, answer) in enumerate(pairs)]


def tokenizer():
    """One that knows no words but how to pad."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    names = {"eos_token": "<end>", "pad_token": "<pad>", "unk_token": "<unk>"}
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(names.values())}, "<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def matrix_peak() -> float:
    """Operations a second of bf16 matrix products."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - start)
