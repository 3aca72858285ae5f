"""Sections of `params.yaml` for label, split and format, and what all sections share. Checked by stages/common/schema.py."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# label ---------------------------------------------------------------------------------------------------------------


class Clean(Section):
    """Label by cleaning: rows without a value and duplicates are set aside."""

    method: Literal["clean"]
    required: Annotated[list[str], Field(min_length=1)]  # columns that must hold text; `messages`: a conversation
    conflicts: Literal["drop_later", "keep"]  # same question, another answer


class Chart(Section):
    """A CSV file that lists the accounts."""

    file: str  # below `source`
    account: str  # its column of account numbers
    name: str  # its column of their names


class Accounts(Section):
    """Label by account number: those that the chart does not have are set aside."""

    method: Literal["accounts"]
    chart: Chart
    account: str  # the column of the rows that holds the account number
    text: Annotated[list[str], Field(min_length=1)]  # columns that make up the text to classify, in this order
    separator: str  # between them
    group: Annotated[list[str], Field(min_length=1)]  # same but for numbers and dates: one value of the new column `group`
    conflicts: Literal["drop_later", "keep"]  # same text, another account


# split ---------------------------------------------------------------------------------------------------------------


class Split(Section):
    given: str  # column that says train, validation or test; "" to split by hash
    group: str  # rows that share this column stay on one side; "" for none
    stratify: str  # column of classes, each of which shall be on every side; "" for none
    train: Fraction  # 1.0: every row is trained on, those of validation and test too
    validation: Fraction
    test: Fraction
    sample: Annotated[float, Field(gt=0, le=1)]  # share of the groups kept; smaller samples lie in larger ones
    near_duplicate: Fraction  # Jaccard similarity from which a train row is too like a held-back one; 0: off
    seed: Count

    @model_validator(mode="after")
    def _sums_to_one(self):
        if self.given and self.stratify:
            raise ValueError("one of given and stratify must be empty: a source that is already split is taken as it is")
        if self.train == 1:
            if self.validation + self.test > 1:
                raise ValueError(f"validation + test must be at most 1, not {self.validation + self.test:g}")
        elif abs(self.train + self.validation + self.test - 1) > 1e-9:
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


Label = Annotated[Clean | Accounts, Field(discriminator="method")]
Format = Annotated[AlpacaFormat | CompletionFormat | ChatFormat | ClassificationFormat, Field(discriminator="style")]

# columns that rows need for each style, one of these sets
NEEDED = {
    "alpaca": (("instruction", "response"),),
    "completion": (("instruction", "response"),),
    "chat": (("instruction", "response"), ("messages",)),
    "classification": (("text", "label"),),
}
MADE = {"accounts": ["text", "label", "label_name", "group"]}  # columns that a label method adds
