"""The table of answers: what the page shows of each row, and by what it can be sorted and narrowed."""

import math
from functools import cached_property
from statistics import median

from affinage.reports import differences, drawings, figures
from affinage.reports.kept_columns import kept_columns
from affinage.reports.results import TUNED, Results, Row
from stages.common.files import clean_text
from stages.judging.controls import FLAGS

LONGEST = 20_000  # characters of a text on the page; the whole is in the answers file


class Table:
    """Rows as the template draws them."""

    def __init__(self, results: Results):
        self.results, self.judges, self.rival = results, results.judges, results.rival
        self.kept = kept_columns(results.revision, str(results.params.get("dataset")), results.rows)

    @cached_property
    def columns(self) -> list[str]:
        """Whose answers stand in the table: the tuned model's and its rival's. The rest is folded away in each row."""
        return [contestant for contestant in (TUNED, self.rival) if contestant in self.results.contestants]

    @cached_property
    def sort_keys(self) -> list[tuple[str, str]]:
        """(what a row can be sorted by, its column)."""
        keys = [("place in the file", "number"), ("question", "question")]
        for judge in self.judges:
            keys += [(f"{judge}: gain over the base", "gain"), (f"{judge}: tuned", "score"), (f"{judge}: base", "score")]
        if self.results.task == "label":
            keys += [("right or wrong", "score"), ("probability of the label given", "score")]
        return [*keys, ("length of the expected answer", "expected"), ("length of the tuned answer", "tuned")]

    @cached_property
    def rows(self) -> list[dict]:
        return [self._row(number, row) for number, row in enumerate(self.results.rows, 1)]

    def _row(self, number: int, row: Row) -> dict:
        expected = None if row.expected is None else cut(row.expected)
        compared = {contestant: differences.compare(expected or "", cut(row.text_of(contestant))) for contestant in row.answers}
        of_tuned = compared.get(TUNED, ([("", expected or "")],))[0]
        replies = {
            contestant: reply(
                self.results,
                row,
                contestant,
                figures.contestant(contestant),
                "tuned" if contestant == TUNED else "base",
                runs if row.expected else [("", cut(row.text_of(contestant)))],
            )
            for contestant, (_, runs) in compared.items()
        }
        keys = self._keys(number, row)
        return {
            "number": number,
            "row": row,
            "turns": [(role, cut(text)) for role, text in row.turns],
            "expected": expected,
            "expected_runs": of_tuned,
            "answers": [replies[contestant] for contestant in self.columns if contestant in replies],
            "folded": [own for contestant, own in replies.items() if contestant not in self.columns],
            "verdicts": self._verdicts(row),
            "judgements": [
                judgement
                for judge in self.judges
                for contestant in row.answers
                for judgement in judgements(row, judge, contestant, figures.contestant(contestant))
            ],
            "surprise": [
                (figures.contestant(contestant), figures.show(_perplexity(*sums)))
                for contestant, sums in row.likelihood.items()
                if sums[1]
            ],
            "more": self._more(row),
            "sorted_by": [key if isinstance(key, str) else "" if key is None else f"{key:g}" for key in keys],
            "flags": " ".join(self._flags(row)),
            "kept_places": self.kept.places(row.id),
            "kept_values": self.kept.values(row.id),
        }

    def _more(self, row: Row) -> str:
        """What is folded away under a row."""
        parts = {
            "prompts": any(answer.get("prompt") for answer in row.answers.values()),
            "verdicts": row.expected is not None and bool(row.scores),
            "other answers": len(row.answers) > len(self.columns),
        }
        words = ", ".join(name for name, present in parts.items() if present) or "id"
        return words[:1].upper() + words[1:]

    def _verdicts(self, row: Row) -> list[dict]:
        """What stands beside a row; nothing beside a label, which is right or wrong."""
        if row.expected is None or self.results.task == "label":
            return []
        sides = [(judge, row.scores.get(judge, {})) for judge in self.judges]
        return [
            verdict(judge, self.results.span(judge), scores.get(self.rival), scores.get(TUNED))
            | {"failed": row.failed.get(judge, {}), "pair": row.pairs.get(judge, {})}
            for judge, scores in sides
        ]

    def _keys(self, number: int, row: Row) -> list:
        keys: list = [number, row.turns[-1][1][:80]]
        for judge in self.judges:
            scores = row.scores.get(judge, {})
            tuned, other = scores.get(TUNED), scores.get(self.rival)
            keys += [tuned - other if tuned is not None and other is not None else None, tuned, other]
        answer = row.answers.get(TUNED, {})
        if self.results.task == "label":
            sure = (answer.get("probabilities") or {}).get(answer.get("label"))
            keys += [None if row.expected is None else float(row.text_of(TUNED) == row.expected), sure]
        return [*keys, None if row.expected is None else len(row.expected), len(row.text_of(TUNED))]

    def _flags(self, row: Row) -> list[str]:
        flags = ["probe"] if row.expected is None else []
        for judge in self.judges[:1]:
            scores = row.scores.get(judge, {})
            tuned, other = scores.get(TUNED), scores.get(self.rival)
            if tuned is not None and other is not None and tuned != other:
                flags.append("gained" if tuned > other else "lost")
        if row.expected is not None and self.results.task == "label":
            flags.append("right" if row.text_of(TUNED) == row.expected else "wrong")
        if any(row.failed.values()) or any(None in scores.values() for scores in row.scores.values()):
            flags.append("failed")
        if row.answers.get(TUNED, {}).get("finish") == "length":
            flags.append("length")
        return [*flags, *(name for name, value in row.figures.get(TUNED, {}).items() if name in FLAGS and value)]

    @cached_property
    def filters(self) -> list[tuple[str, str, int]]:
        """(flag, in words, rows): those that some row has."""
        first = self.judges[0] if self.judges else ""
        words = {
            "gained": f"gained by judge {first}",
            "lost": f"lost by judge {first}",
            "right": "labelled right",
            "wrong": "labelled wrong",
            "failed": "a judge failed",
            "length": "broke off at the limit",
            **{flag: f"form: {figures.kind(flag).inside}" for flag in FLAGS},
            "probe": "probes, with no expected answer",
        }
        flags = [flag for row in self.rows for flag in row["flags"].split()]
        return [(flag, text, flags.count(flag)) for flag, text in words.items() if flag in flags]

    @cached_property
    def highlight(self) -> str:
        """What is highlighted at first: what differs where answers are mostly as expected, else what is shared."""
        tuned = [row["answers"][0]["runs"] for row in self.rows if row["expected"] and row["answers"]]
        shares = [differences.share(runs) for runs in tuned]
        return "own" if shares and median(shares) > 0.5 else "same"


def reply(results: Results, row: Row, contestant: str, label: str, side: str, runs: list[tuple[str, str]]) -> dict:
    """One answer as the template draws it.

    Args:
        label: whose it is, in words.
        side: `tuned` or `base`: its colour and its place.
        runs: its text, by what it shares with another.
    """
    answer = row.answers.get(contestant, {})
    facts = []
    sure = (answer.get("probabilities") or {}).get(answer.get("label"))
    if sure is not None:
        facts.append(f"{figures.show(sure, 2)} sure")
    if answer.get("tokens") is not None:
        facts.append(f"{answer['tokens']} tokens")
    if answer.get("finish") not in (None, "stop"):
        facts.append({"length": "broke off at the limit"}.get(answer["finish"], str(answer["finish"])))
    flags = [flag for flag in FLAGS if row.figures.get(contestant, {}).get(flag)]
    facts += [figures.kind(flag).inside for flag in flags if (flag, answer.get("finish")) != ("breaks_off", "length")]
    if (seconds := results.seconds.get(contestant, {}).get(row.id)) is not None:
        facts.append(f"{seconds:.2f} s")
    return {
        "label": label,
        "side": side,
        "runs": runs,
        "facts": facts,
        "prompt": cut(str(answer.get("prompt", ""))),
        "right": row.text_of(contestant) == row.expected if "label" in answer and row.expected is not None else None,
    }


def verdict(judge: str, span: tuple[float, float], before: float | None, after: float | None) -> dict:
    """Two scores on one line, as long as the judge's scale (`span`)."""
    place = drawings.scale(*span, 3, 97)
    return {
        "judge": judge,
        "tuned": after,
        "other": before,
        "difference": after - before if after is not None and before is not None else None,
        "tuned_at": None if after is None else place(after),
        "other_at": None if before is None else place(before),
        "failed": {},
        "pair": {},
    }


def judgements(row: Row, judge: str, contestant: str, label: str) -> list[dict]:
    """What a judge said of one answer, if anything."""
    scores, reasons, failed = (by_judge.get(judge, {}) for by_judge in (row.scores, row.reasons, row.failed))
    if contestant not in scores and contestant not in failed:
        return []
    verdict_of_answer = {"score": scores.get(contestant), "reason": reasons.get(contestant), "failed": failed.get(contestant)}
    return [{"judge": judge, "of": label, **verdict_of_answer}]


def _perplexity(nats: float, tokens: float, *_: float) -> float:
    return math.exp(min(700, nats / tokens))


def cut(text: str) -> str:
    """The text, or its beginning and how much was left out."""
    text = clean_text(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … (the first {LONGEST:,} of {len(text):,} characters)"
