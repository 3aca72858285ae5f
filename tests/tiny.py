"""Tiny models with random weights, the rows to try them on and legal parameters: all that a model stage needs, in a second."""

import copy
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    DebertaV2Config,
    DebertaV2Model,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from stages.common.files import write_json, write_rows
from stages.common.schema_data import AlpacaFormat
from stages.common.schema_models import CausalTraining, ClassifierTraining, Generate, Judge
from stages.models.directory import load_tokenizer, save
from stages.prompts import style
from stages.tasks.batches import Example, encode_all
from stages.tasks.causal import Causal

PAD, BOS, EOS = 0, 1, 2
VOCABULARY = 336  # of the models: some more than the tokenizer's 330, as in many real ones
CONTEXT = 256
CHAT = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
CONTRACT = style("alpaca").contract(AlpacaFormat(style="alpaca", preamble="", shard_rows=1000))
THINGS = ["apple", "river", "stone", "cloud", "candle", "violin", "hammer", "meadow", "lantern", "pepper", "anchor", "ribbon"]
COLOURS = ["red", "blue", "green", "white", "black", "yellow"]

_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
_COMMON = {"max_position_embeddings": CONTEXT, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
_SPREAD = {"initializer_range": 0.2}  # logits far enough apart for a best token without ties
_GROUPED = {**_SMALL, **_COMMON, **_SPREAD, "num_key_value_heads": 2}
ARCHITECTURES = {
    "llama": (LlamaForCausalLM, LlamaConfig, {**_GROUPED, "tie_word_embeddings": True}),
    "gpt2": (
        GPT2LMHeadModel,
        GPT2Config,
        {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT, **_SPREAD}
        | {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS},
    ),
    "phi": (PhiForCausalLM, PhiConfig, {**_SMALL, **_COMMON, **_SPREAD}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {**_GROUPED, "tie_word_embeddings": False}),
    "mistral": (MistralForCausalLM, MistralConfig, _GROUPED),
    "gemma": (GemmaForCausalLM, GemmaConfig, {**_GROUPED, "head_dim": 8}),
}

ENCODERS = {
    "camembert": (CamembertModel, CamembertConfig, {**_SMALL, **_COMMON, **_SPREAD}),
    "bert": (BertModel, BertConfig, {**_SMALL, **_SPREAD, "max_position_embeddings": CONTEXT, "pad_token_id": PAD}),
    "deberta-v2": (
        DebertaV2Model,
        DebertaV2Config,
        {**_SMALL, **_SPREAD, "max_position_embeddings": CONTEXT, "pad_token_id": PAD, "type_vocab_size": 0}
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
        | {"position_buckets": 16, "share_att_key": True, "norm_rel_ebd": "layer_norm"},
    ),
}
CLASSIFIERS = [*ENCODERS, "phi", "llama"]  # what a classifier may be made of: encoders and decoders
LABELS = {"labels": ["606", "613", "624"], "names": ["Achats", "Locations", "Transports"]}
_NOUNS = {"606": ["papier", "encre"], "613": ["bureau", "garage"], "624": ["camion", "colis"]}


def rows(count: int, first: int = 0) -> list[dict]:
    """Formatted rows of unlike lengths; no two are the same."""
    texts = []
    for i in range(first, first + count):
        thing, colour = THINGS[i % 12], COLOURS[i // 2 % 6]
        more = f" There are {i} of them here, and {thing} {i} is the best of all." * (i % 3)
        texts.append(
            {
                "id": f"row#{i}",
                "task": "text",
                "place": i,
                "messages": [{"role": "user", "content": f"What is the colour of {thing} {i}?"}],
                "completion": f"The {thing} is {colour}.{more}",
            }
        )
    return texts


@cache
def _trained() -> str:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([row["messages"][0]["content"] + row["completion"] for row in rows(40)], trainer)
    return bpe.to_str()


def tokenizer(begins: bool = False, chat: str | None = CHAT) -> PreTrainedTokenizerFast:
    """Byte-level BPE; `begins` adds the BOS token to every text, `chat` is the model's own template."""
    bpe = Tokenizer.from_str(_trained())
    if begins:
        bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    built = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    built.chat_template = chat
    return built


@cache
def _model(architecture: str, seed: int) -> PreTrainedModel:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    kind, config, options = ARCHITECTURES[architecture]
    return kind(config(vocab_size=VOCABULARY, **options)).eval()


def model(architecture: str = "llama", seed: int = 0) -> PreTrainedModel:
    """A causal model of three blocks, in evaluation mode; yours to change."""
    return copy.deepcopy(_model(architecture, seed))


def windowed(tokens: int) -> PreTrainedModel:
    """A tiny model that sees some tokens back, fewer than its rows are long."""
    built = model("mistral")
    built.config.sliding_window = tokens
    for block in built.model.layers:
        block.self_attn.sliding_window = tokens
    return built


def base(folder: Path, architecture: str = "llama", seed: int = 0, **of_tokenizer) -> Path:
    """A base model's directory."""
    folder.mkdir(parents=True)
    save(folder, model(architecture, seed), tokenizer(**of_tokenizer))
    if architecture == "qwen2":  # transformers reads it as Qwen2Tokenizer, whatever class is named
        save(folder, model(architecture, seed), load_tokenizer(folder))
    return folder


def _reader() -> PreTrainedTokenizerFast:
    """An encoder's tokenizer, which marks where a text begins and ends."""
    bpe = Tokenizer.from_str(_trained())
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", cls_token="<s>", sep_token="</s>")


def encoder(folder: Path) -> Path:
    """The directory of a BERT encoder."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = _reader()
    config = BertConfig(vocab_size=len(words), max_position_embeddings=300, **(_SMALL | {"num_hidden_layers": 2}))
    folder.mkdir(parents=True)
    save(folder, BertModel(config).eval(), words)
    return folder


def headless(folder: Path, architecture: str) -> Path:
    """The directory of a base for a classifier: an encoder, or a causal model."""
    if architecture not in ENCODERS:
        return base(folder, architecture)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    kind, config, options = ENCODERS[architecture]
    folder.mkdir(parents=True)
    save(folder, kind(config(vocab_size=VOCABULARY, **options)).eval(), _reader())
    return folder


def formatted(folder: Path, train: int = 24, validation: int = 6, test: int = 7) -> Path:
    """What the format stage leaves."""
    first = 0
    for part, count in (("train", train), ("validation", validation), ("test", test)):
        write_rows(folder / part / "000.jsonl", rows(count, first))
        first += count
    write_json(folder / "prompt.json", CONTRACT)
    write_json(folder / "labels.json", {"labels": [], "names": []})
    return folder


def label_rows(count: int, first: int = 0) -> list[dict]:
    """Formatted rows of task `label`: a word of each text tells its label, of which the first is the most frequent."""
    labelled = []
    for i in range(first, first + count):
        label = LABELS["labels"][max(0, i % 4 - 1)]
        more = f" du {i % 28 + 1} mai, dossier {i}" * (i % 3)
        labelled.append(
            {
                "id": f"row#{i}",
                "task": "label",
                "place": i,
                "text": f"Facture {i} : {_NOUNS[label][i % 2]}{more}",
                "label": label,
            }
        )
    return labelled


def labelled(folder: Path, train: int = 48, validation: int = 12, test: int = 8) -> Path:
    """What the format stage leaves of rows with a label."""
    first = 0
    for part, count in (("train", train), ("validation", validation), ("test", test)):
        write_rows(folder / part / "000.jsonl", label_rows(count, first))
        first += count
    write_json(folder / "prompt.json", {"style": "classification", "chat_template": None, "stop": []})
    write_json(folder / "labels.json", LABELS)
    return folder


def examples(count: int, first: int = 0) -> list[Example]:
    """Rows in tokens."""
    return encode_all(rows(count, first), tokenizer(), CONTEXT)[0]


def training(**changes) -> CausalTraining:
    """Parameters of `train`: two epochs of three steps over 24 rows."""
    return CausalTraining(
        **{
            "method": "causal",
            "tune": {"kind": "full"},
            "rows": "all",
            "wrong_rows": "none",
            "wrong_times": 0,
            "shuffle_pairs": False,
            "epochs": 2,
            "max_tokens": 128,
            "batch_rows": 8,
            "micro_tokens": 512,
            "packing": True,
            "learning_rate": 3e-3,
            "schedule": "linear",
            "warmup": 0.1,
            "weight_decay": 0.01,
            "max_grad_norm": 1.0,
            "dropout": "own",
            "precision": "fp32",
            "gradient_checkpointing": False,
            "compile": False,
            "deterministic": True,
            "evaluations": 1,
            "patience": 0,
            "logger": "none",
            "seed": 1,
            **changes,
        }
    )


def classifying(**changes) -> ClassifierTraining:
    """Parameters of `train` for a classifier: two epochs of six steps over 48 rows."""
    causal = training().model_dump(exclude={"shuffle_pairs", "packing"})
    return ClassifierTraining(**(causal | {"method": "classifier", "class_weights": "none"} | changes))


def task(params: CausalTraining) -> Causal:
    """The task of tiny causal models."""
    return scoring(params.micro_tokens, params.packing)


def scoring(micro_tokens: int, packing: bool = True) -> Causal:
    """The task by which rows are scored."""
    return Causal(micro_tokens, "packed" if packing else "padded", PAD)


def generation(**changes) -> Generate:
    """Parameters of `generate`: greedy."""
    return Generate(
        **{
            "task": "text",
            "max_new_tokens": 12,
            "min_new_tokens": 0,
            "temperature": 0,
            "top_k": 0,
            "top_p": 1.0,
            "repetition_penalty": 1.0,
            "batch_rows": 4,
            "precision": "fp32",
            "probes": [],
            "shots": 0,
            "seed": 1,
            **changes,
        }
    )


def judging(**changes) -> Judge:
    """Parameters of `judge`: the embedded judge alone."""
    return Judge(
        **{
            "task": "text",
            "measures": [],
            "judges": {"embedded": {"kind": "embedded", "controls": 12, "warn_below": 0.5}},
            "bootstrap": 100,
            "confidence": 0.95,
            "seed": 1,
            **changes,
        }
    )


def contents(*paths: Path) -> dict[str, bytes]:
    """Every file of some directories (or files) by name."""
    return {
        f"{path.name}/{file.relative_to(path).as_posix()}": file.read_bytes()
        for path in paths
        for file in (sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path])
    }
