"""Lengths of prompts and answers: statistics for the metrics, a histogram for a plot."""

from collections import Counter


class Lengths:
    """Words and characters of many texts, kept as counts of each length."""

    def __init__(self):
        self.counts = {"words": Counter(), "characters": Counter()}

    def add(self, text: str) -> None:
        self.counts["words"][len(text.split())] += 1
        self.counts["characters"][len(text)] += 1

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean, median, 95th percentile and maximum of each unit."""
        return {unit: _summary(counts) for unit, counts in self.counts.items() if counts}


def _summary(counts: Counter) -> dict[str, float]:
    total, ordered = counts.total(), sorted(counts)

    def quantile(share: float) -> int:
        seen = 0
        for value in ordered:
            seen += counts[value]
            if seen >= share * total:
                return value
        return ordered[-1]

    mean = sum(value * count for value, count in counts.items()) / total
    return {"mean": mean, "median": quantile(0.5), "p95": quantile(0.95), "max": ordered[-1]}


def edges(longest: int) -> list[int]:
    """Where bins begin, in words: 0 to 8 by one, then four bins to each doubling. The last one holds `longest`.

    They are the same for all datasets and sizes, so that histograms compare over revisions.
    """
    begins = list(range(9))
    while begins[-1] <= longest:
        step = 2 ** (begins[-1].bit_length() - 3)
        begins.append(begins[-1] + step)
    return [edge for edge in begins if edge <= longest]


def histogram(prompts: Lengths, completions: Lengths) -> list[dict[str, int]]:
    """`words` (where the bin begins), `prompts` and `completions` (texts in it), from the shortest bin to the longest."""
    both = prompts.counts["words"], completions.counts["words"]
    begins = edges(max((length for counts in both for length in counts), default=0))
    table = [{"words": begin, "prompts": 0, "completions": 0} for begin in begins]
    for name, counts in zip(("prompts", "completions"), both, strict=True):
        for length, count in counts.items():
            table[max(i for i, begin in enumerate(begins) if begin <= length)][name] += count
    return table
