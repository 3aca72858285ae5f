import numpy as np
import pytest

from stages.judging.embedded import EmbeddedJudge
from stages.judging.signals import NAMES, Encoder, Fluency, Signals
from stages.models import directory
from tests import tiny


def fitted(folder, rows: int = 16, seed: int = 1) -> EmbeddedJudge:
    encoder = Encoder(directory.load(folder, "encoder"), directory.load_tokenizer(folder))
    signals = Signals(encoder, Fluency(tiny.model(), tiny.tokenizer(), 8), [row["completion"] for row in tiny.rows(16)])
    return EmbeddedJudge(signals).fit(tiny.rows(rows), seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="module")
def judge(folder):
    return fitted(folder)


def items(answer=None, first: int = 20) -> list[tuple[str, str, str]]:
    """Rows the judge was not fitted on; the expected answer unless another is given."""
    return [
        (row["messages"][0]["content"], row["completion"], row["completion"] if answer is None else answer(row))
        for row in tiny.rows(8, first)
    ]


def test_scores_lie_between_0_and_100(judge):
    texts = ["", "a", "The apple is red.", "word " * 300, "🍎", "\n"]
    scores = judge.score([("What?", "The apple is red.", text) for text in texts])
    assert scores.shape == (6,) and ((scores >= 0) & (scores <= 100)).all()
    assert judge.score([]).shape == (0,)


def test_an_empty_answer_scores_nothing(judge):
    assert judge.score([("What?", "The apple is red.", text) for text in ("", " ", "\n\t")]).tolist() == [0, 0, 0]


def test_the_expected_answer_scores_over_bad_ones(judge):
    best = judge.score(items())
    for bad in (lambda row: row["messages"][0]["content"], lambda row: row["completion"][:9], lambda row: "No idea at all"):
        assert best.mean() > judge.score(items(bad)).mean()
    assert best.mean() > 50


def test_weights_are_not_negative_and_named(judge):
    found = judge.describe()
    bias = found.pop("bias")
    assert set(found) == set(NAMES) and all(isinstance(weight, float) and weight >= 0 for weight in found.values())
    assert isinstance(bias, float) and any(found.values())


def test_company_changes_no_score(judge):
    together = judge.score(items())
    np.testing.assert_allclose(together, [judge.score([item])[0] for item in items()], atol=1e-6)


def test_fitting_twice_is_the_same(judge, folder):
    again = fitted(folder)
    assert again.describe() == judge.describe()
    assert np.array_equal(again.score(items()), judge.score(items()))


def test_two_rows_are_enough(folder):
    assert np.isfinite(fitted(folder, rows=2).score(items())).all()
