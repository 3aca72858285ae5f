"""The page that leads to every report: reports/index.html. One file that loads nothing, like the reports themselves."""

from dataclasses import dataclass

from affinage.reports import drawings
from affinage.reports.overview import Headline, Overview
from affinage.reports.rendering import render_template

SHOWN = 2  # figures a model


@dataclass(frozen=True)
class Entry:
    """One model: the name of its report's file, or why there is none."""

    model: Overview
    page: str
    reason: str = ""

    @property
    def headlines(self) -> list[Headline]:
        return self.model.headlines[:SHOWN]


def render_index(entries: list[Entry], source: str) -> str:
    """The page.

    Args:
        entries: in the order to show them in; those of one dataset stand together.
        source: the revision, in words.
    """
    datasets: dict[str, list[Entry]] = {}
    for entry in entries:
        datasets.setdefault(entry.model.dataset, []).append(entry)
    tables = {dataset: [(entry, _lines(entry, own)) for entry in own] for dataset, own in datasets.items()}
    return render_template("index.html", ("page.css", "index.css"), datasets=tables, source=source)


def _lines(entry: Entry, dataset: list[Entry]) -> list[tuple[Headline, drawings.Whisker]]:
    """A model's figures, with their intervals as pictures; one scale for a figure of all models of the dataset."""
    lines = []
    for headline in entry.headlines:
        same = [other for own in dataset for other in own.headlines if other.name == headline.name]
        reach = max(abs(end) for other in same for end in (other.low, other.high)) or 1
        lines.append((headline, drawings.whisker(headline.gain, headline.low, headline.high, 0, -reach, reach)))
    return lines
