import numpy as np

from stages.judging.intervals import Bootstrap
from stages.judging.scale import WRONG, scale

BOOTSTRAP = Bootstrap(20, 200, 0.95, 1)
NOISE = np.random.default_rng(1).normal(0, 1, (4, 20))


def graded(*means: float) -> dict[str, np.ndarray]:
    grades = ("quarter", "half_of_sentences", "three_quarters", "expected")
    return {grade: mean + noise for grade, mean, noise in zip(grades, means, NOISE, strict=True)}


def test_more_has_to_get_more():
    scores = {"tuned": np.linspace(10, 90, 30)}
    usage = scale(graded(20, 40, 60, 80), scores, BOOTSTRAP, (0, 100))
    assert usage["wrong"] == {} and list(usage["graded_steps"]) == ["half_of_sentences", "three_quarters", "expected"]
    assert all(step["low"] > 15 and step["low"] <= step["value"] <= step["high"] for step in usage["graded_steps"].values())
    assert scale(graded(20, 40, 39, 80), scores, BOOTSTRAP, (0, 100))["wrong"].keys() == {"graded"}


def test_answers_at_one_end_are_told():
    controls = graded(20, 40, 60, 80)
    low, high, spread = np.full(30, 1.0), np.full(30, 99.0), np.linspace(10, 90, 30)

    def wrong(**scores: np.ndarray) -> list[str]:
        return list(scale(controls, scores, BOOTSTRAP, (0, 100))["wrong"])

    assert wrong(tuned=low, base=low) == ["floor"] and wrong(tuned=high, base=high) == ["ceiling"]
    assert wrong(tuned=spread, base=low) == wrong(tuned=high, base=spread) == []
    assert set(WRONG) == {"graded", "floor", "ceiling"}


def test_failed_verdicts_do_not_count():
    controls = graded(2, 3, 4, 5)
    controls["quarter"][:10] = np.nan
    usage = scale(
        controls, {"tuned": np.r_[np.full(5, np.nan), np.full(5, 3.0)], "base": np.full(3, np.nan)}, BOOTSTRAP, (1, 5)
    )
    assert usage["near_ends"] == {"tuned": {"under": 0.0, "over": 0.0}, "base": {"under": 0.0, "over": 0.0}}
    assert np.isfinite([step["low"] for step in usage["graded_steps"].values()]).all()
