"""What train_gpu.py measures ours against: TRL's SFTTrainer and Hugging Face's Trainer, set up as an expert would.

TRL packs rows into lines of 1,024 tokens (the longest row fits; best fit, decreasing) and puts the lines of a pass end to end.
No row sees another, and nothing is padded. How many lines make a pass is chosen for each kind of attention: SDPA gets a mask of
tokens times tokens, which is slow for long passes. FlexAttention compiles a kernel for one size, so a pass is filled up to it.

The package flash-attn has no wheel, so its kernel is taken as PyTorch carries it (`torch.nn.attention.varlen`).
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from bench.shapes import tokenizer
from stages.models import attention, runtime
from stages.tasks import batches
from stages.training.causal import start

LINE = 1024  # tokens of a packed line
SDPA_LINES = 2  # more are slower: the mask grows with their square
OPTIONS = {
    "bf16": True,
    "tf32": True,
    "learning_rate": 1e-4,
    "optim": "adamw_torch_fused",
    "save_strategy": "no",
    "report_to": [],
    "logging_strategy": "no",
    "disable_tqdm": True,
    "dataloader_num_workers": 4,
}


class Clock:
    """Notes when each step ended, its loss, and of a peer the tokens of each pass."""

    def __init__(self):
        self.times, self.losses, self.seen, self.weights = [time.perf_counter()], [], [], ""

    def start(self) -> None:
        self.times = [time.perf_counter()]

    def log(self, row: dict) -> None:
        self.times.append(time.perf_counter())
        self.losses.append(row["training_loss"])

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Peer:
    """How TRL is set up.

    Args:
        attention: `flash`, `flex_attention` or `sdpa`.
        lines: of packed rows in a pass.
        kernels: `compiled`: every block is; `Liger`: its own; `plain`: those of transformers, for Liger has none for the shape.
        checkpointing: activations are made again in the backward pass.
    """

    attention: str
    lines: int
    kernels: str
    checkpointing: bool = False

    @property
    def name(self) -> str:
        saving = ", checkpointed" if self.checkpointing else ""
        return f"TRL, packed, {self.attention.removesuffix('_attention')}, {self.lines * LINE} tokens, {self.kernels}{saving}"


PEERS = {  # by shape. Liger comes last: it changes transformers for all that follows. GPT-2 has no FlexAttention
    "gpt2-medium": [Peer("flash", 8, "compiled"), Peer("flash", 8, "plain"), Peer("sdpa", SDPA_LINES, "plain")],
    "smollm2-360m": [
        Peer("flash", 16, "compiled"),
        Peer("flash", 16, "Liger"),
        Peer("flex_attention", 16, "Liger"),
        Peer("sdpa", SDPA_LINES, "Liger"),
    ],
    "phi-2": [
        Peer("flash", 8, "compiled", checkpointing=True),
        Peer("flash", 8, "plain", checkpointing=True),
        Peer("flex_attention", 8, "plain", checkpointing=True),
        Peer("sdpa", SDPA_LINES, "plain", checkpointing=True),
    ],
    "llama3-8b": [
        Peer("flash", 8, "Liger"),
        Peer("flash", 8, "Liger", checkpointing=True),
        Peer("flex_attention", 8, "Liger", checkpointing=True),
        Peer("sdpa", SDPA_LINES, "Liger", checkpointing=True),
    ],
}


def trl(base: Path, examples: list[batches.Example], rows: int, tune: str, peer: Peer, steps: int) -> Clock:
    """TRL's SFTTrainer, with its own loss over the answers, and LoRA by peft."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    lines = sum(map(len, examples)) / len(examples) * rows / LINE  # an optimizer step
    arguments = {
        "packing": True,
        "packing_strategy": "bfd",
        "max_length": LINE,
        "pad_to_multiple_of": peer.lines * LINE if peer.attention == "flex_attention" else None,
        "completion_only_loss": True,
        "use_liger_kernel": peer.kernels == "Liger",
        "per_device_train_batch_size": peer.lines,
        "gradient_accumulation_steps": max(1, round(lines / peer.lines)),
        "gradient_checkpointing": peer.checkpointing,
        "max_steps": steps,
    }
    adapters = None
    if tune != "full":
        adapters = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    pairs = [(e.prompt, e.completion) for e in examples]
    data = Dataset.from_list([{"input_ids": p + c, "completion_mask": [0] * len(p) + [1] * len(c)} for p, c in pairs])
    model = _model(base, tune, peer)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(folder, **OPTIONS, **arguments)
        return _timed(SFTTrainer, model, config, train_dataset=data, processing_class=tokenizer(), peft_config=adapters)


def _model(base: Path, tune: str, peer: Peer) -> torch.nn.Module:
    own = "sdpa" if peer.attention == "flash" else peer.attention
    place = {"dtype": torch.float32 if tune == "full" else torch.bfloat16, "attn_implementation": own, "device_map": {"": 0}}
    if tune == "4bit":
        place["quantization_config"] = start.four_bits(torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(base, **place)
    if peer.attention == "flash":
        model.set_attn_implementation(attention.NAME)
    if peer.kernels == "compiled":
        for block in runtime.blocks(model):
            block.compile(dynamic=True)
    return model


def trainer(base: Path, examples: list[batches.Example], rows: int, grouped: bool, steps: int) -> Clock:
    """Hugging Face's Trainer: batches of 32 rows, accumulated, padded to their longest."""
    group = {"train_sampling_strategy": "group_by_length"} if grouped else {}
    size = {"per_device_train_batch_size": 32, "gradient_accumulation_steps": rows // 32, "max_steps": steps}
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, device_map={"": 0})
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, remove_unused_columns=False, **size, **OPTIONS, **group)
        return _timed(Trainer, model, arguments, data_collator=padded, train_dataset=items(examples))


def items(examples: list[batches.Example]) -> list[dict]:
    """Rows as the Trainer takes them: `input_ids` tell it their length."""
    return [{"row": e, "input_ids": e.prompt + e.completion} for e in examples]


def padded(some: list[dict]) -> dict[str, torch.Tensor]:
    """A batch of `items`: [B, L], padded to the longest, with labels on the answers alone."""
    examples = [item["row"] for item in some]
    batch = batches.collate(examples, "padded", 0)
    labels = torch.full_like(batch.inputs["input_ids"], -100)
    for i, row in enumerate(examples):
        labels[i, len(row.prompt) : len(row)] = torch.tensor(row.completion)
    return {**{key: batch.inputs[key] for key in ("input_ids", "attention_mask")}, "labels": labels}


def _useful(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Tokens of rows in a pass. A line without a mask ends in padding, whose positions are all 0."""
    if (mask := inputs.get("attention_mask")) is not None:
        return mask.sum()
    positions = inputs["position_ids"][0]
    places = torch.arange(1, len(positions) + 1, device=positions.device)
    return (places * (positions > 0)).max()


def _timed(kind: type, model: torch.nn.Module, arguments: TrainingArguments, **more) -> Clock:
    """Train with a trainer that notes its useful tokens and when each optimizer step ended."""
    clock = Clock()

    class Timed(kind):
        def training_step(self, model, inputs, *rest, **named):
            answers = (inputs["labels"] != -100).sum()
            clock.seen.append(torch.stack([_useful(inputs).to(answers.device), answers]))
            loss = super().training_step(model, inputs, *rest, **named)
            if len(clock.seen) % self.args.gradient_accumulation_steps == 0:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()  # the optimizer's own step, short, is counted with the next
                clock.times.append(time.perf_counter())
            return loss

    working = Timed(model=model, args=arguments, **more)
    clock.start()
    working.train()
    clock.passes = arguments.gradient_accumulation_steps
    return clock
