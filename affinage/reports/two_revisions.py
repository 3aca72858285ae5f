"""Two revisions of a model side by side as one page: what differs in figures, and row by row in answers.

The comparison itself is `comparison.py`'s: rows in common, paired intervals, judges that are the same.
"""

from functools import cached_property

from affinage.reports import differences, drawings, figures
from affinage.reports.answer_rows import cut, judgements, reply, verdict
from affinage.reports.comparison import Comparison, Difference, Pair
from affinage.reports.kept_columns import kept_columns
from affinage.reports.rendering import render_template, source_in_words
from affinage.reports.results import Row
from affinage.reports.same_judge import unlike


class ComparedTable:
    """The rows that both revisions have, those whose answers differ first, and of these the most changed first."""

    def __init__(self, comparison: Comparison):
        self.comparison = comparison
        self.sides = (comparison.first, comparison.second)
        self.judges = [judge for judge in comparison.second.judges if not unlike(*self.sides, judge)]
        rows = [after for _, after in comparison.pairs]
        self.kept = kept_columns(comparison.second.revision, str(comparison.second.params.get("dataset")), rows)

    @cached_property
    def measure(self) -> str:
        """By what a row's change is measured, in words."""
        measure = self.comparison.measure
        return {"label": "right or wrong", "chrf": "chrF"}.get(measure, f"judge {measure}")

    @cached_property
    def changes(self) -> list[float | None]:
        """How much better (below 0: worse) each row's answer became; of labels 1, 0 or -1."""
        return [self.comparison.row_change(pair) for pair in self.comparison.pairs]

    @property
    def sort_keys(self) -> list[tuple[str, str]]:
        """(what a row can be sorted by, its column)."""
        first, second = self.labels
        keys = [("what differs most", "number"), ("place in the file", "place"), ("question", "question")]
        keys += [(f"change by {self.measure}", "gain")]
        for judge in self.judges if self.comparison.second.task == "text" else []:
            keys += [(f"{judge}: {first}", "score"), (f"{judge}: {second}", "score")]
        return [*keys, ("length of the expected answer", "expected"), (f"length of the answer at {second}", "tuned")]

    @cached_property
    def labels(self) -> tuple[str, str]:
        """Both sides in words: the revisions, or the models, or both, as far as they differ."""
        names = [results.name for results in self.sides]
        revisions = [str(results.revision) for results in self.sides]
        if names[0] == names[1]:
            return revisions[0], revisions[1]
        if revisions[0] == revisions[1]:
            return names[0], names[1]
        return tuple(f"{name} at {revision}" for name, revision in zip(names, revisions, strict=True))

    @cached_property
    def rows(self) -> list[dict]:
        def rank(place: int) -> tuple:
            before, after = self.comparison.pairs[place]
            same = before.text_of(self.comparison.contestant) == after.text_of(self.comparison.contestant)
            return same, -abs(self.changes[place] or 0), place

        order = sorted(range(len(self.changes)), key=rank)
        return [self._row(number, place) for number, place in enumerate(order, 1)]

    def _row(self, number: int, place: int) -> dict:
        pair, change = self.comparison.pairs[place], self.changes[place]
        after, contestant = pair[1], self.comparison.contestant
        runs = differences.compare(*(cut(row.text_of(contestant)) for row in pair))
        return {
            "number": number,
            "row": after,
            "turns": [(role, cut(text)) for role, text in after.turns],
            "expected": cut(after.expected),
            "expected_runs": [("", cut(after.expected))],
            "answers": [
                reply(results, row, contestant, label, side, own)
                for results, row, label, side, own in zip(self.sides, pair, self.labels, ("base", "tuned"), runs, strict=True)
            ],
            "folded": [],
            "verdicts": self._verdicts(pair),
            "judgements": [
                judgement
                for row, label in zip(pair, self.labels, strict=True)
                for judge in row.scores
                for judgement in judgements(row, judge, contestant, label)
            ],
            "surprise": [],
            "more": "Prompts, verdicts" if any(row.answers.get(contestant, {}).get("prompt") for row in pair) else "Verdicts",
            "sorted_by": self._keys(number, place),
            "flags": " ".join(self._flags(pair, change)),
            "kept_places": self.kept.places(after.id),
            "kept_values": self.kept.values(after.id),
        }

    def _verdicts(self, pair: Pair) -> list[dict]:
        if self.comparison.second.task == "label":
            return []
        if not self.judges:  # no judge is the same at both
            return [verdict("chrF", (0, 100), *self.comparison.row_scores(pair))]
        scores = [[row.scores.get(judge, {}).get(self.comparison.contestant) for row in pair] for judge in self.judges]
        spans = [self.comparison.second.span(judge) for judge in self.judges]
        return [verdict(judge, span, *own) for judge, span, own in zip(self.judges, spans, scores, strict=True)]

    def _keys(self, number: int, place: int) -> list[str]:
        pair = self.comparison.pairs[place]
        after = pair[1]
        keys = [number, place + 1, after.turns[-1][1][:80], self.changes[place]]
        for judge in self.judges if self.comparison.second.task == "text" else []:
            keys += [row.scores.get(judge, {}).get(self.comparison.contestant) for row in pair]
        keys += [len(after.expected), len(after.text_of(self.comparison.contestant))]
        return [key if isinstance(key, str) else "" if key is None else f"{key:g}" for key in keys]

    def _flags(self, pair: tuple[Row, Row], change: float | None) -> list[str]:
        texts = [row.text_of(self.comparison.contestant) for row in pair]
        flags = ["same" if texts[0] == texts[1] else "differs"]
        if change:
            flags.append("gained" if change > 0 else "lost")
        return flags

    @cached_property
    def filters(self) -> list[tuple[str, str, int]]:
        """(flag, in words, rows): those that some row has."""
        words = {
            "differs": "answers that differ",
            "gained": f"better by {self.measure}",
            "lost": f"worse by {self.measure}",
            "same": "the same answer",
        }
        flags = [flag for row in self.rows for flag in row["flags"].split()]
        return [(flag, text, flags.count(flag)) for flag, text in words.items() if flag in flags]


class ComparedPage:
    """What the template is given."""

    def __init__(self, comparison: Comparison):
        self.comparison, self.table = comparison, ComparedTable(comparison)
        self.sources = [source_in_words(results.revision) for results in self.table.sides]

    @cached_property
    def differences(self) -> list[tuple[Difference, drawings.Whisker | None]]:
        """Every headline, with its interval as a picture where it has one."""
        lines = []
        for difference in self.comparison.differences:
            whisker = None
            if difference.low is not None:
                reach = max(abs(difference.low), abs(difference.high)) or 1
                whisker = drawings.whisker(difference.value, difference.low, difference.high, 0, -reach, reach)
            lines.append((difference, whisker))
        return lines

    @cached_property
    def readings(self) -> list[tuple[str, list[str]]]:
        """(reading, names of headlines), better ones first."""
        judges = self.comparison.second.judges
        return figures.by_reading((figures.kind(d.name, judges).inside, d.reading) for d, _ in self.differences)

    @cached_property
    def plot(self) -> drawings.Plot | None:
        """The change of each row, sorted; None where no row changed."""
        changes = [change for change in self.table.changes if change is not None]
        return drawings.gains(f"Row by row, {self.table.measure}", changes) if any(changes) else None

    @property
    def percent(self) -> str:
        """Of 100 resamples, how many an interval holds."""
        return f"{100 * float(self.comparison.second.params['judge']['confidence']):g}"


def render_compared(comparison: Comparison) -> str:
    """The page."""
    return render_template(
        "compared.html", ("page.css", "compared.css"), ("page.js",), page=ComparedPage(comparison), comparison=comparison
    )
