"""A model's results as one page of HTML that needs nothing else: no network, no file beside it."""

from collections import Counter
from functools import cached_property

from affinage.reports import drawings, figures
from affinage.reports.answer_rows import Table, cut
from affinage.reports.rendering import render_template, source_in_words
from affinage.reports.results import TUNED, Results, flat

FEW_AUC = 0.8  # where params.yaml has no threshold: under this area a judge is called unreliable
MOST_MISTAKES = 12
SHOWN = ("auc", "control_means", "fooled", "failed", "weak", "bounds", "pairwise")  # of a judge; the rest is folded away


class Page:
    """What the template is given: everything in words, numbers as text, plots as coordinates."""

    def __init__(self, results: Results):
        self.results = results
        self.details, self.judges, self.rival = results.details, results.judges, results.rival
        self.gain = self.details.get("gain") or {}
        self.table = Table(results)

    # headlines -------------------------------------------------------------------------------------------------------

    def _figure(self, contestant: str | None, name: str) -> dict | None:
        """`value`, `low` and `high` of a contestant's figure; None of what is no figure, such as a table by label."""
        figure = (self.details.get(contestant) or {}).get(name)
        return figure if isinstance(figure, dict) and {"value", "low", "high"} <= figure.keys() else None

    def _compared(self, name: str) -> dict:
        """A figure of the tuned model and of its rival, the difference, and how it reads."""
        kind, gain = figures.kind(name, self.judges), self.gain.get(name) or {}
        over = gain.get("over", self.rival)
        tuned, other = (self._figure(contestant, name) for contestant in (TUNED, over))
        line = {
            "name": name,
            "kind": kind,
            "tuned": tuned,
            "other": other,
            "over": over,
            "gain": gain if "value" in gain else None,
            "reading": figures.reading(name, gain["low"], gain["high"]) if "value" in gain else "",
            "whisker": None,
        }
        if line["gain"]:
            reach = max(abs(gain["low"]), abs(gain["high"])) or 1
            line["whisker"] = drawings.whisker(gain["value"], gain["low"], gain["high"], 0, -reach, reach)
        return line

    @cached_property
    def headlines(self) -> list[dict]:
        """The figures of scores.json, in its order."""
        names = [name for name in self.results.scores if name in (self.details.get(TUNED) or {})]
        return [self._compared(name) for name in names]

    @cached_property
    def others(self) -> list[dict]:
        """Every other figure that is not zero throughout."""
        known = self.details.get(TUNED) or {}
        lines = [self._compared(name) for name in known if name not in {line["name"] for line in self.headlines}]
        return [
            line
            for line in lines
            if any(figure and figure.get("value") for figure in (line["tuned"], line["other"], line["gain"]))
        ]

    @property
    def compared_with(self) -> str:
        return "the best of its baselines" if self.results.task == "label" else "its base"

    @property
    def column(self) -> str:
        """The head of the column of whom tuned is compared with."""
        return "Baseline" if self.results.task == "label" else "Base"

    @property
    def percent(self) -> str:
        """Of 100 resamples, how many an interval holds."""
        return f"{100 * float((self.results.params.get('judge') or {}).get('confidence', 0.95)):g}"

    @cached_property
    def field(self) -> list[dict]:
        """Every contestant with its headlines and what its answers cost."""
        names = [line["name"] for line in self.headlines] + ["tokens", "prompt_tokens"]
        known = [contestant for contestant in self.results.contestants if contestant in self.details]
        names = [name for name in names if any(self._figure(contestant, name) for contestant in known)]
        kinds = [figures.kind(name, self.judges) for name in names]
        lines = [
            {
                "contestant": contestant,
                "cells": [(self._figure(contestant, name), kind) for name, kind in zip(names, kinds, strict=True)],
            }
            for contestant in known
        ]
        return [{"contestant": None, "cells": kinds}, *lines] if names and len(lines) > 1 else []

    @cached_property
    def forms(self) -> list[dict]:
        """What an export or a server changes: each figure of the tuned model in another form, and what it is off tuned."""
        names = [*dict.fromkeys([line["name"] for line in self.headlines]), "rouge_l", "exact_match"]
        lines = []
        for form, differences in (self.details.get("forms") or {}).items():
            shown = [name for name in dict.fromkeys(names) if name in differences and self._figure(form, name)]
            for name in shown:
                apart = differences[name]
                line = {
                    "form": form,
                    "kind": figures.kind(name, self.judges),
                    "value": self._figure(form, name),
                    "apart": apart,
                }
                lines.append(line | {"reading": figures.reading(name, apart["low"], apart["high"])})
        return lines

    @property
    def as_tuned(self) -> dict[str, dict]:
        """By form: the share of its answers that are the tuned model's to the letter."""
        return {form: self._figure(form, "as_tuned") for form in self.details.get("forms") or {}}

    @cached_property
    def verdict(self) -> list[tuple[str, list[str]]]:
        """(reading, names of headlines), better ones first."""
        return figures.by_reading((headline["kind"].inside, headline["reading"]) for headline in self.headlines)

    # the judge -------------------------------------------------------------------------------------------------------

    @cached_property
    def health(self) -> list[dict]:
        """What the controls say of each judge; plain overlap, the bar to clear, stands beside."""
        known = self.details.get("judges") or {}
        bar = (known.get("overlap") or {}).get("auc") or {}
        return [self._health(name, about, bar) for name, about in known.items() if name != "overlap" or not self.judges]

    def _health(self, name: str, about: dict, bar: dict) -> dict:
        areas, means = about.get("auc") or {}, about.get("control_means") or {}
        options = ((self.results.params.get("judge") or {}).get("judges") or {}).get(name) or {}
        least = min((area["value"] for area in areas.values()), default=None)
        threshold = options.get("warn_below") or FEW_AUC
        failed = about.get("failed") or 0
        return {
            "name": name,
            "least": least,
            "threshold": threshold,
            "unreliable": bool(about["weak"]) if "weak" in about else least is not None and least < threshold,
            "bounds": (about.get("bounds") or {}).get(TUNED) if failed else None,
            "pairwise": about.get("pairwise"),
            "failed": failed if isinstance(failed, dict) else {"in all": failed} if failed else {},
            "fooled": about.get("fooled"),
            "good": means.get("good"),
            "areas": [
                {
                    "what": figures.control(control),
                    "auc": area,
                    "mean": means.get(control),
                    "bar": (bar.get(control) or {}).get("value"),
                    "whisker": drawings.whisker(area["value"], area["low"], area["high"], 0.5, 0, 1),
                    "low": area["value"] < threshold,
                }
                for control, area in areas.items()
            ],
            "rest": flat({key: value for key, value in about.items() if key not in SHOWN}),
        }

    # plots -----------------------------------------------------------------------------------------------------------

    @cached_property
    def plots(self) -> list[drawings.Plot]:
        """Those for which there are figures."""
        drawn = [drawings.loss(self.results.steps)]
        for judge in self.judges if self.results.task == "text" else []:  # a label is right or wrong: no scores to spread
            tuned, other = self._scores(judge, TUNED), self._scores(judge, self.rival)
            named = figures.contestant(self.rival) if self.rival else ""
            drawn.append(
                drawings.histogram(
                    f"Scores by judge {judge}", list(tuned.values()), list(other.values()), named, self.results.span(judge)
                )
            )
            paired = [tuned[row] - other[row] for row in tuned if row in other]
            drawn.append(drawings.gains(f"Row by row, judge {judge}", paired))
        return [plot for plot in drawn if plot]

    def _scores(self, judge: str, contestant: str | None) -> dict[str, float]:
        scores = {row.id: row.scores.get(judge, {}).get(contestant) for row in self.results.judged}
        return {row: score for row, score in scores.items() if score is not None}

    # labels ----------------------------------------------------------------------------------------------------------

    @cached_property
    def mistakes(self) -> list[tuple[str, str, int]]:
        """Of labels: (expected, given, rows), the most frequent first."""
        if self.results.task != "label":
            return []
        wrong = Counter((row.expected, row.text_of(TUNED)) for row in self.results.judged if row.text_of(TUNED) != row.expected)
        return [(*pair, count) for pair, count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))][:MOST_MISTAKES]

    @cached_property
    def labels(self) -> list[tuple[str, int, float, float, float]]:
        """Of labels: (label, rows, precision, recall, F1) of the tuned model, the most frequent first."""
        if self.results.task != "label":
            return []
        rows = self.results.judged
        expected, answered = Counter(row.expected for row in rows), Counter(row.text_of(TUNED) for row in rows)
        right = Counter(row.expected for row in rows if row.text_of(TUNED) == row.expected)
        counts = [(label, expected[label], answered[label], right[label]) for label in expected | answered]
        lines = [(label, n, hit / max(1, m), hit / max(1, n), 2 * hit / (n + m)) for label, n, m, hit in counts]
        return sorted(lines, key=lambda line: (-line[1], line[0]))

    # how it was made -------------------------------------------------------------------------------------------------

    @cached_property
    def provenance(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Tables of parameters, of training's figures, and of timings and environment."""
        dataset = self.results.params.get("dataset")
        data = (self.results.revision.params.get("datasets") or {}).get(dataset) or {}
        tables = [
            (f"Parameters of the model {self.results.name}", self.results.params),
            (f"Parameters of the dataset {dataset}", data),
            ("Training", self.results.training),
        ]
        for stage in ("train", "generate", "judge"):
            speed = {contestant: drop(measured, "answers") for contestant, measured in self.results.speed(stage).items()}
            tables.append((f"Timings and environment of {stage}", speed))
        return [(title, [(name, cut(text)) for name, text in flat(table)]) for title, table in tables if table]

    @property
    def source(self) -> str:
        return source_in_words(self.results.revision)


def drop(table, name: str):
    return {key: value for key, value in table.items() if key != name} if isinstance(table, dict) else table


def render(results: Results) -> str:
    """The page."""
    return render_template("page.html", ("page.css",), ("page.js",), page=Page(results), results=results)
