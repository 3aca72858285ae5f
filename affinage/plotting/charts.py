"""The charts, as Vega-Lite: what is read from `metrics/` becomes data and a specification, and nothing else.

Each function takes `revisions`, which maps a revision's name to the files below its `metrics/` (path: bytes), and gives a
chart, or None where there is nothing to draw. Every model has its own colour; revisions differ by dashes or by columns.
"""

from collections import Counter

from affinage.plotting.curves import accuracy, loss, rounds
from affinage.plotting.shared import COLOURS, Revisions, chart, table, tables

BIN = 10  # points of a judge's score


def scores(revisions: Revisions) -> dict | None:
    """Histograms of judge scores: how many answers in each ten points, tuned against base."""
    counted = Counter(
        (row["rev"], f"{row['key']}, {row['judge']}", row["answer"], min(int(row["score"] // BIN) * BIN, 100 - BIN))
        for row in tables(revisions, "scores.csv")
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
    columns = {"column": {"field": "rev", "type": "nominal", "sort": list(revisions)}} if len(revisions) > 1 else {}
    bars = {
        "mark": {"type": "bar", "tooltip": True},
        "width": 460,
        "height": 90,
        "encoding": {
            "x": {
                "field": "score",
                "type": "ordinal",
                "scale": {"domain": [f"{low}–{low + BIN}" for low in range(0, 100, BIN)]},
                "title": "judge's score",
                "axis": {"labelAngle": 0},
            },
            "xOffset": {"field": "answer", "type": "nominal", "sort": answers},
            "y": {"field": "rows", "type": "quantitative", "title": "answers"},
            "color": {"field": "answer", "type": "nominal", "sort": answers, "scale": COLOURS},
        },
    }
    return chart(
        "Scores of the judge",
        "answers to the test rows, the tuned model's beside the base's",
        rows,
        facet={
            "row": {"field": "judge", "type": "nominal", "header": {"labelOrient": "top", "labelAnchor": "start"}},
            **columns,
        },
        resolve={"scale": {"y": "independent"}},
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
    columns = {"column": {"field": "rev", "type": "nominal", "sort": list(revisions)}} if len(revisions) > 1 else {}
    facet = {"row": {"field": "dataset", "type": "nominal"}, **columns} if columns else {"field": "dataset", "type": "nominal"}
    spec = {
        "width": 230,
        "height": 130,
        "mark": {"type": "bar", "opacity": 0.55, "tooltip": True},
        "encoding": {
            "x": {"field": "words", "type": "quantitative", "title": "words", "scale": {"type": "symlog", "constant": 8}},
            "x2": {"field": "up_to"},
            "y": {"field": "rows", "type": "quantitative", "title": "rows", "stack": None},
            "y2": {"datum": 0},
            "color": {"field": "text", "type": "nominal", "sort": ["prompts", "completions"], "scale": COLOURS},
        },
    }
    return chart(
        "Lengths",
        "rows by the words of their prompt and of their answer",
        rows,
        facet=facet,
        **({} if columns else {"columns": 2}),
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
        for row in tables(revisions, "scores.csv")
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
            "predicted": said,
            "rows": count,
            "share": count / actual[rev, model, true],
        }
        for (rev, model, true, said), count in counted.items()
    ]
    columns = {"column": {"field": "rev", "type": "nominal", "sort": list(revisions)}} if len(revisions) > 1 else {}
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
        facet={"row": {"field": "model", "type": "nominal"}, **columns},
        resolve={"scale": {"x": "independent", "y": "independent"}},
        spec=spec,
    )


def _class(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def every(revisions: Revisions, bases: dict[str, str]) -> dict[str, dict]:
    """All charts that there is data for, by file name."""
    drawn = {
        "loss": loss(revisions),
        "accuracy": accuracy(revisions),
        "rounds": rounds(revisions, bases),
        "scores": scores(revisions),
        "confusion": confusion(revisions),
        "lengths": lengths(revisions),
    }
    return {name: spec for name, spec in drawn.items() if spec}
