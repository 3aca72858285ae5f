import pytest
from hypothesis import given
from hypothesis import strategies as st

from affinage.reports import drawings

NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(low, span):
    ticks = drawings.nice_ticks(low, low + span)
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    assert ticks == sorted(ticks) and len(ticks) <= 7


def test_ticks_are_written_short():
    assert [drawings.number(value) for value in (0, 0.25, 5000, 12000, -2.5, 3e6)] == [
        "0",
        "0.25",
        "5000",
        "12k",
        "\u22122.5",
        "3M",
    ]


def inside(plot: drawings.Plot) -> bool:
    return all(
        plot.left - 1 <= bar["x"] and bar["x"] + bar["width"] <= plot.right + 1 and plot.top - 1 <= bar["y"] <= plot.bottom + 1
        for bar in plot.bars
    )


def test_loss_leaves_out_what_was_not_measured():
    steps = [
        {"elapsed_tokens": 100, "training_loss": 3.0},
        {"elapsed_tokens": 200, "training_loss": 2.0, "validation_loss": 2.5},
        {"elapsed_tokens": 300, "training_loss": float("inf")},
    ]
    plot = drawings.loss(steps)
    assert [line["kind"] for line in plot.lines] == ["train", "validation"]
    assert len(plot.lines[0]["points"].split()) == 2 and len(plot.lines[1]["dots"]) == 1
    assert drawings.loss([]) is None and drawings.loss([{"step": 1}]) is None


def test_long_training_is_averaged():
    steps = [{"elapsed_tokens": i, "training_loss": 5 - i / 10_000} for i in range(10_000)]
    assert len(drawings.loss(steps).lines[0]["points"].split()) == drawings.MOST_POINTS


@given(st.lists(st.floats(0, 100), max_size=30), st.lists(st.floats(0, 100), max_size=30))
def test_histogram_holds_every_row(tuned, other):
    plot = drawings.histogram("Scores", tuned, other, "base", (0, 100))
    if not tuned and not other:
        assert plot is None
        return
    for kind, scores in (("tuned", tuned), ("base", other)):
        assert sum(int(bar["text"].split()[0]) for bar in plot.bars if bar["kind"] == kind) == len(scores)
    assert inside(plot)


def test_a_rubric_of_five_has_five_bins():
    plot = drawings.histogram("Scores", [1, 2, 5, 5], [3], "base", (1, 5))
    assert len({bar["x"] for bar in plot.bars}) == 4
    assert sorted(bar["text"].split()[0] for bar in plot.bars if bar["kind"] == "tuned") == ["1", "1", "2"]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=500))
def test_gains_count_rows_and_stay_inside(differences):
    plot = drawings.gains("Row by row", differences)
    better = sum(value > 0 for value in differences)
    assert plot.legend[0]["name"] == f"{better} gained" and inside(plot)


def test_a_whisker_holds_its_value():
    whisker = drawings.whisker(-1.9, -3.1, -0.7, 0, -3.1, 3.1)
    assert whisker.low < whisker.value < whisker.high < whisker.zero == pytest.approx(50)
