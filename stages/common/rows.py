"""What the rows of each file hold, and how their keys are called. Types alone: nothing here runs.

A row goes from file to file, and every stage adds or renames something:

| type | file | written by | read by |
|---|---|---|---|
| RawRow | data/<dataset>/raw/<source>/<file>.jsonl | scrape | label |
| LabelledRow | data/<dataset>/labeled.jsonl, splits/<part>.jsonl | label, split | split, format |
| DroppedRow | dropped.jsonl, splits/dropped.jsonl, formatted/refused.jsonl | label, split, format | people |
| FormattedText, FormattedLabel | data/<dataset>/formatted/<part>/<shard>.jsonl | format | train, generate, judge |
| TextAnswers, LabelAnswers | data/answers/<model>.jsonl | generate | judge, reports |
| TextVerdicts, LabelVerdicts | data/verdicts/<model>.jsonl | judge | reports |

Every row has an `id`, which says where it comes from: `<source>/<file>#<row>`. It stays the same from file to file.
"""

from typing import Literal, NotRequired, Required, TypedDict


class Message(TypedDict):
    """One turn of a conversation. `weight` 0: an answer that is read and not learned."""

    role: Literal["system", "user", "assistant"]
    content: str
    name: NotRequired[str]
    weight: NotRequired[Literal[0, 1]]


class RawRow(TypedDict, total=False):
    """A row as its source has it, under our column names. Values may be of any type that JSON has.

    Columns that `scrape` was told to keep come beside these, under the source's names.
    """

    id: Required[str]
    instruction: object
    input: object
    response: object
    messages: object
    text: object
    label: object
    name: object  # of a source that yields names: a part, an account
    problem: str  # what the reader found wrong with the record


class LabelledRow(TypedDict, total=False):
    """A row that can be used.

    Task `text`: it has `messages`, or `instruction` and `response`. Task `label`: it has `text` and `label`.
    """

    id: Required[str]
    task: Required[Literal["text", "label"]]
    instruction: str
    input: str  # what the instruction is to be carried out on
    response: str
    messages: list[Message]
    text: str
    label: str
    label_name: str  # the label in words
    paraphrase: str  # another good response
    weak: str  # what the labelling program says, where the response is a person's
    group: str  # rows of one group come to the same part
    part: Literal["train", "validation", "test"]  # where the row itself says that it belongs
    List_part: list[str]  # of a review: the parts it names
    Count_part: int
    List_fault: list[str]  # those of them about which it reports a problem


class DroppedRow(RawRow):
    """A row left out, as it was when the stage read it, with the reason, which is counted."""

    reason: Required[str]


class FormattedText(TypedDict):
    """A conversation and its completion. `place` counts the rows of a part from 0."""

    id: str
    task: Literal["text"]
    place: int
    messages: list[Message]  # the prompt; rendered by the model's own chat template
    completion: str  # what is to be learned, with the marks of the prompt style
    paraphrase: NotRequired[str]
    weak: NotRequired[str]


class FormattedLabel(TypedDict):
    """A text and its label."""

    id: str
    task: Literal["label"]
    place: int
    text: str
    label: str


FormattedRow = FormattedText | FormattedLabel


class TextAnswer(TypedDict):
    """What one contestant answered. `finish` says why it ended."""

    prompt: str
    text: str
    tokens: int
    prompt_tokens: int
    finish: Literal["stop", "length", "refused", "refused: marks", "prompt too long"]
    likelihood: NotRequired[tuple[float, int, int]]  # of the expected answer: nats, tokens, tokens predicted right
    shots: NotRequired[list[str]]  # ids of the training rows that were shown before the question


class TextAnswers(TypedDict):
    """The answers to one test row or probe, by contestant: `tuned`, `base`, `base_chat`, `base_shots`, `parent`."""

    id: str
    task: Literal["text"]
    messages: list[Message]
    expected: str | None  # the completion up to its stop string; None for a probe
    completion: NotRequired[str]  # where it is not the same as `expected`
    paraphrase: NotRequired[str]
    weak: NotRequired[str]
    answers: dict[str, TextAnswer]


class LabelAnswer(TypedDict):
    """The likeliest label, and the probability of each, the likeliest first."""

    label: str
    probabilities: dict[str, float]
    reads: NotRequired[Literal["char"]]  # of `tfidf`, where no training text has a word


class LabelAnswers(TypedDict):
    """The answers to one test row, by contestant: `tuned`, `parent`, `majority`, `tfidf`."""

    id: str
    task: Literal["label"]
    text: str
    expected: str
    answers: dict[str, LabelAnswer]


class TextVerdicts(TypedDict):
    """What each judge says of the answers to one test row, by judge; None where it failed."""

    id: str
    scores: dict[str, dict[str, float | None]]  # by judge, then by contestant or `control <kind>`
    reasons: NotRequired[dict[str, dict[str, str]]]
    thinking: NotRequired[dict[str, dict[str, str]]]  # what a reasoning judge thought before its verdict
    failed: NotRequired[dict[str, dict[str, str]]]
    pairs: NotRequired[dict[str, dict]]  # by judge: tuned against the better base, in both orders
    likelihood: NotRequired[dict[str, list[float]]]  # by contestant: nats, tokens, tokens predicted right
    figures: NotRequired[dict[str, dict[str, float]]]  # by contestant: flags of form, and what the task asks, of this row


class LabelVerdicts(TypedDict):
    """Who labelled one test row right: 1 or 0 by contestant, under the name `right`."""

    id: str
    scores: dict[Literal["right"], dict[str, int]]
