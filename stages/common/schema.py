"""Every parameter with its type, its unit and its legal values. The schema refuses; it never fills in.

Because nothing here can change what a stage writes (there are no defaults), this file is no dependency of any stage.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.common.errors import StageError, shorten

NAME = re.compile(r"[a-z][a-z0-9_]*")
COLUMNS = {"id", "task", "reason"}  # columns that stages write themselves
RESERVED = {"answers", "verdicts", "sources", "speed"}  # folders of their own in data/ and metrics/

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit: tags and branches move
    architecture: Literal["causal", "encoder"]


class HostedBase(Section):
    """A model that a provider serves; nothing is downloaded."""

    kind: Literal["hosted"]
    provider: Literal["openai", "ollama"]
    model: str


# datasets ------------------------------------------------------------------------------------------------------------


class Scrape(Section):
    files: str  # glob below `source`
    reader: Literal["json", "jsonl", "csv", "parquet", "medquad", "reviews_csv"]
    encoding: str  # of text files: utf-8, latin-1, …
    columns: dict[str, str]  # our name: the source's column; all must be there
    keep: list[str]  # columns carried along where a source has them
    licence: str  # noted in sources.json


class Clean(Section):
    """Label by cleaning: rows without a value and duplicates are set aside."""

    method: Literal["clean"]
    required: Annotated[list[str], Field(min_length=1)]  # columns that must hold text
    conflicts: Literal["drop_later", "keep"]  # same question, another answer


class Parts(Section):
    """Label reviews with the vehicle parts they name, by a dictionary; cleaned first, like `clean`."""

    method: Literal["parts"]
    reviews: str  # source of the reviews
    text: str  # its column that is read, and becomes the instruction
    dictionaries: Annotated[list[str], Field(min_length=1)]  # sources whose `name` is a part's, in order of precedence
    synonyms: str  # source of rows name, means, within; "" for none
    gold: str  # source of rows review, parts, faults to measure the labeller by; "" for none
    target: Literal["parts", "faults"]  # what becomes the response: all parts, or those with a problem
    none: Annotated[str, Field(min_length=1)]  # the response where there is none


Label = Annotated[Clean | Parts, Field(discriminator="method")]


class Split(Section):
    given: str  # column that says train, validation or test; "" to split by hash
    group: str  # rows that share this column stay on one side; "" for none
    train: Fraction
    validation: Fraction
    test: Fraction
    sample: Annotated[float, Field(gt=0, le=1)]  # share of the groups kept; smaller samples lie in larger ones
    near_duplicate: Fraction  # Jaccard similarity from which a train row is too like a held-back one; 0: off
    seed: Count

    @model_validator(mode="after")
    def _sums_to_one(self):
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {self.train + self.validation + self.test:g}")
        return self


class AlpacaFormat(Section):
    """`### Instruction:`, an optional `### Input:`, `### Response:`."""

    style: Literal["alpaca"]
    preamble: str  # a sentence before the first heading; "" for none
    shard_rows: Positive  # rows a file; later rows go to later files


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


# the whole file ------------------------------------------------------------------------------------------------------


class BaseEntry(Section):
    base: Annotated[WheelBase | HubBase | HostedBase, Field(discriminator="kind")]


class DatasetEntry(Section):
    source: str  # the directory that `scrape` reads
    scrape: Scrape
    label: Label
    split: Split
    format: AlpacaFormat


class ModelEntry(Section):
    dataset: str
    base: str  # what training starts from: a base or an earlier round
    root: str  # the base at the start of the chain of rounds, which answers are compared with
    judge_base: str  # the encoder of the embedded judge
    train: CausalTraining
    generate: Generate
    judge: Judge


class Params(Section):
    bases: dict[str, BaseEntry]
    datasets: dict[str, DatasetEntry]
    models: dict[str, ModelEntry]


_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "missing": "a value (every parameter is written out)",
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
}


def check(params: dict, path: Path) -> Params:
    """The typed file.

    Raises:
        StageError: with all problems of shape, type, range and wiring in one message.
    """
    problems, checked = [], None
    try:
        checked = Params.model_validate(params)
    except ValidationError as errors:
        problems = [_describe(error) for error in errors.errors(include_url=False)]
    problems += list(_wiring(params)) if isinstance(params, dict) else []
    if problems:
        listing = "".join(f"\n    - {problem}" for problem in problems)
        raise StageError(
            path,
            f"{len(problems)} problem{'s' * (len(problems) > 1)}{listing}",
            "the parameters described in stages/common/schema.py",
            f"edit {path}",
        )
    return checked


def _describe(error: dict) -> str:
    # pydantic names the chosen member of a union in the path (`base.wheel.sha256`): it is no key of the file
    keys = [str(part) for part in error["loc"]]
    kind, tags = error["type"], set(_tags())
    keys = [key for i, key in enumerate(keys) if not (key in tags and i and keys[i - 1] in ("base", "tune", "label"))]
    where, found = ".".join(keys) or "the whole file", shorten(error["input"])
    if kind == "extra_forbidden":
        legal = _legal(error["loc"])
        near = difflib.get_close_matches(keys[-1], legal, n=1)
        return f"{where}: unknown key{f'; did you mean {near[0]!r}?' if near else ''} (legal: {', '.join(legal)})"
    if kind == "missing":
        return f"{where}: missing; expected {_EXPECTED[kind]}"
    expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Value error, ").replace("Input should be", "").strip()
    return f"{where}: found {found}, expected {expected}"


def _tags() -> list[str]:
    models = (WheelBase, HubBase, HostedBase, Full, TopLayers, Lora, Clean, Parts)
    return [get_args(_tag(model))[0] for model in models]


def _tag(model: type[BaseModel]):
    """The annotation of the field by which a member of a union is chosen; None for another model."""
    fields = model.model_fields
    return next((fields[name].annotation for name in ("kind", "method") if name in fields), None)


def _models_below(annotation) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_below(part)]


def _legal(location: tuple) -> list[str]:
    """The keys that the mapping at `location[:-1]` may have."""
    models: list[type[BaseModel]] = [Params]
    for part in location[:1] * (len(location) > 1) + location[2:-1]:  # an entry's own name, the second part, says nothing
        fields = [model.model_fields[part].annotation for model in models if part in model.model_fields]
        if fields:
            models = [model for field in fields for model in _models_below(field)]
        tagged = [model for model in models if part in get_args(_tag(model))]
        models = tagged or models
    return sorted({name for model in models for name in model.model_fields})


def _mapping(params: dict, kind: str) -> dict[str, dict]:
    entries = params.get(kind)
    return {str(name): entry for name, entry in entries.items() if isinstance(entry, dict)} if isinstance(entries, dict) else {}


def _wiring(params: dict):
    """Problems between entries: names, and what refers to what. Works on the raw file so that it can always run."""
    bases, datasets, models = (_mapping(params, kind) for kind in ("bases", "datasets", "models"))
    for kind, entries in (("bases", bases), ("datasets", datasets), ("models", models)):
        for name in entries:
            if not NAME.fullmatch(name) or name in RESERVED:
                yield (
                    f"{kind}.{name}: not a usable name; expected lower-case letters, digits and _, "
                    f"and none of {', '.join(sorted(RESERVED))}"
                )
    for first, second, folder in ((bases, models, "models/"), (datasets, models, "metrics/")):
        for name in sorted(set(first) & set(second)):
            yield f"{name}: names two things that would share {folder}{name}; rename one"
    for name, dataset in datasets.items():
        yield from _columns(f"datasets.{name}.scrape", dataset.get("scrape"))
    causal = [name for name in bases if _mapping(bases, name).get("base", {}).get("architecture") == "causal"]
    wires = ("dataset", "base", "root", "judge_base")  # what is no text there has been reported already
    models = {
        name: {wire: m.get(wire) if isinstance(m.get(wire), str) else None for wire in wires} for name, m in models.items()
    }
    for name, model in models.items():
        if model.get("dataset") not in datasets:
            yield f"models.{name}.dataset: no dataset {model.get('dataset')!r}; expected one of {', '.join(datasets) or 'none'}"
        if model.get("base") not in bases | models:
            yield f"models.{name}.base: no base or model {model.get('base')!r}; expected one of {', '.join(bases | models)}"
        elif model.get("base") in bases and causal and model["base"] not in causal:
            yield f"models.{name}.base: {model['base']!r} cannot be tuned by method causal; expected one of {', '.join(causal)}"
        if model.get("judge_base") not in bases:
            yield f"models.{name}.judge_base: no base {model.get('judge_base')!r}; expected one of {', '.join(bases)}"
        chain, current = [name], model.get("base")
        while current in models and current not in chain:
            chain.append(current)
            current = models[current].get("base")
        if current in chain:
            yield f"models.{name}.base: rounds in a circle: {' -> '.join([*chain, current])}"
        elif current in bases and model.get("root") != current:
            yield f"models.{name}.root: found {model.get('root')!r}, expected {current!r}, where its chain of rounds starts"


def _columns(where: str, scrape: object):
    """Problems of the names that rows get."""
    ours, kept = (scrape.get("columns"), scrape.get("keep")) if isinstance(scrape, dict) else (None, None)
    if not isinstance(ours, dict) or not isinstance(kept, list):
        return
    if missing := [name for name in ("instruction", "response") if name not in ours]:
        yield f"{where}.columns: no {' and no '.join(missing)}; expected a source column for both"
    names = [*map(str, ours), *map(str, kept)]
    for name in sorted({name for name in names if name in COLUMNS or names.count(name) > 1}):
        why = "is written by the stages themselves" if name in COLUMNS else "is named twice"
        yield f"{where}: column {name!r} in columns or keep {why}; give it another name in columns"
