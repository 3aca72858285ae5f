"""The charts, as Vega-Lite: what is read from `metrics/` becomes data and a specification, and nothing else.

Each function takes `revisions`, which maps a revision's name to the files below its `metrics/` (path: bytes), and gives a
chart, or None where there is nothing to draw. Every model has its own colour; revisions differ by dashes or by columns.
"""

import csv
import io
import json
from collections import Counter

Revisions = dict[str, dict[str, bytes]]
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
LOOK = {
    "background": "white",
    "font": "sans-serif",
    "axis": {"gridColor": "#e4e4e4", "domainColor": "#888", "tickColor": "#888", "titleFontWeight": "normal"},
    "title": {"anchor": "start", "fontSize": 15, "subtitleColor": "#666", "offset": 12},
    "header": {"title": None, "labelFontSize": 12},
    "legend": {"title": None, "labelFontSize": 12, "symbolOpacity": 1},
    "view": {"stroke": None},
}
BIN = 10  # points of a judge's score
COLOURS = {"scheme": "tableau10"}
CURVES = "faint: every step of training; bold, with points: the validation rows"


def table(data: bytes) -> list[dict]:
    """Rows of a CSV; numbers become numbers, what was not measured None."""
    return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(io.StringIO(data.decode()))]


def _value(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def tables(revisions: Revisions, name: str) -> list[dict]:
    """Rows of every `metrics/<key>/<name>` of every revision, each with its `rev` and the `key` it belongs to."""
    return [
        {"rev": rev, "key": path.split("/")[1], **row}
        for rev, files in revisions.items()
        for path, data in files.items()
        if path.split("/")[2:] == [name]
        for row in table(data)
    ]


def chart(title: str, subtitle: str, rows: list[dict], **rest) -> dict:
    return {
        "$schema": SCHEMA,
        "config": LOOK,
        "title": {"text": title, "subtitle": subtitle},
        "data": {"values": rows},
        **rest,
    }


def _dashes(revisions: Revisions) -> dict:
    several = len(revisions) > 1
    legend = {"symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300}
    return {"strokeDash": {"field": "rev", "type": "nominal", "sort": list(revisions), "legend": legend}} if several else {}


def _curves(encoding: dict) -> list[dict]:
    """Each step of training as a faint line, the validation rows as a bold one with points."""
    tooltip = [{"field": name} for name in ("model", "rev", "part", "tokens", "value")]
    kinds = {
        "training": {"type": "line", "opacity": 0.4, "strokeWidth": 1.2},
        "validation": {"type": "line", "strokeWidth": 2.5, "point": {"size": 60}},
    }
    return [
        {
            "transform": [{"filter": f"datum.part == '{part}'"}],
            "mark": mark,
            "encoding": {**encoding, "tooltip": tooltip},
        }
        for part, mark in kinds.items()
    ]


def _axes(colour: str, x: str, y: str, revisions: Revisions) -> dict:
    return {
        "x": {"field": "tokens", "type": "quantitative", "title": x, "axis": {"format": "~s"}},
        "y": {"field": "value", "type": "quantitative", "title": y, "scale": {"zero": False}},
        "color": {"field": colour, "type": "nominal", "scale": COLOURS},
        **_dashes(revisions),
    }


def _measured(rev: str, model: str, files: dict[str, bytes], measure: str, before: float = 0) -> list[dict]:
    """Points of one model: `tokens` (counted on from `before`), `part` (training or validation) and `value`."""
    rows = [
        {"rev": rev, "model": model, "tokens": before + row["elapsed_tokens"], "part": part, "value": row[f"{part}_{measure}"]}
        for row in table(files[f"metrics/{model}/results.csv"])
        for part in ("training", "validation")
        if row.get(f"{part}_{measure}") is not None
    ]
    start = json.loads(files.get(f"metrics/{model}/train.json", b"{}")).get(f"validation_{measure}_start")
    first = {"rev": rev, "model": model, "tokens": before, "part": "validation", "value": start}
    return [*([first] if start is not None else []), *rows]


def _trained(files: dict[str, bytes]) -> list[str]:
    return sorted(path.split("/")[1] for path in files if path.split("/")[2:] == ["results.csv"])


def _progress(revisions: Revisions, measure: str, title: str, label: str) -> dict | None:
    """A measure of training over tokens, all models in one."""
    rows = [
        row for rev, files in revisions.items() for model in _trained(files) for row in _measured(rev, model, files, measure)
    ]
    layers = _curves(_axes("model", "tokens seen", label, revisions))
    return chart(title, CURVES, rows, width=560, height=320, layer=layers) if rows else None


def loss(revisions: Revisions) -> dict | None:
    """Loss over tokens, all models in one."""
    return _progress(revisions, "loss", "Loss over tokens", "loss a token (nats)")


def accuracy(revisions: Revisions) -> dict | None:
    """Token accuracy over tokens, all models in one."""
    return _progress(revisions, "token_accuracy", "Accuracy over tokens", "share of tokens predicted")


def chains(files: dict[str, bytes], bases: dict[str, str]) -> list[list[str]]:
    """Models that were trained one from the other, first round first, longest chains only."""
    trained = _trained(files)
    found = []
    for last in sorted(set(trained) - {bases.get(name) for name in trained}):
        chain = [last]
        while bases.get(chain[0]) in trained and bases[chain[0]] not in chain:
            chain.insert(0, bases[chain[0]])
        found += [chain] if len(chain) > 1 else []
    return found


def rounds(revisions: Revisions, bases: dict[str, str]) -> dict | None:
    """Rounds of a model one after the other on one axis: tokens are counted on from round to round."""
    rows = []
    for rev, files in revisions.items():
        for chain in chains(files, bases):
            before = 0
            for name in chain:
                rows += [{"chain": chain[-1], **row} for row in _measured(rev, name, files, "loss", before)]
                before = max(row["tokens"] for row in rows if row["model"] == name and row["rev"] == rev)
    axes = _axes("model", "tokens seen over all rounds", "loss a token (nats)", revisions)
    spec = {"width": 560, "height": 260, "layer": _curves(axes)}
    facet = {"row": {"field": "chain", "type": "nominal", "header": {"labels": False}}}
    title = "Rounds, each from where the one before it ended"
    return chart(title, CURVES, rows, facet=facet, spec=spec) if rows else None


def scores(revisions: Revisions) -> dict | None:
    """Histograms of judge scores: how many answers in each ten points, tuned against base."""
    counted = Counter(
        (row["rev"], f"{row['key']}, {row['judge']}", row["answer"], min(int(row["score"] // BIN) * BIN, 100 - BIN))
        for row in tables(revisions, "scores.csv")
        if isinstance(row.get("score"), float)
    )
    if not counted:
        return None
    answers = sorted({who for _, _, who, _ in counted}, key=lambda who: (who != "tuned", who))
    rows = [
        {
            "rev": rev,
            "judge": judge,
            "answer": who,
            "score": f"{low}–{low + BIN}",
            "rows": counted[rev, judge, who, low],
        }
        for rev, judge, who, low in counted
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


def as_text(spec: dict) -> str:
    """A specification to stand inside `<script>`: no `</` can end it."""
    return json.dumps(spec, ensure_ascii=True).replace("</", "<\\/")
