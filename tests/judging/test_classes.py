import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from stages.judging.classes import accuracy, macro_f1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_figures_are_those_of_scikit_learn(pairs):
    """Averaged over the labels that are expected: one that is only given has no F1 of its own."""
    expected, said = zip(*pairs, strict=True)
    rows, statistic = macro_f1(list(expected), list(said), ["a", "b", "c"])
    theirs = f1_score(expected, said, labels=sorted({*expected}), average="macro", zero_division=0)
    assert float(statistic(rows.sum(0))) == pytest.approx(theirs)
    assert statistic(np.stack([rows.sum(0)] * 2)).shape == (2,)
    right, share = accuracy(list(expected), list(said))
    assert float(share(right.sum(0))) == pytest.approx(accuracy_score(expected, said))
