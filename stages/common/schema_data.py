"""The sections label, split and format of a dataset, and how they hang together with what `scrape` reads."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.common.sections import Count, Fraction, Positive, Section, Seed

# label ---------------------------------------------------------------------------------------------------------------


# of rows that answer the same question otherwise: keep the first, the most frequent answer, none of them, or all
Conflicts = Literal["drop_later", "majority", "drop_all", "keep"]


class Clean(Section):
    """Label by cleaning: rows without a value and duplicates are set aside."""

    method: Literal["clean"]
    required: Annotated[list[str], Field(min_length=1)]  # columns that must hold text; `messages`: a conversation
    conflicts: Conflicts


class Accounts(Section):
    """Label by account number: those that the chart does not have are set aside."""

    method: Literal["accounts"]
    lines: str  # source of the rows
    chart: str  # source of the accounts: rows number, name
    account: str  # the column of the rows that holds the account number
    text: Annotated[list[str], Field(min_length=1)]  # columns that make up the text to classify, in this order
    separator: str  # between them
    group: Annotated[list[str], Field(min_length=1)]  # same but for numbers and dates: one value of the new column `group`
    conflicts: Conflicts  # of the same text with another account


class Parts(Section):
    """Label reviews with the vehicle parts they name, by a dictionary; cleaned first, like `clean`."""

    method: Literal["parts"]
    reviews: str  # source of the reviews: rows with the column `text`, and perhaps `problem`, why one is not to be used
    text: str  # its column that is read, and becomes the instruction
    mixed: Count  # so many first rows come in an order by hash, so that the first of them are of all files; later rows as read
    dictionaries: Annotated[list[str], Field(min_length=1)]  # sources whose `name` is a part's, in order of precedence
    synonyms: str  # source of rows name, means, within; "" for none
    gold: str  # source of rows review, parts, faults to measure the labeller by; "" for none
    target: Literal["parts", "faults"]  # what becomes the response: all parts, or those with a problem
    none: Annotated[str, Field(min_length=1)]  # the response where there is none


# split ---------------------------------------------------------------------------------------------------------------


# by part the files whose rows belong to it, as globs in which * stands for any characters, / too: {test: "*test*.csv"}
Given = dict[Literal["train", "validation", "test"], Annotated[str | list[str], Field(min_length=1)]]


class Split(Section):
    given: str | Given  # column that says train, validation or test, or the files of a part; rows that say none go by hash
    group: str | list[str]  # rows that share this column (of several the first that has a value) stay in one part; "" for none
    stratify: str  # column of classes, each of which shall be in every part; "" for none
    exact: bool  # shares to the group, of each class where there are classes; added rows then move others
    train: Fraction | Literal["rest"]  # what validation and test leave; 1.0: all rows, those of validation and test too
    validation: Fraction  # share of the groups that training is watched and stopped by
    test: Fraction  # share of the groups that models are judged by
    sample: Annotated[float, Field(gt=0, le=1)]  # share of the groups kept; smaller samples lie in larger ones
    near_duplicate: Fraction  # Jaccard similarity from which a train row is too like a held-back one; 0: off
    seed: Seed

    @model_validator(mode="before")
    @classmethod
    def _rest_is_a_share(cls, section: object):
        if not isinstance(section, dict) or section.get("train") != "rest":
            return section
        shares = [section.get(part) for part in ("validation", "test")]
        known = all(isinstance(share, int | float) and 0 <= share <= 1 for share in shares)
        return section | {"train": max(0.0, round(1 - sum(shares), 9))} if known else section

    @model_validator(mode="after")
    def _sums_to_one(self):
        if isinstance(self.given, str) and self.given and self.stratify:
            raise ValueError("one of given and stratify must be empty: a source that is already split is taken as it is")
        if self.validation + self.test > 1 + 1e-9:
            raise ValueError(f"validation + test must be at most 1, not {self.validation + self.test:g}")
        if self.train != 1 and abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {self.train + self.validation + self.test:g}")
        return self


# format --------------------------------------------------------------------------------------------------------------


class AlpacaFormat(Section):
    """`### Instruction:`, an optional `### Input:`, `### Response:`."""

    style: Literal["alpaca"]
    preamble: str  # a sentence before the first heading; "" for none
    shard_rows: Positive  # rows a file; later rows go to later files


class CompletionFormat(Section):
    """The prompt, a mark where it ends, the answer, a mark where that ends."""

    style: Literal["completion"]
    prompt_ending: Annotated[str, Field(min_length=1)]  # " ->"; refused inside a prompt
    completion_start: str  # " ": byte-pair tokens of words begin with their space
    completion_ending: Annotated[str, Field(min_length=1)]  # " END"; refused inside an answer; the stop string
    shard_rows: Positive


class ChatFormat(Section):
    """Turns by system, user and assistant under the base model's own chat template."""

    style: Literal["chat"]
    system: str  # put before conversations that have no system message; "" for none
    shard_rows: Positive


class ClassificationFormat(Section):
    """A text and its label."""

    style: Literal["classification"]
    shard_rows: Positive


Label = Annotated[Clean | Accounts | Parts, Field(discriminator="method")]
Format = Annotated[AlpacaFormat | CompletionFormat | ChatFormat | ClassificationFormat, Field(discriminator="style")]


# how they hang together ----------------------------------------------------------------------------------------------

WRITTEN = {"id", "task", "reason"}  # columns that stages write themselves
# columns that rows need for each style, one of these sets
NEEDED = {
    "alpaca": (("instruction", "response"),),
    "completion": (("instruction", "response"),),
    "chat": (("instruction", "response"), ("messages",)),
    "classification": (("text", "label"),),
}
# columns that a label method makes
MADE = {
    "accounts": ["text", "label", "label_name", "group"],
    "parts": ["instruction", "response", "List_part", "Count_part", "List_fault", "group"],
}
# parameters of a label method that name sources, with the columns that each must have; the first one's rows are labelled
NAMED = {
    "accounts": {"lines": (), "chart": ("number", "name")},
    "parts": {
        "reviews": (),
        "dictionaries": ("name",),
        "synonyms": ("name", "means", "within"),
        "gold": ("review", "parts", "faults"),
    },
}
# those whose values are columns that the labelled rows must have
READ = {"accounts": ("text", "group", "account"), "parts": ("text",)}


def sources_fit(where: str, dataset: dict) -> Iterator[str]:
    """Problems between the sources of a dataset, its label method and its style. Takes raw, unchecked mappings."""
    scrape, label, style = (part if isinstance(part := dataset.get(key), dict) else {} for key in ("scrape", "label", "format"))
    sources = scrape.get("sources")
    sources = sources.items() if isinstance(sources, dict) else ()
    sources = {str(key): source for key, source in sources if isinstance(source, dict)}
    method = str(label.get("method"))
    named = list(_named(label))
    for parameter, name, _ in named:
        if name not in sources:
            yield f"{where}.label.{parameter}: no source {name!r}; expected one of {', '.join(sources) or 'none'}"
    first = next(iter(NAMED.get(method, ())), None)
    labelled = {name for parameter, name, _ in named if parameter == first}
    labelled = labelled if first else {key for key, source in sources.items() if not _names_alone(source)}
    read = [column for parameter in READ.get(method, ()) for column in _texts(label.get(parameter))]
    for key, source in sources.items():
        place, columns = f"{where}.scrape.sources.{key}", _columns(source)
        if columns is None:
            continue
        added = MADE.get(method, []) if key in labelled else []
        needed = [column for _, name, needs in named if name == key for column in needs]
        needed = dict.fromkeys(needed + read if key in labelled else needed)
        if missing := [name for name in needed if name not in columns]:
            yield f"{place}.columns: no {' and no '.join(missing)}, which label method {method} reads"
        elif key in labelled:
            yield from _lacking(place, {*columns, *added}, str(style.get("style")))
        for name in sorted({name for name in columns if name in WRITTEN or name in added or columns.count(name) > 1}):
            why = "is named twice" if columns.count(name) > 1 else "is written by the stages themselves"
            yield f"{place}: column {name!r} in columns or keep {why}; give it another name in columns"


def _named(label: dict) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Parameter, source and needed columns of every source that a label section names."""
    for parameter, columns in NAMED.get(str(label.get("method")), {}).items():
        yield from ((parameter, name, columns) for name in _texts(label.get(parameter)))


def _texts(value: object) -> list[str]:
    """The texts in a value or a list that are not empty."""
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text]


def _columns(source: dict) -> list[str] | None:
    """The names that a source's rows have; None where they are no names, which is reported elsewhere."""
    ours, kept = source.get("columns"), source.get("keep")
    return [*map(str, ours), *map(str, kept)] if isinstance(ours, dict | list) and isinstance(kept, list) else None


def _names_alone(source: dict) -> bool:
    """Whether a source is a list of names, which is never labelled."""
    columns = source.get("columns")
    return isinstance(columns, dict) and set(columns) == {"name"} or columns == ["name"]


def _lacking(place: str, columns: set[str], style: str) -> Iterator[str]:
    missing = [[name for name in needed if name not in columns] for needed in NEEDED.get(style, ())]
    if missing and all(missing):
        either = "; or ".join(f"no {' and no '.join(names)}" for names in missing)
        yield f"{place}.columns: {either}; expected a source column for all that style {style} needs"
