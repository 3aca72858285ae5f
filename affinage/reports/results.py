"""One model at one revision: its rows with answers and verdicts side by side, and its figures."""

import csv
import io
from dataclasses import dataclass, field
from functools import cached_property

from affinage.history.alarms import Raised, behind, raised
from affinage.reports.outputs import Gone, Revision
from stages.common.errors import StageError
from stages.common.speed import read_times

TUNED = "tuned"


@dataclass(frozen=True)
class Row:
    """A question, what was expected and what each contestant answered.

    Attributes:
        turns: the conversation as (role, text); of a text to classify, that text alone.
        expected: the expected answer or label; None for a probe.
        answers: by contestant: `text` or `label` (with `probabilities`), `prompt`, `tokens`, `finish`, as far as there.
        scores: by judge and contestant, None where the judge failed; `reasons`, `failed` and `pairs` likewise.
        likelihood: by contestant: nats, tokens and tokens predicted right of the expected answer.
        figures: by contestant and name: flags of form and measures of the task, of this row.
    """

    id: str
    turns: tuple[tuple[str, str], ...]
    expected: str | None
    answers: dict[str, dict]
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    pairs: dict[str, dict] = field(default_factory=dict)
    likelihood: dict[str, list[float]] = field(default_factory=dict)
    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def asked(self) -> tuple:
        """What makes rows of two revisions the same, whatever their ids: the conversation and the expected answer."""
        return self.turns, self.expected

    def text_of(self, contestant: str) -> str:
        """What a contestant answered; the label, of a text to classify."""
        answer = self.answers.get(contestant, {})
        return str(answer.get("text", answer.get("label", "")))


def _row(answered: dict, verdict: dict) -> Row:
    turns = [(turn["role"], turn["content"]) for turn in answered.get("messages") or []]
    return Row(
        answered["id"],
        tuple(turns) or (("text", str(answered.get("text", ""))),),
        None if answered.get("expected") is None else str(answered["expected"]),
        answered["answers"],
        *(verdict.get(key) or {} for key in ("scores", "reasons", "failed", "pairs", "likelihood", "figures")),
    )


class Results:
    """What `generate` and `judge` left of one model."""

    def __init__(self, name: str, revision: Revision):
        self.name, self.revision = name, revision
        self.params = revision.model(name)

    def path(self, file: str) -> str:
        return f"metrics/{self.name}/{file}"

    def require_outputs(self) -> None:
        """Say at once what is not at hand.

        Raises:
            Gone: naming all of it, and what brings it back.
        """
        if lost := self.gone:
            where, fix = self.revision.where(" and ".join(lost)), self.revision.fetch(lost)
            raise Gone(where, "in neither cache nor remote", "outputs that were run, pulled or pushed", fix)

    @cached_property
    def gone(self) -> list[str]:
        """The answers and the verdicts, where this revision had them and their content is nowhere."""
        return self.revision.gone([f"data/answers/{self.name}.jsonl", f"data/verdicts/{self.name}.jsonl"])

    @cached_property
    def rows(self) -> list[Row]:
        """Every row of the answers file, with its verdicts."""
        answered = self.revision.rows(f"data/answers/{self.name}.jsonl", f"generate@{self.name}")
        verdicts = {row["id"]: row for row in self.revision.rows(f"data/verdicts/{self.name}.jsonl", f"judge@{self.name}")}
        return [_row(row, verdicts.get(row["id"], {})) for row in answered]

    @cached_property
    def stale(self) -> bool:
        """Whether the answers changed after they were judged."""
        return self.revision.changed_since(f"judge@{self.name}", f"data/answers/{self.name}.jsonl")

    @cached_property
    def judged(self) -> list[Row]:
        """The rows that have an expected answer: all but the probes."""
        return [row for row in self.rows if row.expected is not None]

    @cached_property
    def task(self) -> str:
        """`text`, or `label` where texts are classified."""
        return "label" if any("label" in answer for row in self.rows for answer in row.answers.values()) else "text"

    @cached_property
    def label_names(self) -> dict[str, str]:
        """What labels are called, where the dataset gives them names and its formatted rows are at hand."""
        try:
            formatted = self.revision.json(f"data/{self.params.get('dataset')}/formatted/labels.json")
        except StageError:
            return {}
        pairs = zip(formatted.get("labels", []), formatted.get("names", []), strict=False)
        return {label: name for label, name in pairs if name != label}

    @cached_property
    def contestants(self) -> list[str]:
        """The contestants, in the order of the answers file."""
        return list(dict.fromkeys(contestant for row in self.rows for contestant in row.answers))

    @cached_property
    def judges(self) -> list[str]:
        """The judges that gave verdicts."""
        return list(dict.fromkeys(judge for row in self.rows for judge in row.scores))

    @property
    def judges_in_params(self) -> list[str]:
        """The judges that params.yaml names, whether or not they gave verdicts."""
        return list((self.params.get("judge") or {}).get("judges") or {})

    def said_of(self, judge: str) -> dict:
        """What `details.json` says of a judge; empty where it has nothing of it."""
        return (self.details.get("judges") or {}).get(judge) or {}

    def span(self, judge: str) -> tuple[float, float]:
        """The lowest and the highest score that a judge can give: what it says of itself, else 0 to 100."""
        low, high = self.said_of(judge).get("scale") or (0, 100)
        return float(low), float(high)

    @cached_property
    def rival(self) -> str | None:
        """Whom the tuned model is compared with first: the better base by the first judge (or any figure), else the first."""
        gain = self.details.get("gain") or {}
        over = [gain.get(name, {}).get("over") for name in (*self.judges, *gain)]
        return next(
            (contestant for contestant in [*over, *self.contestants] if contestant in self.contestants and contestant != TUNED),
            None,
        )

    @cached_property
    def scores(self) -> dict:
        return self.revision.json(self.path("scores.json"))

    @cached_property
    def alarms(self) -> list[Raised]:
        """What the stages behind the model ended with that no one wants."""
        paths = behind(self.name, self.params.get("dataset"))
        return raised({path: data for path in paths if (data := self.revision.read(path)) is not None})

    @cached_property
    def details(self) -> dict:
        return self.revision.json(self.path("details.json"))

    @cached_property
    def training(self) -> dict:
        return self.revision.json(self.path("train.json"))

    def speed(self, stage: str) -> dict:
        """Timings and environment of `train`, `generate` or `judge`; empty where none were kept."""
        return self.revision.json(f"metrics/speed/{self.name}/{stage}.json")

    @cached_property
    def seconds(self) -> dict[str, dict[str, float]]:
        """Seconds of each answer, by contestant and row id; empty where these very answers were not made in this folder."""
        totals = self.revision.root / "metrics" / "speed" / self.name / "generate.json"
        return read_times(totals, self.revision.read(f"data/answers/{self.name}.jsonl"))

    @cached_property
    def steps(self) -> list[dict[str, float]]:
        """The table of training, a row a step; cells that are blank or no number are left out."""
        rows = csv.DictReader(io.StringIO(self.revision.text(self.path("results.csv"))))
        return [{name: float(cell) for name, cell in row.items() if _is_number(cell)} for row in rows]


def _is_number(cell: object) -> bool:
    try:
        return float(cell) == float(cell)
    except (TypeError, ValueError):
        return False


def printable(text: str) -> str:
    """A line without characters that would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str, width: int) -> str:
    """One line of at most `width` printable characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"


def _leaf(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_leaf, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def flat(tree: dict, path: str = "") -> list[tuple[str, str]]:
    """Leaves as (dotted path, text)."""
    leaves = []
    for key, value in tree.items():
        name = f"{path}{key}"
        leaves += flat(value, f"{name}.") if isinstance(value, dict) else [(name, _leaf(value))]
    return leaves
