"""Parameters of bases and of the model stages, with their types, units and legal values."""

from math import inf
from typing import Annotated, Literal

from pydantic import Field, PlainValidator

from stages.common.sections import Commit, Count, Fraction, Positive, Section, Sha256

# bases ---------------------------------------------------------------------------------------------------------------


class WheelBase(Section):
    """Weights carried in a PyPI wheel."""

    kind: Literal["wheel"]
    package: str
    version: str
    sha256: Sha256  # of the wheel
    path: str  # in the wheel: a GGUF file, or a directory of Hugging Face files
    architecture: Literal["causal", "encoder"]


class HubBase(Section):
    """A model of the Hugging Face hub."""

    kind: Literal["hub"]
    repo: str  # owner/name
    revision: Commit
    architecture: Literal["causal", "encoder"]


class HostedBase(Section):
    """A model that a provider serves; nothing is downloaded."""

    kind: Literal["hosted"]
    provider: Literal["openai", "ollama"]
    base_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#@]*)?)?$")]  # "": the provider's own; holds no key
    model: str


Base = Annotated[WheelBase | HubBase | HostedBase, Field(discriminator="kind")]

# models --------------------------------------------------------------------------------------------------------------


class Full(Section):
    kind: Literal["full"]


class TopLayers(Section):
    """Only the last `layers` blocks and the final norm learn."""

    kind: Literal["top_layers"]
    layers: Positive


class Lora(Section):
    """Low-rank adapters on every linear layer (arXiv 2106.09685), merged into the weights at the end."""

    kind: Literal["lora"]
    rank: Positive
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]


class CausalTraining(Section):
    method: Literal["causal"]
    tune: Annotated[Full | TopLayers | Lora, Field(discriminator="kind")]
    shuffle_pairs: bool  # answers dealt out among the questions: the twin that shows what is only style
    epochs: Positive
    max_tokens: Annotated[int, Field(ge=8)]  # prompt, answer and end token; longer answers are cut and counted
    batch_rows: Positive  # rows an optimizer step
    micro_tokens: Positive  # tokens in memory at once; batches are accumulated, results stay the same
    packing: bool  # rows end to end with no attention across; false: padded to the longest
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["linear", "cosine", "constant"]
    warmup: Fraction  # share of all steps
    weight_decay: Annotated[float, Field(ge=0)]  # not on norms and biases
    max_grad_norm: Annotated[float, Field(gt=0)]
    precision: Literal["auto", "fp32", "bf16", "fp16"]  # auto: bf16 where the device is fast at it
    evaluations: Positive  # on the validation rows, an epoch
    patience: Count  # evaluations without a better loss before training stops; 0: never stop
    seed: Count


def _auto_or(kinds: tuple[type, ...], fits, words: str):
    """`auto`, or a number of one of `kinds` that fits; one message for both."""

    def check(value):
        if value == "auto" or type(value) in kinds and fits(value):
            return value
        raise ValueError(f"auto or {words}")

    return PlainValidator(check)


def _rows(value):
    ends = isinstance(value, list) and len(value) == 2 and all(type(end) is int for end in value)
    if value == "all" or ends and 0 <= value[0] < value[1]:
        return value
    raise ValueError("all, or [first, end]: places in the train part from 0, end not taken")


class Price(Section):
    model: Annotated[str, Field(min_length=1)]  # also stands for its dated versions: <model>-2024-07-18
    dollars_per_million_tokens: Annotated[float, Field(ge=0)]  # trained tokens


class HostedTraining(Section):
    """A job of a provider's fine-tuning service. `auto` leaves a hyperparameter to the service."""

    method: Literal["hosted"]
    rows: Annotated[str | list[int], PlainValidator(_rows)]  # of the train part: a round takes some of them
    checkpoint: Annotated[str, Field(pattern=r"^(|last|\d+)$")]  # of the earlier round to start from, by its step; "": its end
    n_epochs: Annotated[int | str, _auto_or((int,), lambda n: 1 <= n <= 50, "a whole number from 1 to 50")]
    batch_size: Annotated[int | str, _auto_or((int,), lambda n: 1 <= n <= 256, "a whole number from 1 to 256")]
    learning_rate_multiplier: Annotated[
        float | str, _auto_or((int, float), lambda n: 0 < n < inf, "a number above 0")
    ]  # of the service's own rate
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    suffix: Annotated[str, Field(max_length=64)]  # becomes part of the tuned model's name; "" for none
    attempt: Positive  # raise it for another job on the same rows, paid again, after one failed or was cancelled
    prices: Annotated[list[Price], Field(min_length=1)]  # of the model at the start of the chain of rounds, among others
    limit_dollars: Annotated[float, Field(ge=0)]  # a job that may cost more is not begun


Train = Annotated[CausalTraining | HostedTraining, Field(discriminator="method")]


class Generate(Section):
    max_new_tokens: Positive
    min_new_tokens: Count
    temperature: Annotated[float, Field(ge=0)]  # 0: greedy
    top_k: Count  # 0: off
    top_p: Annotated[float, Field(gt=0, le=1)]  # 1: off
    repetition_penalty: Annotated[float, Field(gt=0)]  # 1: off (arXiv 1909.05858)
    batch_rows: Positive
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    probes: list[str]  # fixed questions answered beside the test rows
    seed: Count


class EmbeddedJudge(Section):
    """No server, no generation: reads the expected answer (stages/judging/embedded.py)."""

    kind: Literal["embedded"]
    controls: Positive  # train rows from which the controls are made that fit the mapping to 0-100
    prefix_tokens: Positive  # of an answer, read by the language model for fluency


class Judge(Section):
    judges: Annotated[dict[str, EmbeddedJudge], Field(min_length=1)]  # scores are keyed by these names
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: Count
