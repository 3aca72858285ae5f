"""Whether two revisions were judged by the same judge, from what `details.json` says of it."""

# what was found with a judge; everything else tells which judge it is
_FOUND = {
    "auc",
    "auc_content",
    "graded_steps",
    "near_ends",
    "agreement",
    "fooled",
    "control_means",
    "failed",
    "bounds",
    "weak",
    "length_correlation",
    "pairwise",
    "pairwise_prompt",
    "weights",
}


def another(first: dict, second: dict) -> str | None:
    """Why two entries of `judges` in `details.json` are of two judges, so that their scores do not compare; None where they are
    of one, or where one is empty."""
    for name in sorted(first.keys() & second.keys() - _FOUND):
        if first[name] != second[name]:
            return f"another judge: its {name} changed"
    weights = [side.get("weights") for side in (first, second)]
    if all(weights) and not _alike(*weights):
        return "it was fitted otherwise: its weights changed"
    return None


def _alike(first: dict[str, float], second: dict[str, float]) -> bool:
    """Whether fitted weights are the same but for last digits, in which machines differ."""
    return first.keys() == second.keys() and all(abs(first[k] - second[k]) <= 1e-3 * (1 + abs(first[k])) for k in first)
