"""Two answers compared in both orders, and the rates that follow from it."""

import numpy as np

from stages.judging.intervals import Bootstrap, mean

OUTCOME = {"tuned": 1.0, "tie": 0.5, "base": 0.0}
STEPS, STEEPEST = 30, 12.0  # of Newton's method; log-odds beyond which all is won or lost


def settle(first: str, second: str) -> dict:
    """A comparison from the verdicts of both orders. It is a win only where both agree.

    Args:
        first: A, B or tie, where A was the tuned model's answer.
        second: the same, where B was.
    """
    first_winner = {"A": "tuned", "B": "base", "tie": "tie"}[first]
    second_winner = {"A": "base", "B": "tuned", "tie": "tie"}[second]
    return {
        "winner": first_winner if first_winner == second_winner else "tie",
        "first": first_winner,
        "second": second_winner,
        "flipped": first_winner != second_winner,
    }


def rates(pairs: dict[int, dict], lengths: np.ndarray, bootstrap: Bootstrap) -> dict:
    """Figures of the comparisons, each with an interval.

    - `win_rate`: the share that the tuned model wins; ties count half.
    - `win_rate_lc`: the same, controlled for length (`controlled`).
    - `ties`: the share of ties.
    - `flip_rate`: the share whose verdict changed with the order.
    - `first_preferred`: of the single verdicts that are no tie, the share that fell to the answer shown first.

    Args:
        pairs: by row; rows without both verdicts are missing.
        lengths: characters of the tuned answer minus those of the base's [n].
    """
    n = len(lengths)
    there = np.array([i in pairs for i in range(n)])

    def share(value) -> dict[str, float]:
        rows = np.array([value(pairs[i]) if i in pairs else (0.0, 0.0) for i in range(n)], float)
        return bootstrap.interval(rows, mean)

    def first(pair: dict) -> tuple[float, float]:
        return (pair["first"] == "tuned") + (pair["second"] == "base"), (pair["first"] != "tie") + (pair["second"] != "tie")

    outcomes = np.array([OUTCOME[pairs[i]["winner"]] if i in pairs else 0.0 for i in range(n)])
    spread = lengths[there].std()
    longer = np.tanh(lengths / spread) if spread else np.zeros(n)
    decided = any(pair["first"] != "tie" or pair["second"] != "tie" for pair in pairs.values())
    return {
        "compared": int(there.sum()),
        "win_rate": share(lambda pair: (OUTCOME[pair["winner"]], 1.0)),
        "win_rate_lc": bootstrap.weighted(lambda counts: controlled(counts * there, outcomes, longer)),
        "ties": share(lambda pair: (pair["winner"] == "tie", 1.0)),
        "flip_rate": share(lambda pair: (pair["flipped"], 1.0)),
        **({"first_preferred": share(first)} if decided else {}),
    }


def controlled(counts: np.ndarray, outcomes: np.ndarray, longer: np.ndarray) -> np.ndarray:
    """Win rates as if all answers had been of like length, as in AlpacaEval 2 (arXiv 2404.04475).

    AlpacaEval's terms of how hard a question is are left out. They are estimated on a leaderboard of many models; here are two.

    The model is P(win of row i) = sigmoid(a + b x_i), x_i = tanh(difference of lengths / its standard deviation). A tie is half
    a win. It is fitted by maximum likelihood, with a unit Gaussian prior on b and with a within ±12. The rate is sigmoid(a),
    which is the win rate at x = 0.

    Args:
        counts: how often each row was drawn [..., n].
        outcomes: 1 win, 0.5 tie, 0 loss [n].
        longer: x [n].
    """
    counts = np.asarray(counts, float)
    a, b = np.zeros(counts.shape[:-1]), np.zeros(counts.shape[:-1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(a[..., None] + b[..., None] * longer, -30, 30)))
        miss, w = counts * (outcomes - p), counts * p * (1 - p)
        ga, gb = miss.sum(-1), miss @ longer - b
        haa, hab, hbb = w.sum(-1) + 1e-9, w @ longer, w @ (longer * longer) + 1
        det = haa * hbb - hab * hab
        step_a, step_b = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        # halved where it is long: far from the best point the quadratic model overshoots
        scale = 1 / np.maximum(1, np.maximum(np.abs(step_a), np.abs(step_b)) / 2)
        a, b = np.clip(a + scale * step_a, -STEEPEST, STEEPEST), b + scale * step_b
    return 1 / (1 + np.exp(-a))
