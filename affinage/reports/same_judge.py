"""Whether a judge is the same at two revisions, so that its scores compare."""

from affinage.history.judges import another
from affinage.reports.results import Results, flat

# parameters of a judge that say how it is asked, not what it answers
_NO_MATTER = {"controls", "concurrency", "timeout_seconds", "attempts", "warn_below", "base_url", "pairwise"}


def unlike(first: Results, second: Results, judge: str) -> str | None:
    """Why a judge's scores of the two revisions do not compare; None where they do."""
    if absent := [str(results.revision) for results in (first, second) if judge not in results.judges]:
        return f"it did not judge {' and '.join(absent)}"
    sides = [((results.params.get("judge") or {}).get("judges") or {}).get(judge) or {} for results in (first, second)]
    if sides[0].get("kind") == sides[1].get("kind") == "embedded":  # it reads by this model
        sides = [
            side | {"judge_base": results.params.get("judge_base")}
            for side, results in zip(sides, (first, second), strict=True)
        ]
    options = [dict(flat({key: value for key, value in side.items() if key not in _NO_MATTER})) for side in sides]
    for name in options[0] | options[1]:
        if options[0].get(name) != options[1].get(name):
            return f"another judge: {name} was {options[0].get(name, 'not set')}, is {options[1].get(name, 'not set')}"
    return another(first.said_of(judge), second.said_of(judge))
