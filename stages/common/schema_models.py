"""Parameters of bases and of the model stages, with their types, units and legal values."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.sections import Commit, Count, Fraction, Positive, Seconds, Section, Sha256

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


Train = CausalTraining


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
    shots: Count  # training rows that the base is shown before each question, as one more contestant; 0: none
    seed: Count


class EmbeddedJudge(Section):
    """No server, no generation: reads the expected answer (stages/judging/embedded.py)."""

    kind: Literal["embedded"]
    controls: Positive  # train rows from which the controls are made that fit the mapping to 0-100
    prefix_tokens: Positive  # of an answer, read by the language model for fluency
    warn_below: Fraction  # area under the curve against any kind of bad answer under which the judge is marked as weak


class OllamaJudge(Section):
    """A language model that Ollama serves (docs/judging.md)."""

    kind: Literal["ollama"]
    model: str  # pulled; its digest is recorded
    base_url: str  # "": OLLAMA_HOST, else this machine
    prompt: str  # a file of stages/judging/prompts that asks for a score
    pairwise: str  # one that asks which of two answers is better, tuned or base; "": answers are not compared
    controls: Positive  # test rows whose controls are judged too
    concurrency: Positive  # requests in flight
    timeout_seconds: Seconds  # for one answer
    attempts: Positive  # tries for one verdict
    max_tokens: Positive  # of a verdict
    num_ctx: Positive  # tokens of context; a verdict on a prompt that the server had to cut is counted as failed
    warn_below: Fraction  # as above


class OpenAIJudge(Section):
    """A language model behind any OpenAI-compatible server; the key is read from OPENAI_API_KEY."""

    kind: Literal["openai"]
    model: str
    base_url: str  # with its /v1; "": OpenAI's own
    prompt: str  # these and the following: as above
    pairwise: str
    controls: Positive
    concurrency: Positive
    timeout_seconds: Seconds
    attempts: Positive
    max_tokens: Positive
    warn_below: Fraction


AnyJudge = Annotated[EmbeddedJudge | OllamaJudge | OpenAIJudge, Field(discriminator="kind")]


class Judge(Section):
    judges: Annotated[dict[str, AnyJudge], Field(min_length=1)]  # scores are keyed by these names
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: Count
