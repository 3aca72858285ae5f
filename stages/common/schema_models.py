"""Parameters of the model stages, with their types, units and legal values."""

from math import inf
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from stages.common.sections import Count, Fraction, Name, Positive, Seconds, Section, Seed


def _rising(span: list[int]) -> list[int]:
    if span[0] >= span[1]:
        raise ValueError(f"[from, to] with from under to, not {span}")
    return span


class Full(Section):
    kind: Literal["full"]


class TopLayers(Section):
    """Only the last `layers` blocks and the final norm learn."""

    kind: Literal["top_layers"]
    layers: Positive


class Lora(Section):
    """Low-rank adapters on every linear layer (arXiv 2106.09685)."""

    kind: Literal["lora"]
    rank: Positive
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    base: Literal["plain", "4bit"]  # what it is kept in: train.precision, or four bits (QLoRA, arXiv 2305.14314; a GPU alone)
    save: Literal["merged", "adapter"]  # merged into the weights, or the adapter alone, which needs its base beside it


Span = Annotated[list[Count], Field(min_length=2, max_length=2), AfterValidator(_rising)]  # [from, to): places of rows


class LocalTraining(Section):
    """What every training on this machine has."""

    tune: Annotated[Full | TopLayers | Lora, Field(discriminator="kind")]
    rows: Literal["all"] | Span  # of the train part, by `place`; a round names the rows it takes
    wrong_rows: Literal["none"] | Span  # rows looked at again: those that the base gets wrong are added ...
    wrong_times: Count  # ... so many times
    epochs: Positive  # passes over the rows
    max_tokens: Annotated[int, Field(ge=8)]  # of a row; longer ones are cut and counted
    batch_rows: Positive  # rows an optimizer step, over all processes
    micro_tokens: Positive | Literal["auto"]  # tokens in memory at once; results stay the same. auto: what fits a GPU
    learning_rate: Annotated[float, Field(gt=0)]  # at its highest, after the warm-up
    schedule: Literal["linear", "cosine", "constant"]  # how the learning rate falls after the warm-up
    warmup: Fraction  # share of all steps
    weight_decay: Annotated[float, Field(ge=0)]  # not on norms and biases
    max_grad_norm: Annotated[float, Field(gt=0)]  # longer gradients are shortened to it
    dropout: Literal["own"] | Annotated[float, Field(ge=0, lt=1)]  # own: as the base was built
    precision: Literal["auto", "fp32", "bf16", "fp16"]  # auto: bf16 where the GPU or the CPU is fast at it
    gradient_checkpointing: bool  # activations are made again in the backward pass: less memory, a third more work
    compile: bool  # torch.compile, on a GPU: minutes at the start, faster steps
    deterministic: bool  # the same bytes again on one kind of machine; costs some speed on a GPU
    evaluations: Positive  # on the validation rows, an epoch
    choose_by: Literal["loss", "accuracy", "macro_f1", "chrf", "parts_f1"] = (
        "loss"  # what tells the best state, on the validation rows
    )
    patience: Count  # evaluations without a better state before training stops; 0: never stop
    logger: Literal["none", "tensorboard", "dvclive", "wandb"]  # to watch live; changes no result
    seed: Seed

    @model_validator(mode="after")
    def _wrong_rows_are_repeated(self):
        if (self.wrong_rows == "none") != (self.wrong_times == 0):
            raise ValueError("wrong_rows and wrong_times go together: none and 0, or [from, to] and how many times")
        return self


class CausalTraining(LocalTraining):
    """A language model learns the answers; prompt and padding are masked."""

    method: Literal["causal"]
    shuffle_pairs: bool  # answers dealt out among the questions: the twin that shows what is only style
    packing: bool  # rows end to end with no attention across; false: padded to the longest

    @model_validator(mode="after")
    def _figures_of_answers(self):
        if self.choose_by in ("accuracy", "macro_f1"):
            raise ValueError(
                f"choose_by: {self.choose_by} is a figure of labels, and answers have none; loss, chrf or parts_f1"
            )
        if self.choose_by in ("chrf", "parts_f1") and self.compile:
            raise ValueError(
                f"choose_by: {self.choose_by} needs answers; a compiled model writes none in training; compile: false"
            )
        return self


class ClassifierTraining(LocalTraining):
    """A head over an encoder or a decoder learns the labels (AutoModelForSequenceClassification)."""

    method: Literal["classifier"]
    class_weights: Literal["none", "balanced"]  # balanced: every class weighs the same in the loss

    @model_validator(mode="after")
    def _figures_of_labels(self):
        if self.choose_by in ("chrf", "parts_f1"):
            raise ValueError(f"choose_by: {self.choose_by} is of answers, a classifier writes none; loss, accuracy or macro_f1")
        return self

    @model_validator(mode="after")
    def _whole_weights(self):
        if getattr(self.tune, "base", "") == "4bit":
            raise ValueError("tune.base: 4bit is for method causal; a classifier's base is kept whole: plain")
        return self


def _auto_or(kinds: tuple[type, ...], fits, words: str):
    """`auto`, or a number of one of `kinds` that fits; one message for both."""

    def check(value):
        if value == "auto" or type(value) in kinds and fits(value):
            return value
        raise ValueError(f"auto or {words}")

    return PlainValidator(check)


class Price(Section):
    model: Annotated[str, Field(min_length=1)]  # also stands for its dated versions: <model>-2024-07-18
    dollars_per_million_tokens: Annotated[float, Field(ge=0)]  # trained tokens


class HostedTraining(Section):
    """A job of a provider's fine-tuning service. `auto` leaves a hyperparameter to the service."""

    method: Literal["hosted"]
    rows: Literal["all"] | Span  # of the train part, by `place`; a round names the rows it takes
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


Train = Annotated[CausalTraining | ClassifierTraining | HostedTraining, Field(discriminator="method")]


class OwnServer(Section):
    """A server of one's own that serves the tuned model: one more contestant, `tuned_<name>`."""

    name: Name
    kind: Literal["vllm", "llama_cpp"]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")]  # with its /v1
    model: Annotated[str, Field(min_length=1)]  # its name there


class Generate(Section):
    """Answers in text."""

    task: Literal["text"]
    max_new_tokens: Positive  # of an answer; longer ones are cut and counted
    min_new_tokens: Count  # before an answer may end
    temperature: Annotated[float, Field(ge=0)]  # 0: greedy
    top_k: Count  # 0: off
    top_p: Annotated[float, Field(gt=0, le=1)]  # 1: off
    repetition_penalty: Annotated[float, Field(gt=0)]  # 1: off (arXiv 1909.05858)
    batch_rows: Positive  # rows answered together
    precision: Literal["auto", "fp32", "bf16", "fp16"]  # of the models that answer, and whose perplexity is measured
    probes: list[str]  # fixed questions answered beside the test rows
    shots: Count  # training rows that the base is shown before each question, as one more contestant; 0: none
    exports: list[Literal["f32", "f16", "bf16", "q8_0", "q4_k_m"]] = []  # GGUF files that answer, too, through llama.cpp
    servers: list[OwnServer] = []  # that answer, too: they serve the tuned model (docs/serving.md)
    seed: Seed

    @model_validator(mode="after")
    def _an_answer_may_end(self):
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens of at most max_new_tokens, not {self.min_new_tokens} and {self.max_new_tokens}")
        if 0 < self.temperature < 1e-5:
            raise ValueError(f"temperature of 0, which is greedy, or of at least 0.00001, not {self.temperature:g}")
        return self

    @model_validator(mode="after")
    def _forms(self):
        names = [*self.exports, *(server.name for server in self.servers)]
        if len({*names}) < len(names):
            raise ValueError(f"exports and servers: two of them have one name ({', '.join(names)})")
        if names and self.min_new_tokens > 1:
            raise ValueError("min_new_tokens: 0 or 1 where exports or servers answer, too: llama.cpp has no such option")
        return self


class Classify(Section):
    """Labels of texts, by a classifier."""

    task: Literal["label"]
    batch_rows: Positive  # rows answered together
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    seed: Seed  # of the regression that it is compared with


Answering = Annotated[Generate | Classify, Field(discriminator="task")]


class EmbeddedJudge(Section):
    """No server, no generation: reads the expected answer (stages/judging/embedded.py)."""

    kind: Literal["embedded"]
    controls: Positive  # test rows whose controls are judged too
    warn_below: Fraction  # area under the curve against any kind of bad answer under which the judge is marked as weak


class OllamaJudge(Section):
    """A language model that Ollama serves (docs/llm_judge.md)."""

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


# What stages/judging writes beside the judges' scores, under the same keys; and figures of labels, which reports know by name.
FIGURES = {
    *("alarms", "refused", "as_tuned"),
    *("accuracy", "macro_f1", "log_loss", "calibration_error", "precision", "recall", "f1"),
    *("perplexity", "bits_per_byte", "token_accuracy", "bleu", "chrf", "rouge_l", "exact_match", "overlap", "tokens"),
    "exact_match_cased",
    *("prompt_tokens", "parts_f1", "parts_precision", "parts_recall", "parts_f1_per_review", "count_error", "unreadable"),
    *("five_lines", "rhyme", "rhymed_pairs", "names_subject"),
    *("flagged", "breaks_off", "repeats", "shuffled", "echoes", "too_long"),
}


def _no_figure(name: str) -> str:
    if name in FIGURES or name.endswith(("_within_limit", "_calibrated")):
        raise ValueError("another name: this one is a figure's, and would take its place in the scores")
    return name


JudgeName = Annotated[Name, AfterValidator(_no_figure)]
AnyJudge = Annotated[EmbeddedJudge | OllamaJudge | OpenAIJudge, Field(discriminator="kind")]


class Judge(Section):
    """Answers in text."""

    task: Literal["text"]
    measures: list[Literal["parts", "limerick"]]  # figures of the task itself: stages/judging/measures.py
    judges: Annotated[dict[JudgeName, AnyJudge], Field(min_length=1)]  # scores are keyed by these names
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]  # resamples; memory holds one number for each row of each
    confidence: Annotated[float, Field(gt=0.5, lt=1)]  # share of resamples that an interval holds
    seed: Seed

    @model_validator(mode="after")
    def _content_is_embedded(self):
        if "content" in self.judges and self.judges["content"].kind != "embedded":
            raise ValueError("judges.content: another name for a judge behind a server: this one is the embedded judge's")
        return self


class LabelJudge(Section):
    """Labels, which need no judge."""

    task: Literal["label"]
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]  # resamples; memory holds one number for each row of each
    confidence: Annotated[float, Field(gt=0.5, lt=1)]  # share of resamples that an interval holds
    seed: Seed


Judging = Annotated[Judge | LabelJudge, Field(discriminator="task")]
