"""The charts, as Vega-Lite: what is read from `metrics/` becomes data and a specification, and nothing else.

Each function takes `revisions`, which maps a revision's name to the files below its `metrics/` (path: bytes), and gives a
chart, or None where there is nothing to draw. Each is made of small charts side by side, one a model, a system of rounds or a
dataset; several revisions differ by colour, or stand in columns.
"""

from collections import Counter

from affinage.plotting.curves import accuracy, loss
from affinage.plotting.shared import MOST_COLUMNS, Revisions, chart, columns, score_tables, table

BIN = 10  # points of a judge's score


def scores(revisions: Revisions) -> dict | None:
    """Histograms of judge scores: how many answers in each ten points, tuned against base."""
    counted = Counter(
        (row["rev"], f"{row['key']}, {row['judge']}", row["answer"], min(int(row["score"] // BIN) * BIN, 100 - BIN))
        for row in score_tables(revisions)
        if isinstance(row.get("score"), float)
    )
    if not counted:
        return None
    answers = sorted(
        {contestant for _, _, contestant, _ in counted}, key=lambda contestant: (contestant != "tuned", contestant)
    )
    rows = [
        {
            "rev": rev,
            "judge": judge,
            "answer": contestant,
            "score": f"{low}–{low + BIN}",
            "rows": counted[rev, judge, contestant, low],
        }
        for rev, judge, contestant, low in counted
    ]
    bars = {
        "mark": {"type": "bar", "tooltip": True},
        "width": 270,
        "height": 110,
        "encoding": {
            "x": {
                "field": "score",
                "type": "ordinal",
                "scale": {"domain": [f"{low}–{low + BIN}" for low in range(0, 100, BIN)]},
                "title": "judge's score",
                "axis": {"labelAngle": 0, "labelExpr": "split(datum.value, '–')[0]"},
            },
            "xOffset": {"field": "answer", "type": "nominal", "sort": answers},
            "y": {"field": "rows", "type": "quantitative", "title": "answers"},
            "color": {"field": "answer", "type": "nominal", "sort": answers},
        },
    }
    return chart(
        "Scores of the judge",
        "answers to the test rows, the tuned model's beside the base's",
        rows,
        **_facets("judge", rows, revisions),
        resolve={"scale": {"y": "independent"}, "axis": {"x": "independent"}},
        spec=bars,
    )


def lengths(revisions: Revisions) -> dict | None:
    """Lengths of prompts and answers, a small chart a dataset."""
    rows = []
    for rev, files in revisions.items():
        for path in files:
            if path.split("/")[2:] == ["lengths.csv"]:
                rows += [{"rev": rev, "dataset": path.split("/")[1], **bar} for bar in _bars(table(files[path]))]
    if not rows:
        return None
    spec = {
        "width": 270,
        "height": 130,
        "mark": {"type": "bar", "opacity": 0.55, "tooltip": True},
        "encoding": {
            "x": {"field": "words", "type": "quantitative", "title": "words", "scale": {"type": "symlog", "constant": 8}},
            "x2": {"field": "up_to"},
            "y": {"field": "rows", "type": "quantitative", "title": "rows", "stack": None},
            "y2": {"datum": 0},
            "color": {"field": "text", "type": "nominal", "sort": ["prompts", "completions"]},
        },
    }
    return chart(
        "Lengths",
        "rows by the words of their prompt and of their answer",
        rows,
        **_facets("dataset", rows, revisions),
        resolve={"scale": {"x": "independent", "y": "independent"}},
        spec=spec,
    )


def _bars(bins: list[dict]) -> list[dict]:
    """Bars of a histogram; the last bin is as wide as the one before it."""
    begins = [row["words"] for row in bins]
    ends = [*begins[1:], 2 * begins[-1] - begins[-2] if len(begins) > 1 else begins[-1] + 1]
    return [
        {"words": row["words"], "up_to": end, "text": text, "rows": row[text]}
        for row, end in zip(bins, ends, strict=True)
        for text in ("prompts", "completions")
        if row[text]
    ]


def confusion(revisions: Revisions) -> dict | None:
    """Which class was taken for which, as shares of the actual class, a chart a model."""
    counted = Counter(
        (row["rev"], row["key"], _class(row["actual"]), _class(row["predicted"]))
        for row in score_tables(revisions)
        if "actual" in row  # a classifier's; else they are a judge's
    )
    if not counted:
        return None
    actual = Counter()
    for (rev, model, true, _), count in counted.items():
        actual[rev, model, true] += count
    rows = [
        {
            "rev": rev,
            "model": model,
            "actual": true,
            "predicted": predicted,
            "rows": count,
            "share": count / actual[rev, model, true],
        }
        for (rev, model, true, predicted), count in counted.items()
    ]
    side = 22 * max(len({row[axis] for row in rows}) for axis in ("actual", "predicted"))  # {"step": 22} fails in a grid
    spec = {
        "width": side,
        "height": side,
        "encoding": {
            "x": {"field": "predicted", "type": "nominal", "title": "predicted"},
            "y": {"field": "actual", "type": "nominal", "title": "actual"},
        },
        "layer": [
            {
                "mark": {"type": "rect", "tooltip": True},
                "encoding": {
                    "color": {
                        "field": "share",
                        "type": "quantitative",
                        "scale": {"scheme": "blues", "domain": [0, 1]},
                        "legend": {"title": "share of the actual class", "format": "%"},
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {
                    "text": {"field": "rows"},
                    "color": {"condition": {"test": "datum.share > 0.5", "value": "white"}, "value": "#333"},
                },
            },
        ],
    }
    return chart(
        "Confusion",
        "rows of each actual class by the class predicted",
        rows,
        **_facets("model", rows, revisions, side_by_side=1),
        resolve={"scale": {"x": "independent", "y": "independent"}},
        spec=spec,
    )


def _facets(field: str, rows: list[dict], revisions: Revisions, side_by_side: int = MOST_COLUMNS) -> dict:
    """A small chart for each value of a field: side by side, or a row each where revisions stand in columns."""
    if len(revisions) > 1:
        column = {"field": "rev", "type": "nominal", "sort": list(revisions)}
        row = {"field": field, "type": "nominal", "header": {"labelOrient": "top", "labelAnchor": "start"}}
        return {"facet": {"row": row, "column": column}}
    return {"facet": {"field": field, "type": "nominal"}, "columns": columns((row[field] for row in rows), side_by_side)}


def _class(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def every(revisions: Revisions, bases: dict[str, str]) -> dict[str, dict]:
    """All charts that there is data for, by file name."""
    drawn = {
        "loss": loss(revisions, bases),
        "accuracy": accuracy(revisions, bases),
        "scores": scores(revisions),
        "confusion": confusion(revisions),
        "lengths": lengths(revisions),
    }
    return {name: spec for name, spec in drawn.items() if spec}
