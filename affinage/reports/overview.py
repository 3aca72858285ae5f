"""Every model of a revision in a few words: its headline beside its base's, how the difference reads, and what to beware of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from affinage.history.alarms import behind, raised
from affinage.reports import figures
from affinage.reports.outputs import WORKSPACE, Revision
from stages.common.errors import StageError


@dataclass(frozen=True)
class Headline:
    """One figure of the tuned model and of its base; `low` to `high` is the interval of the difference `gain`."""

    name: str
    kind: figures.Kind
    base: float
    tuned: float
    gain: float
    low: float
    high: float

    @property
    def reading(self) -> str:
        """`better`, `worse`, `within noise` or `differs`."""
        return figures.reading(self.name, self.low, self.high)

    @property
    def difference(self) -> str:
        """`+15.6 [+11.4, +20.1]`."""
        decimals = self.kind.decimals
        return f"{figures.show(self.gain, decimals, True)} {figures.interval(vars(self), decimals, True)}"


class Overview:
    """One model. Only what git keeps is needed; the question comes from the answers file, where that is at hand."""

    def __init__(self, name: str, revision: Revision):
        self.name, self.revision, self.params = name, revision, revision.model(name)

    @property
    def dataset(self) -> str:
        return str(self.params.get("dataset", "?"))

    @property
    def base(self) -> str:
        return str(self.params.get("base", "?"))

    @cached_property
    def judges(self) -> list[str]:
        return list((self.params.get("judge") or {}).get("judges") or {})

    @cached_property
    def headlines(self) -> list[Headline]:
        """Every figure of scores.json that has an interval, the most telling first.

        That is the accuracy of a classifier, the F1 of parts found, else the judge's mean score, else perplexity.
        """
        scores = self.revision.json(f"metrics/{self.name}/scores.json")
        known = [
            name
            for name, entry in scores.items()
            if isinstance(entry, dict) and {"tuned", "gain", "low", "high"} <= entry.keys()
        ]
        telling = [
            "accuracy",
            *(name for name in known if name.endswith("_f1") and name != "macro_f1"),
            *self.judges,
            "perplexity",
        ]
        ordered = [name for name in telling if name in known] + [name for name in known if name not in telling]
        return [self._headline(name, scores[name]) for name in ordered]

    def _headline(self, name: str, entry: dict) -> Headline:
        base = entry["tuned"] - entry["gain"]
        return Headline(name, figures.kind(name, self.judges), base, entry["tuned"], entry["gain"], entry["low"], entry["high"])

    @cached_property
    def warnings(self) -> list[str]:
        """Alarms of its stages and its dataset's, and judges that are weak on some kind of control."""
        paths = behind(self.name, self.dataset)
        files = {path: content for path in paths if (content := self.revision.read(path)) is not None}
        judges = self.revision.json(f"metrics/{self.name}/details.json").get("judges") or {}
        weak = [f"judge {judge} is weak on {', '.join(map(figures.control, kinds))}" for judge, kinds in _weak(judges)]
        return [*map(str, raised(files)), *weak]

    @cached_property
    def question(self) -> str:
        """What the first row of the answers file asks; empty where the answers are not at hand."""
        try:
            content = self.revision.read(f"data/answers/{self.name}.jsonl") or b""
        except StageError:  # neither in the cache nor in the remote
            return ""
        first = content.partition(b"\n")[0]
        row = json.loads(first) if first else {}
        turns = [turn["content"] for turn in row.get("messages") or [] if turn["role"] == "user"]
        return str(turns[-1] if turns else row.get("text", ""))


def _weak(judges: dict) -> Iterator[tuple[str, list[str]]]:
    for judge, health in judges.items():
        if kinds := list(health.get("weak") or ()):
            yield judge, kinds


def overviews(revision: Revision | None = None) -> list[Overview]:
    """Every model: datasets in the order of params.yaml, the rounds of a dataset one after the other."""
    revision = revision or Revision(WORKSPACE)
    models = revision.params.get("models") or {}
    datasets = list(dict.fromkeys(model.get("dataset") for model in models.values()))
    places = list(models)
    order = sorted(
        models, key=lambda name: (datasets.index(models[name].get("dataset")), _round(name, models), places.index(name))
    )
    return [Overview(name, revision) for name in order]


def _round(name: str, models: dict) -> int:
    """How many rounds lie before a model."""
    before = []
    while (base := models[name].get("base")) in models and base not in before:
        before.append(base)
        name = base
    return len(before)
