"""Figures in words: titles within sentences, intervals that show on which side of zero they lie."""

import pytest

from affinage.reports import figures


@pytest.mark.parametrize(
    ("name", "title"),
    [("perplexity", "perplexity"), ("chrf", "chrF"), ("parts_f1", "F1 of parts"), ("f1", "F1"), ("rouge_l", "ROUGE-L")],
)
def test_abbreviations_stay_as_they_are_within_a_sentence(name, title):
    assert figures.kind(name).inside == title


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.3, 7.6, "[−0.3, +7.6]"),
        (0.03, 10.37, "[+0.03, +10.37]"),
        (-4.0, -0.004, "[−4.000, −0.004]"),
        (-4.0, 1e-9, "[−4.0, 0.0]"),  # what three decimals do not show is not shown
        (0.0, 2.0, "[0.0, +2.0]"),
    ],
)
def test_an_interval_shows_on_which_side_of_zero_a_difference_lies(low, high, words):
    assert figures.interval({"low": low, "high": high}, 1, signed=True) == words


def test_a_share_is_no_difference():
    assert figures.interval({"low": 0.0004, "high": 0.2}, 3) == "[0.000, 0.200]"
