"""The rows that `label` leaves out: how many for each reason, the first ones of each, and what helps."""

from collections import Counter

from stages.common.rows import DroppedRow

SHOWN = 3  # rows named for each reason
# what helps against a reason, by its first words
FIXES = {
    "missing": "look at the column in the source, and at datasets.<name>.scrape.sources.<source>.columns",
    "not text": "look at the column in the source, and at datasets.<name>.scrape.sources.<source>.columns",
    "not usable: messages": "edit the conversations in the source (a turn has role and content, or from and value), or name "
    "the column with the list of turns in datasets.<name>.scrape.sources.<source>.columns (chat.turns for one inside another)",
    "conflict": "set datasets.<name>.label.conflicts to keep, majority or drop_later",
    "unknown account": "complete the chart, or edit datasets.<name>.label.account",
}


class Dropped:
    """Counts the rows left out by reason, and remembers the first ones of each."""

    def __init__(self):
        self.counts: Counter[str] = Counter()
        self.first: dict[str, list[str]] = {}

    def add(self, row: DroppedRow, reason: str) -> None:
        self.counts[reason] += 1
        if self.counts[reason] <= SHOWN:
            self.first.setdefault(reason, []).append(place(row["id"]))

    def lines(self) -> list[str]:
        """A line for each reason, the most frequent first."""
        return [
            f"{reason}: {count} rows: {', '.join(self.first[reason])}{', …' * (count > SHOWN)}"
            for reason, count in self.counts.most_common()
        ]

    def fix(self) -> str:
        """What helps against the most frequent reason."""
        reason = self.counts.most_common(1)[0][0] if self.counts else ""
        general = "look at the sources, and at datasets.<name>.label"
        return next((fix for words, fix in FIXES.items() if reason.startswith(words)), general)


def place(row_id: str) -> str:
    """Where a row stands: `local/a.csv#7` is row 7 of the file a.csv of the source local."""
    file, _, number = row_id.rpartition("#")
    return f"{file} row {number}" if file else row_id
