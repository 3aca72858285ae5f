"""Two revisions of a model: which differences are more than noise.

Two revisions are compared on the rows that they have in common: the same conversation and expected answer, whatever their
ids. Every difference has a paired bootstrap interval: both revisions are resampled together, row by row, so that rows
that are hard for both cancel out. Where an old revision kept nothing of a figure's rows, its values stand without an interval.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from affinage.reports import figures
from affinage.reports.results import TUNED, Results, Row, flat
from affinage.reports.same_judge import unlike
from stages.common.errors import StageError
from stages.judging.classes import accuracy, calibration_error, macro_f1
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.measures import limerick, parts
from stages.judging.metrics import Figure, chrf

Pair = tuple[Row, Row]
FEWEST = 2  # rows for an interval
Z95, Z80 = 1.96, 0.8416  # quantiles of the normal distribution: two-sided 95 %, one-sided 80 %


def _parts(rows: list[Row], contestant: str) -> dict[str, Figure]:
    whole = [row.answers[contestant].get("finish") == "stop" for row in rows]
    return parts([row.expected for row in rows], [row.text_of(contestant) for row in rows], whole)


def _form(rows: list[Row], contestant: str) -> dict[str, Figure]:
    texts = [row.text_of(contestant) for row in rows]
    return limerick(["" for _ in rows], [row.expected for row in rows], texts, ())


# headlines of tasks, and what makes them of answers; others are read from the verdicts, which keep them row by row
OF_ANSWERS = ((("parts_f1",), _parts), (("five_lines", "rhyme", "rhymed_pairs"), _form))


@dataclass(frozen=True)
class Difference:
    """A figure of both revisions on `rows` common rows; `low` and `high` are None where rows were not kept."""

    name: str
    title: str
    decimals: int
    first: float | None
    second: float | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    note: str = ""

    @property
    def reading(self) -> str:
        """`better`, `worse`, `within noise`, `the same`, or "" where nothing can be said."""
        if self.low is None:
            return ""
        return figures.SAME if self.low == self.high == 0 else figures.reading(self.name, self.low, self.high)

    @property
    def rows_to_show(self) -> int | None:
        """How many rows would show a difference of this size in four of five draws; None where it is shown, or is none.

        From the paired spread: an interval of n rows is sqrt(N / n) times as wide as one of N. A power of 80 % takes
        (z95 + z80) / z95 times its half width, squared (Cohen, Statistical Power Analysis, 1988).
        """
        if self.reading != figures.NOISE or not self.value:
            return None
        half = (self.high - self.low) / 2
        return math.ceil(self.rows * ((Z95 + Z80) / Z95 * half / abs(self.value)) ** 2)


def common_rows(first: list[Row], second: list[Row]) -> list[Pair]:
    """Rows that ask the same and expect the same, in the second's order; repeated ones are paired in turn."""
    waiting = defaultdict(list)
    for row in first:
        waiting[row.asked].append(row)
    return [(waiting[row.asked].pop(0), row) for row in second if waiting[row.asked]]


class Comparison:
    """What changed from the first to the second.

    Raises:
        StageError: where they have no two rows in common, or do not do the same task.
    """

    def __init__(self, first: Results, second: Results, contestant: str = TUNED):
        self.first, self.second, self.contestant = first, second, contestant
        self.pairs = common_rows(first.judged, second.judged)
        where = f"{second.name}: {first.revision} and {second.revision}"
        if first.task != second.task:
            raise StageError(where, f"tasks {first.task} and {second.task}", "the same task", "compare other revisions")
        if len(self.pairs) < FEWEST:
            raise StageError(
                where,
                f"{len(self.pairs)} test rows in common, of {len(first.judged)} and {len(second.judged)}",
                f"at least {FEWEST}: the same questions with the same expected answers",
                "compare revisions that were split alike",
            )
        for results in (first, second):
            if contestant not in results.contestants:
                names = ", ".join(results.contestants)
                raise StageError(
                    f"{results.name} at {results.revision}", f"no answers of {contestant!r}", f"one of: {names}", "--who"
                )

    @cached_property
    def changed(self) -> list[Pair]:
        """The pairs whose answers differ."""
        return [pair for pair in self.pairs if pair[0].text_of(self.contestant) != pair[1].text_of(self.contestant)]

    @cached_property
    def params(self) -> list[tuple[str, str, str]]:
        """(parameter, first, second) of the model and its dataset, where they differ; likewise what `precision: auto` was in
        training, where both tell."""
        sides = []
        for results in (self.first, self.second):
            dataset = results.params.get("dataset")
            data = (results.revision.params.get("datasets") or {}).get(dataset) or {}
            sides.append(dict(flat({"models": {self.second.name: results.params}, "datasets": {str(dataset): data}})))
        names = [name for name in sides[1] | sides[0] if sides[0].get(name) != sides[1].get(name)]
        differing = [(name, *(side.get(name, "none") for side in sides)) for name in names]
        used = [results.training.get("precision") for results in (self.first, self.second)]
        return differing + ([("precision in training", *used)] if all(used) and used[0] != used[1] else [])

    # figures ---------------------------------------------------------------------------------------------------------

    @cached_property
    def differences(self) -> list[Difference]:
        """Every headline of either revision, those with rows to compare by first."""
        if self.second.task == "label":
            of_rows = self._labels()
        else:
            of_rows = [self._likelihood(), self._chrf(), *self._of_task()]
            of_rows += [self._judge(judge) for judge in dict.fromkeys([*self.first.judges, *self.second.judges])]
        known = {difference.name for difference in of_rows if difference} | (
            {"perplexity"} if any(o and o.name == "bits_per_byte" for o in of_rows) else set()
        )
        rest = [name for name in self.first.scores | self.second.scores if name not in known]
        return [difference for difference in [*of_rows, *map(self._of_verdicts, rest)] if difference]

    def _paired(self, name: str, pairs: list[Pair], make: Callable[[list[Row]], Figure], note: str = "") -> Difference:
        """A figure made of the rows of each side, on the same resamples."""
        kind = figures.kind(name, self.second.judges)
        (before, statistic), (after, _) = (make([pair[side] for pair in pairs]) for side in (0, 1))
        options = self.second.params["judge"]
        bootstrap = Bootstrap(len(pairs), options["bootstrap"], options["confidence"], options["seed"])
        interval = bootstrap.difference(after, before, statistic)
        both = (float(statistic(rows.sum(0))) for rows in (before, after))
        if len(pairs) < len(self.pairs):
            note = f"{len(self.pairs) - len(pairs)} rows without it left out" + (f"; {note}" if note else "")
        return Difference(name, kind.title, kind.decimals, *both, **interval, rows=len(pairs), note=note)

    def _values(self, name: str, note: str) -> Difference | None:
        """A figure as each revision's headlines have it, over all its rows."""
        kind = figures.kind(name, self.second.judges)
        both = [
            ((results.scores.get(name) or {}) if isinstance(results.scores.get(name), dict) else {}).get(self.contestant)
            for results in (self.first, self.second)
        ]
        return (
            Difference(name, kind.title, kind.decimals, *both, note=note) if any(value is not None for value in both) else None
        )

    def _of_verdicts(self, name: str) -> Difference | None:
        """A figure that the verdicts keep row by row, such as the share of answers with a flag of form."""
        lacks = [
            str(results.revision)
            for side, results in enumerate((self.first, self.second))
            if any(name not in pair[side].figures.get(self.contestant, {}) for pair in self.pairs)
        ]
        if lacks:
            return self._values(name, f"verdicts at {' and '.join(lacks)} do not keep it of each row: judge again there")

        def of(rows: list[Row]) -> Figure:
            return with_count([row.figures[self.contestant][name] for row in rows]), mean

        return self._paired(name, self.pairs, of)

    def _likelihood(self) -> Difference | None:
        """Perplexity; bits a byte where the two do not count the same tokens."""
        pairs = [pair for pair in self.pairs if all(row.likelihood.get(self.contestant, (0, 0))[1] for row in pair)]
        if len(pairs) < FEWEST:
            lacks = [str(side.revision) for side in (self.first, self.second) if not any(row.likelihood for row in side.rows)]
            return self._values("perplexity", f"no likelihoods of rows at {' and '.join(lacks)}: judge again" if lacks else "")

        def sums(rows: list[Row]) -> np.ndarray:
            return np.array([[*row.likelihood[self.contestant][:2], len(row.expected.encode())] for row in rows], float)

        if all(before.likelihood[self.contestant][1] == after.likelihood[self.contestant][1] for before, after in pairs):
            return self._paired("perplexity", pairs, lambda rows: (sums(rows), lambda s: np.exp(s[..., 0] / s[..., 1])))
        note = "other tokens: perplexities do not compare"
        return self._paired(
            "bits_per_byte", pairs, lambda rows: (sums(rows), lambda s: s[..., 0] / np.log(2) / s[..., 2]), note
        )

    def _chrf(self) -> Difference:
        def of_rows(rows: list[Row]) -> Figure:
            return chrf([row.text_of(self.contestant) for row in rows], [row.expected for row in rows])

        return self._paired("chrf", self.pairs, of_rows)

    def _of_task(self) -> list[Difference]:
        """The headlines of the task's own measures that the answers alone tell."""
        return [
            self._paired(name, self.pairs, lambda rows, name=name, make=make: make(rows, self.contestant)[name])
            for names, make in OF_ANSWERS
            for name in names
            if name in self.first.scores and name in self.second.scores
        ]

    def _labels(self) -> list[Difference]:
        labels = sorted({text for pair in self.pairs for row in pair for text in (row.expected, row.text_of(self.contestant))})

        def sides(rows: list[Row]) -> tuple[list[str], list[str]]:
            return [row.expected for row in rows], [row.text_of(self.contestant) for row in rows]

        def shares(rows: list[Row]) -> list[dict[str, float]]:
            return [row.answers[self.contestant].get("probabilities") or {} for row in rows]

        makers = {
            "accuracy": lambda rows: accuracy(*sides(rows)),
            "macro_f1": lambda rows: macro_f1(*sides(rows), labels),
        }
        if all(all(shares(list(pair))) for pair in self.pairs):
            makers["calibration_error"] = lambda rows: calibration_error(*sides(rows), shares(rows))
        return [self._paired(name, self.pairs, make) for name, make in makers.items()]

    # judges ----------------------------------------------------------------------------------------------------------

    def _judge(self, judge: str) -> Difference | None:
        if why := unlike(self.first, self.second, judge):
            return self._values(judge, f"not compared: {why}")
        pairs = [pair for pair in self.pairs if all(self._score(row, judge) is not None for row in pair)]
        if len(pairs) < FEWEST:
            return self._values(judge, "not compared: too few rows that it scored in both")
        weak = {
            kind
            for results in (self.first, self.second)
            for kind in results.details.get("judges", {}).get(judge, {}).get("weak", [])
        }
        note = f"a weak judge of {', '.join(sorted(map(figures.control, weak)))}" if weak else ""
        return self._paired(judge, pairs, lambda rows: (with_count([self._score(row, judge) for row in rows]), mean), note)

    def _score(self, row: Row, judge: str) -> float | None:
        return row.scores.get(judge, {}).get(self.contestant)

    # rows ------------------------------------------------------------------------------------------------------------

    @cached_property
    def measure(self) -> str:
        """By what rows are ranked: the first judge whose scores compare, else chrF, else whether the label is right."""
        if self.second.task == "label":
            return "label"
        judges = [judge for judge in self.second.judges if not unlike(self.first, self.second, judge)]
        return (judges or ["chrf"])[0]

    def row_scores(self, pair: Pair) -> tuple[float | None, float | None]:
        """What a row's answers are worth before and after, by `measure`; of labels 1 where right, else 0."""
        if self.measure == "label":
            return tuple(float(row.text_of(self.contestant) == row.expected) for row in pair)
        if self.measure == "chrf":
            rows, statistic = chrf([row.text_of(self.contestant) for row in pair], [row.expected for row in pair])
            return tuple(float(statistic(sums)) for sums in rows)
        return tuple(self._score(row, self.measure) for row in pair)

    def row_change(self, pair: Pair) -> float | None:
        """How much better (or, below 0, worse) a row's answer became, by `measure`."""
        before, after = self.row_scores(pair)
        return None if before is None or after is None else after - before

    def most_changed(self, count: int) -> list[tuple[float, Pair]]:
        """The rows whose answers differ and changed most, either way."""
        changes = [(self.row_change(pair), pair) for pair in self.changed]
        return sorted(((c, pair) for c, pair in changes if c), key=lambda change: -abs(change[0]))[:count]
