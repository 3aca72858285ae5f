"""Geometry of the plots of a page: numbers in, coordinates out; `templates/plots.html` draws them as SVG.

A plot is WIDTH by HEIGHT units; the box of its data is what MARGINS (left, top, right, bottom) leave.

`affinage plots` draws by Vega instead, and both ways stay. A page of results takes its colours from its style sheet, light
or dark; the colours of Vega's SVG are fixed. The page draws marks in every row, and says each plot in a sentence for those
who do not see it. Vega's script would add 0.9 MB to each page. The charts over all models need what only Vega has here:
facets, tooltips and PNG files.
"""

import math
from dataclasses import dataclass, field

WIDTH, HEIGHT = 480, 270
MARGINS = (60, 14, 14, 40)
MOST_POINTS = 400  # of a line; more are averaged in groups


@dataclass(frozen=True)
class Tick:
    at: float  # coordinate
    text: str


@dataclass
class Plot:
    """What the template draws. Coordinates are numbers of at most one decimal."""

    title: str
    x: str
    y: str
    summary: str  # the plot in a sentence, for those who do not see it
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    lines: list[dict] = field(default_factory=list)  # name, kind, points ("x,y x,y"), dots [(x, y)]
    bars: list[dict] = field(default_factory=list)  # kind, x, y, width, height, text
    marks: list[dict] = field(default_factory=list)  # kind, x, text: vertical lines
    legend: list[dict] = field(default_factory=list)  # name, kind
    zero: float | None = None  # a horizontal line

    left, top, right, bottom = MARGINS[0], MARGINS[1], WIDTH - MARGINS[2], HEIGHT - MARGINS[3]
    width, height = WIDTH, HEIGHT


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that lie in [low, high]."""
    if not low < high:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick's text: 12000 as 12k, no needless zeros."""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= power:
            return f"{value / min(power, 1e3 if letter == 'k' else power):g}{letter}"
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def scale(low: float, high: float, start: float, end: float):
    """A function from [low, high] to [start, end]."""
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 1)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    group = math.ceil(len(points) / MOST_POINTS)
    parts = [points[start : start + group] for start in range(0, len(points), group)] if points else []
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def loss(steps: list[dict[str, float]]) -> Plot | None:
    """Training and validation loss over trained tokens (steps, where tokens were not counted); None without any."""
    x = "elapsed_tokens" if any("elapsed_tokens" in step for step in steps) else "step"
    lines = []
    for name, column, kind in (("training", "training_loss", "train"), ("validation", "validation_loss", "validation")):
        points = [(step[x], step[column]) for step in steps if x in step and math.isfinite(step.get(column, math.nan))]
        if points:
            lines.append((name, kind, _thinned(points)))
    if not lines:
        return None
    xs, ys = zip(*[point for _, _, points in lines for point in points], strict=True)
    margin = (max(ys) - min(ys)) * 0.06 or 0.1
    low, high = max(0.0, min(ys) - margin), max(ys) + margin
    plot = Plot(
        "Loss while training",
        "tokens seen" if x == "elapsed_tokens" else "steps",
        "nats a token",
        "; ".join(f"{name} loss from {points[0][1]:.2f} to {points[-1][1]:.2f}" for name, _, points in lines),
    )
    to_x, to_y = scale(min(0, *xs), max(xs), plot.left, plot.right), scale(low, high, plot.bottom, plot.top)
    plot.x_ticks = [Tick(to_x(value), number(value)) for value in nice_ticks(min(0, *xs), max(xs))]
    plot.y_ticks = [Tick(to_y(value), number(value)) for value in nice_ticks(low, high)]
    for name, kind, points in lines:
        placed = [(to_x(px), to_y(py)) for px, py in points]
        dots = placed if kind == "validation" or len(placed) == 1 else []
        plot.lines.append({"kind": kind, "points": " ".join(f"{px:g},{py:g}" for px, py in placed), "dots": dots})
        plot.legend.append({"name": name, "kind": kind})
    return plot


def _bins(scores: list[float], low: float, high: float) -> list[int]:
    count = min(10, int(high - low + 1))  # of a rubric of five: a bin a mark
    counts = [0] * count
    for score in scores:
        counts[min(count - 1, max(0, int((score - low) / (high - low) * count)))] += 1
    return counts


def histogram(title: str, tuned: list[float], other: list[float], other_name: str, span: tuple[float, float]) -> Plot | None:
    """Scores of the tuned model upwards, of its rival downwards, over the judge's whole `span`; None where neither has any."""
    if not tuned and not other:
        return None
    low, high = span
    up, down = _bins(tuned, low, high), _bins(other, low, high)
    most = max(1, *up, *down)
    means = [(name, kind, sum(s) / len(s)) for name, kind, s in (("tuned", "tuned", tuned), (other_name, "base", other)) if s]
    plot = Plot(title, "score", "rows", "; ".join(f"mean of {name}: {value:.1f}" for name, _, value in means))
    middle = (plot.top + plot.bottom) / 2
    to_x = scale(low, high, plot.left, plot.right)
    reach = middle - plot.top - 2
    width = (plot.right - plot.left) / len(up)
    step = (high - low) / len(up)
    for kind, counts in (("tuned", up), ("base", down)):
        for i, count in enumerate(counts):
            if count:
                tall = round(count / most * reach, 1)
                text = f"{count} row{'s' * (count != 1)} at {low + i * step:g} to {low + (i + 1) * step:g}"
                y = middle - tall if kind == "tuned" else middle
                plot.bars.append(
                    {"kind": kind, "x": round(plot.left + i * width + 1, 1), "y": round(y, 1), "width": round(width - 2, 1)}
                    | {"height": tall, "text": text}
                )
    plot.zero = middle
    plot.x_ticks = [Tick(to_x(value), number(value)) for value in nice_ticks(low, high)]
    ticks = [value for value in nice_ticks(0, most, 2) if value == int(value)]
    plot.y_ticks = [Tick(round(middle - side * value / most * reach, 1), number(value)) for value in ticks for side in (1, -1)]
    plot.marks = [{"kind": kind, "x": to_x(value), "up": kind == "tuned"} for _, kind, value in means]
    plot.legend = [{"name": f"{name}, mean {value:.1f}", "kind": kind} for name, kind, value in means]
    return plot


def gains(title: str, differences: list[float]) -> Plot | None:
    """The difference of each row, sorted: how many rows gained, and how much; None where there is none."""
    if not differences:
        return None
    ordered = _thinned([(0, value) for value in sorted(differences)])
    ordered = [value for _, value in ordered]
    most = max(1e-9, *map(abs, ordered))
    better, worse = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    summary = f"{better} of {len(differences)} rows gained, {worse} lost"
    plot = Plot(title, "rows, from the greatest loss to the greatest gain", "points gained", summary)
    low, high = min(0.0, min(ordered) * 1.05), max(0.0, max(ordered) * 1.05)
    low, high = (low, high) if low < high else (-most, most)
    to_y = scale(low, high, plot.bottom, plot.top)
    plot.zero = to_y(0)
    width = (plot.right - plot.left) / len(ordered)
    for i, value in enumerate(ordered):
        y = to_y(value)
        plot.bars.append(
            {
                "kind": "tuned" if value > 0 else "base",
                "x": round(plot.left + i * width, 2),
                "y": min(y, plot.zero),
                "width": round(max(0.6, width - min(1.0, width / 4)), 2),
                "height": round(max(0.4, abs(y - plot.zero)), 1),
                "text": "",
            }
        )
    plot.y_ticks = [Tick(to_y(value), number(value)) for value in nice_ticks(low, high)]
    plot.legend = [{"name": f"{better} gained", "kind": "tuned"}, {"name": f"{worse} lost", "kind": "base"}]
    return plot


@dataclass(frozen=True)
class Whisker:
    """An interval on a line of 0 to 100 units, with zero (or chance) marked."""

    low: float
    value: float
    high: float
    zero: float


def whisker(value: float, low: float, high: float, zero: float, start: float, end: float) -> Whisker:
    """`value` [low, high] placed on the axis from `start` to `end`."""
    place = scale(start, end, 2, 98)
    return Whisker(*(min(98, max(2, place(number))) for number in (low, value, high, zero)))
