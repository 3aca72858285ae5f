"""Label method `parts`: reviews with the vehicle parts they name, and those about which they report a problem."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from stages.common.files import json_files, read_rows
from stages.common.raw import raw_source
from stages.common.schema_data import Clean, Parts
from stages.common.seen import digest
from stages.common.spread import mapped
from stages.common.text_keys import as_text, folded_key
from stages.labels.clean import checked
from stages.labels.dictionary import Dictionary, build
from stages.labels.parts import Finder
from stages.labels.repeats import Checked, distinct

SEPARATOR = ", "
KINDS = {"parts": "List_part", "faults": "List_fault"}


def label_parts(raw: Path, params: Parts) -> tuple:
    """The rows of source `reviews`, and what was found in them."""
    reviews = Reviews(raw, params)
    return reviews.rows(), reviews.metrics


class Labeller:
    """The work on one raw review; picklable."""

    def __init__(self, finder: Finder, params: Parts, gold: dict[str, list[str]]):
        self.finder, self.params, self.gold = finder, params, gold
        self.rules = Clean(method="clean", required=["instruction", "response"], conflicts="keep")

    def __call__(self, review: dict) -> Checked:
        """The labelled row with the reason to drop it, or its keys; it is made of the columns needed, no other.

        Reasons are what its reader found wrong with the record (`problem`: then the row is as it was read), and those of
        `checked`.
        """
        if review.get("problem"):
            return {key: review.get(key) for key in ("id", self.params.text)}, review["problem"], None
        return checked(self.row(review), self.rules)

    def row(self, review: dict) -> dict:
        """`id, instruction, response, List_part, Count_part, List_fault, group` of one raw review.

        Of one that was labelled by hand the response is what the hand says, `weak` what the dictionary would have said, and
        `part` is test: a model is measured by people, and trained on none of what they marked.
        """
        text = as_text(review.get(self.params.text))
        if text is not None and not isinstance(text, str):
            return {"id": review["id"], "instruction": text, "response": self.params.none}
        parts, faults = self.finder.label(text or "")
        row = {"id": review["id"], "instruction": text or "", "response": ""}
        row |= {"List_part": parts, "Count_part": len(parts), "List_fault": faults, "group": group(text or "")}
        row["response"] = self._listed(row[KINDS[self.params.target]])
        if row["group"] not in self.gold:
            return row
        return row | {"response": self._listed(self.gold[row["group"]]), "weak": row["response"], "part": "test"}

    def _listed(self, names: list[str]) -> str:
        return SEPARATOR.join(names) or self.params.none


class Reviews:
    """One labelling: iterate over `rows()` to the end, then ask for `metrics()`."""

    def __init__(self, raw: Path, params: Parts):
        self.raw, self.params = raw, params
        self.dictionary = dictionary(raw, params)
        self.finder = Finder(self.dictionary)
        self.seen: Counter[str] = Counter()
        self.reviews = self.with_part = self.with_fault = self.mentions = 0

    def rows(self) -> Iterator[tuple[dict, str | None]]:
        """Each review, labelled, with the reason to drop it, or None to keep it.

        Files hold a brand each, and a round of training takes the first rows. No order of all rows mixes the files and stays
        as it is when rows come after the last one; the first `mixed` rows can be mixed, for they stay the first.
        """
        files = json_files(raw_source(self.raw, self.params.reviews))
        labelled = mapped(Labeller(self.finder, self.params, self.by_hand()), files)
        # these are held in memory
        first = sorted(islice(labelled, self.params.mixed), key=lambda pair: digest(str(pair[0]["id"])))
        for row, reason in distinct(lambda: chain(first, labelled), "keep"):
            if reason is None:
                self._count(row)
            yield row, reason

    def by_hand(self) -> dict[str, list[str]]:
        """What people say of a review, by its group, in the dictionary's names where it has them."""
        if not self.params.gold:
            return {}
        rows = read_rows(raw_source(self.raw, self.params.gold))
        target = self.params.target
        return {group(row["review"]): [self.dictionary.canonical(name) or name for name in row[target]] for row in rows}

    def metrics(self) -> dict:
        """Counts and shares over the rows kept so far, and the labeller against the gold rows where there are any."""
        never = [name for name in self.finder.names if name not in self.seen]
        summary = {
            "names": len(self.finder.names),
            "entries_without_name": dict(sorted(Counter(reason for _, reason in self.dictionary.dropped).items())),
            "share_with_part": self.with_part / max(self.reviews, 1),
            "share_with_fault": self.with_fault / max(self.reviews, 1),
            "parts_a_review": self.mentions / max(self.reviews, 1),
            "names_never_seen": len(never),
            "never_seen": never,
        }
        if self.params.gold:
            summary["gold"] = against_gold(self.finder, self.dictionary, read_rows(raw_source(self.raw, self.params.gold)))
        return summary

    def _count(self, row: dict) -> None:
        self.reviews += 1
        self.with_part += bool(row["List_part"])
        self.with_fault += bool(row["List_fault"])
        self.mentions += row["Count_part"]
        self.seen.update(row["List_part"])


def dictionary(raw: Path, params: Parts) -> Dictionary:
    """The dictionary of all sources of names, in their order."""
    entries = (row.get("name") or "" for name in params.dictionaries for row in read_rows(raw_source(raw, name)))
    return build(entries, read_rows(raw_source(raw, params.synonyms)) if params.synonyms else ())


def group(text: str) -> str:
    """The same for the same text under whatever title: 16 hexadecimal digits."""
    return hashlib.sha256(folded_key(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def against_gold(finder: Finder, names: Dictionary, rows: Iterator[dict]) -> dict:
    """Precision, recall and F1 of both labels against rows `review, parts, faults` labelled by hand.

    A gold name is what the dictionary calls it. Recall is over names in the dictionary, `recall_of_all` over all; a name
    found is right only if it is the gold's own, so a part of an unlisted name ("gasket") counts against precision.
    """
    counts = {"parts": Counter(), "faults": Counter()}
    total = 0
    for row in rows:
        total += 1
        for (kind, count), labels in zip(counts.items(), finder.label(row["review"]), strict=True):
            gold = {name: names.canonical(name) for name in row[kind]}
            listed = {name for name in gold.values() if name}
            count["right"] += len(listed & set(labels))
            count["found"] += len(labels)
            count["listed"] += len(listed)
            count["all"] += len(listed) + sum(name is None for name in gold.values())
    return {"reviews": total, **{kind: _rates(count) for kind, count in counts.items()}}


def _rates(count: Counter) -> dict[str, float]:
    precision, recall = count["right"] / max(count["found"], 1), count["right"] / max(count["listed"], 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    every = count["right"] / max(count["all"], 1)
    return {"names": count["all"], "precision": precision, "recall": recall, "f1": f1, "recall_of_all": every}
