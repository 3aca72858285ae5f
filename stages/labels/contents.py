"""What no one wants of rows that are kept: words that stand for nothing, and answers that repeat their questions."""

from collections import Counter
from collections.abc import Iterator

from stages.common.rows import LabelledRow
from stages.common.sanity import LEAST_ROWS, Alarms

NOT_A_LABEL = {"nan", "<na>", "nat", "#n/a", "undefined", "[object object]"}  # as pandas, Excel and JavaScript write nothing
NOTHING = NOT_A_LABEL | {"null", "(null)", "none", "n/a", "<noinput>"}
LONGEST = max(map(len, NOTHING))
SHARE = 0.01  # of the rows: fewer may mean what they say


class Contents:
    """Counts rows that say nothing.

    Args:
        none: what a labeller writes on purpose where there is nothing; "" for no such word.
    """

    def __init__(self, none: str):
        self.none = none.casefold()
        self.rows = self.echoes = 0
        self.words: dict[str, Counter[str]] = {}

    def add(self, row: LabelledRow) -> None:
        """Look at a row that is kept."""
        self.rows += 1
        texts = list(_texts(row))
        for column, text in texts:
            word = text.casefold() if len(text) <= LONGEST else ""
            if word in (NOT_A_LABEL if column == "label" else NOTHING) and word != self.none:
                self.words.setdefault(column, Counter())[text] += 1
        learned = [text for column, text in texts if column != "input"]
        self.echoes += len(learned) > 1 and learned[-1] == learned[-2]

    def alarms(self) -> Alarms:
        """What was found in all rows."""
        alarms: Alarms = {}
        least = max(LEAST_ROWS, SHARE * self.rows)
        many = {column: words for column, words in self.words.items() if words.total() >= least}
        if many:
            parts = [f"{column}: {words.total()} rows, as {words.most_common(1)[0][0]!r}" for column, words in many.items()]
            alarms["placeholders"] = f"{'; '.join(parts)} (of {self.rows})"
        if self.echoes >= LEAST_ROWS and 2 * self.echoes > self.rows:
            alarms["echoed_questions"] = f"{self.echoes} of {self.rows} rows"
        return alarms


def _texts(row: LabelledRow) -> Iterator[tuple[str, str]]:
    """The texts of a row, each with its column; the answer comes last."""
    for turn in row.get("messages", ()):
        yield "messages", turn["content"]
    for column in ("instruction", "input", "response", "text", "label"):
        if isinstance(row.get(column), str):
            yield column, row[column]
