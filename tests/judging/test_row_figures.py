import numpy as np

from stages.judging.intervals import mean, with_count
from stages.judging.row_figures import of_row


def test_a_row_keeps_its_flags_and_the_means_of_its_task():
    flags = {"flagged": (with_count([True, False]), mean), "repeats": (with_count([True, False]), mean)}
    task = {"names_subject": (with_count([False, True]), mean), "rhymed_pairs": (np.array([[1.0, 2], [2, 2]]), mean)}
    others = {"perplexity": (np.array([[1.23456, 3, 2], [4, 5, 6]]), np.exp), "chrf": (np.zeros((2, 7)), np.exp)}
    figures = {"tuned": flags | task | others, "base": flags}
    kept = of_row(figures, ["limerick"], 0)
    assert kept["likelihood"] == {"tuned": [1.2346, 3, 2]}
    assert kept["figures"] == {"tuned": {"flagged": 1, "repeats": 1, "names_subject": 0}, "base": {"flagged": 1, "repeats": 1}}
    assert of_row({"base": flags}, [], 1) == {"figures": {"base": {"flagged": 0, "repeats": 0}}}
