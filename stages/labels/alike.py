"""Labels that are probably meant to be one: they differ by case, accents, punctuation or number alone."""

import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from stages.common.row_keys import to_classify
from stages.common.text_keys import loose_key
from stages.labels.dictionary import singular, words_of

MANY = 10_000  # more classes than these are no classes; they are not compared


def plain(label: str) -> str:
    """What labels share that differ by case, accents, punctuation or number alone.

    >>> plain("Réclamations") == plain("reclamation")
    True
    """
    label = re.sub(r"(\d)\.0+$", r"\1", label)  # a whole number out of a column of floats
    letters = (letter for letter in unicodedata.normalize("NFD", loose_key(label)) if not unicodedata.combining(letter))
    return " ".join(singular(word) for word in words_of("".join(letters)).split())


class Classes:
    """Counts the labels of the rows that are kept, and names those that look alike."""

    def __init__(self):
        self.counts: Counter[str] = Counter()

    def counted(self, rows: Iterable[tuple[dict, str | None]]) -> Iterator[tuple[dict, str | None]]:
        """The same rows; their labels are counted, and a warning names labels that look alike."""
        for row, reason in rows:
            if reason is None and to_classify(row) and len(self.counts) <= MANY:
                self.counts[row["label"]] += 1
            yield row, reason
        for labels in self.alike():
            counts = ", ".join(f"{label!r} ({self.counts[label]} rows)" for label in labels)
            print(f"warning: labels that look alike are different classes: {counts}", file=sys.stderr)

    def alike(self) -> list[list[str]]:
        """Groups of labels that look alike, the most frequent label first."""
        groups = defaultdict(list)
        for label in sorted(self.counts, key=lambda label: (-self.counts[label], label)):
            groups[plain(label) or label].append(label)
        return [labels for labels in groups.values() if len(labels) > 1] if len(self.counts) <= MANY else []

    def metrics(self) -> dict:
        """The number of classes, and those that look alike; nothing where no row has a label."""
        return {"classes": len(self.counts), "labels_alike": self.alike()} if self.counts else {}
