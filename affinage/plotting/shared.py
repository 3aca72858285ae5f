"""What all charts share: how tables become data, and how a chart looks."""

import csv
import io
import json
from collections.abc import Iterable

Revisions = dict[str, dict[str, bytes]]
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
MOST_COLUMNS = 3  # small charts side by side; the page shows fewer where it is narrow
LOOK = {
    "background": "white",
    "font": "sans-serif",
    "axis": {"gridColor": "#e4e4e4", "domainColor": "#888", "tickColor": "#888", "titleFontWeight": "normal"},
    "title": {"anchor": "start", "fontSize": 15, "subtitleColor": "#666", "offset": 12},
    "header": {"title": None, "labelFontSize": 12},
    "legend": {"title": None, "labelFontSize": 12, "symbolOpacity": 1, "orient": "top"},
    "range": {"category": {"scheme": "tableau10"}},
    "view": {"stroke": None},
}
_INK, _SOFT, _RULE = "#e4e2dc", "#9fa7ab", "#333a3f"
DARK = LOOK | {  # the page's, for those who prefer it; PNG and SVG files are always light
    "background": "#14181b",
    "axis": {
        **LOOK["axis"],
        "gridColor": _RULE,
        "domainColor": _SOFT,
        "tickColor": _SOFT,
        "labelColor": _SOFT,
        "titleColor": _SOFT,
    },
    "title": {**LOOK["title"], "color": _INK, "subtitleColor": _SOFT},
    "header": {**LOOK["header"], "labelColor": _INK},
    "legend": {**LOOK["legend"], "labelColor": _INK, "titleColor": _SOFT},
    "range": {"category": {"scheme": "set2"}},
}


def table(data: bytes) -> list[dict]:
    """Rows of a CSV; numbers become numbers, what was not measured None."""
    return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(io.StringIO(data.decode()))]


def _value(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def score_tables(revisions: Revisions) -> list[dict]:
    """Rows of every `metrics/<key>/scores.csv` of every revision, each with its `rev` and the `key` it belongs to."""
    return [
        {"rev": rev, "key": path.split("/")[1], **row}
        for rev, files in revisions.items()
        for path, data in files.items()
        if path.split("/")[2:] == ["scores.csv"]
        for row in table(data)
    ]


def columns(names: Iterable[str], most: int = MOST_COLUMNS) -> int:
    """How many small charts stand side by side."""
    return max(1, min(most, len(set(names))))


def chart(title: str, subtitle: str, rows: list[dict], **rest) -> dict:
    return {
        "$schema": SCHEMA,
        "config": LOOK,
        "title": {"text": title, "subtitle": subtitle},
        "description": f"{title}: {subtitle}",
        "data": {"values": rows},
        **rest,
    }


def as_text(spec: dict) -> str:
    """A specification to stand inside `<script>`: no `</` can end it."""
    return json.dumps(spec, ensure_ascii=True).replace("</", "<\\/")
