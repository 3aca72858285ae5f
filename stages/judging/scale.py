"""Whether a judge uses its scale: an answer that says more gets more, and real answers do not all lie at one end of it.

The graded controls are the first quarter, half and three quarters of the expected answers, and the expected answers themselves.
"""

from itertools import pairwise

import numpy as np

from stages.judging.controls import GRADES
from stages.judging.intervals import Bootstrap, mean

END = 0.05  # of the scale, at either end
MOST = 0.5  # share of answers at one end
WRONG = {
    "graded": "answers that say more of what was expected do not get more (details.json, graded_steps)",
    "floor": "over half of all answers lie at the lower end of its scale",
    "ceiling": "over half of all answers, the base's too, lie at the upper end of its scale",
}


Scores = dict[str, np.ndarray]


def scale(controls: Scores, scores: Scores, bootstrap: Bootstrap, ends: tuple[float, float]) -> dict:
    """How a judge uses its scale.

    Args:
        controls: by kind, scores of the same rows [n]; nan where the judge failed.
        scores: by contestant [m].
        bootstrap: over the n rows.
        ends: the lowest and the highest score.

    Returns:
        - `graded_steps`: by grade, its mean less that of the grade before, with a paired interval.
        - `near_ends`: by contestant, the share of answers under 5 % and over 95 % of the scale.
        - `wrong`: the keys of WRONG that hold. Beside `graded` stands the lowest end of a step's interval, beside `floor` and
          `ceiling` the smallest share at that end.
    """
    low, high = ends
    steps = {
        more: bootstrap.difference(*(_counted(controls[grade], controls[more], controls[less]) for grade in (more, less)), mean)
        for less, more in pairwise(grade for grade in GRADES if grade in controls)
    }
    near = {contestant: _near_ends((values - low) / (high - low)) for contestant, values in scores.items()}
    wrong = {}
    if steps and (least := min(step["low"] for step in steps.values())) <= 0:
        wrong["graded"] = least
    for end, side in (("floor", "under"), ("ceiling", "over")):
        if (share := min(shares[side] for shares in near.values())) > MOST:
            wrong[end] = share
    return {"graded_steps": steps, "near_ends": near, "wrong": wrong}


def _counted(values: np.ndarray, *both: np.ndarray) -> np.ndarray:
    """Rows [value, 1], and [0, 0] where one of both has no value."""
    scored = ~np.isnan(np.stack(both)).any(0)
    return np.stack([np.where(scored, values, 0), scored.astype(float)], 1)


def _near_ends(shares: np.ndarray) -> dict[str, float]:
    scored = shares[~np.isnan(shares)]
    if not len(scored):
        return {"under": 0.0, "over": 0.0}
    return {"under": float((scored < END).mean()), "over": float((scored > 1 - END).mean())}
