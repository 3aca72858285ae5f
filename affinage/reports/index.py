"""The page that leads to every report: reports/index.html. One file that loads nothing, like the reports themselves."""

from dataclasses import dataclass

from markupsafe import Markup

from affinage.reports import drawings
from affinage.reports.overview import Headline, Overview
from affinage.reports.page import TEMPLATES, environment, policy_hash
from stages.common.files import clean_text

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
    style = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "index.css"))
    template = environment().get_template("index.html")
    return clean_text(template.render(datasets=datasets, source=source, style=Markup(style), style_hash=policy_hash(style)))
