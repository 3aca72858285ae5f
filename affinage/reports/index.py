"""The page that leads to every report: reports/index.html. One file that loads nothing, like the reports themselves."""

from dataclasses import dataclass

from affinage.reports import drawings
from affinage.reports.overview import Headline, Overview
from affinage.reports.rendering import render_template

SHOWN = 2  # figures a model


@dataclass(frozen=True)
class Line:
    """One figure of a model, with its interval as a picture."""

    headline: Headline
    whisker: drawings.Whisker


@dataclass(frozen=True)
class Entry:
    """One model: its figures, and the name of its report's file or why there is none."""

    model: Overview
    lines: list[Line]
    page: str
    reason: str


def entry(model: Overview, page: str, reason: str = "") -> Entry:
    lines = []
    for headline in model.headlines[:SHOWN]:
        reach = max(abs(headline.low), abs(headline.high)) or 1
        lines.append(Line(headline, drawings.whisker(headline.gain, headline.low, headline.high, 0, -reach, reach)))
    return Entry(model, lines, page, reason)


def render_index(entries: list[Entry], source: str) -> str:
    """The page.

    Args:
        entries: in the order to show them in; those of one dataset stand together.
        source: the revision, in words.
    """
    datasets: dict[str, list[Entry]] = {}
    for entry in entries:
        datasets.setdefault(entry.model.dataset, []).append(entry)
    return render_template("index.html", ("page.css", "index.css"), datasets=datasets, source=source)
