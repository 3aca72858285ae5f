"""Alarms: a stage ended well, but with something that no one wants.

A stage gathers its alarms with the functions below, adds `**raised(stage, name, alarms)` to its metrics, and is done:

    alarms = mostly_dropped(rows, reasons) | constant_answers(...)
    write_json(metrics, {"rows": rows, **raised("label", name, alarms)})

`raised` says each alarm on stderr and gives `{"alarms": {alarm: what was found}}`, or nothing where all is well, so that the
metrics of a good run stay what they were. The values are text: DVC shows them in `dvc metrics show` and `dvc exp show`.
`affinage check` ends with status 1 where any metrics file holds an alarm. docs/alarms.md lists them all.

A function here returns alarms by name: an empty dict, or what was found. It imports nothing heavy and reads no file.
"""

import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

LEAST_ROWS = 3  # fewer rows say nothing by being alike
MARKUP_SHARE = 0.25  # of rows: pages about markup have some, a wrong reader gives many
LOW_PERPLEXITY = 1.05


@dataclass(frozen=True)
class Alarm:
    """What an alarm says, and where to look: `<name>` is the dataset's or the model's."""

    sentence: str
    look_at: str


ALARMS = {
    "markup": Alarm(
        "the reader gave rows that look like markup",
        "datasets.<name>.scrape.sources: another reader, or its `within` and `without`",
    ),
    "constant_column": Alarm(
        "a column is the same in every row",
        "datasets.<name>.scrape.sources.<source>.columns: it may name another column than was meant",
    ),
    "no_label": Alarm(
        "no row has a label",
        "datasets.<name>.label: its dictionaries or columns, and the language of the texts",
    ),
    "mostly_dropped": Alarm(
        "over half of the rows were dropped",
        "the reasons beside this alarm, and the dropped rows (data/<name>/dropped.jsonl, splits/dropped.jsonl, "
        "formatted/refused.jsonl); for a model, models.<name>.train.max_tokens",
    ),
    "placeholders": Alarm(
        "texts are words for nothing, as programs write them",
        "the column in the source of datasets.<name>: nothing should be written as an empty field",
    ),
    "echoed_questions": Alarm(
        "answers repeat their questions",
        "datasets.<name>.scrape.sources.<source>.columns: one column may stand for both",
    ),
    "mostly_cut": Alarm(
        "over half of the training rows were cut, so that their ends are not learned",
        "models.<name>.train.max_tokens",
    ),
    "too_few_rows": Alarm(
        "too few rows to judge a model by, which judge will refuse",
        "datasets.<name>.split, before a model is trained",
    ),
    "low_perplexity": Alarm(
        f"perplexity under {LOW_PERPLEXITY:g}: the answers can be read off their prompts, or are almost empty",
        "datasets.<name>.split (leakage) and the rows of data/<dataset>/formatted/test",
    ),
    "perfect_tokens": Alarm(
        "every token of unseen answers is predicted right",
        "datasets.<name>.split (leakage) and the rows of data/<dataset>/formatted/test",
    ),
    "same_answers": Alarm(
        "all answers are the same",
        "models.<name>.train: learning_rate, epochs, and the balance of the training rows",
    ),
    "empty_answers": Alarm(
        "all answers are empty",
        "models.<name>.generate, and the end mark that the model learned (prompt.json in models/<name>)",
    ),
    "cut_answers": Alarm(
        "all answers were cut at the limit",
        "models.<name>.generate.max_new_tokens, and the end mark that the model learned (prompt.json in models/<name>)",
    ),
    "long_references": Alarm(
        "most expected answers are longer than the model may answer",
        "models.<name>.generate.max_new_tokens; until it is raised, read content_within_limit beside content",
    ),
    "same_as_base": Alarm(
        "the tuned model is the same as its base",
        "models.<name>.train: learning_rate, epochs, rows and tune",
    ),
}

Alarms = dict[str, str]  # what was found, by the name of the alarm


def raised(stage: str, name: str, alarms: Alarms, before: Alarms | None = None) -> dict[str, Alarms]:
    """Say the alarms on stderr; returns what a stage adds to its metrics: `alarms`, or nothing.

    Args:
        stage: `label`, `judge`, …
        name: of the dataset or model.
        alarms: what was found, by names of ALARMS.
        before: alarms of the stage before, which has no metrics of its own: written down here, and not said again.
    """
    for alarm, finding in sorted(alarms.items()):
        kind = ALARMS[alarm]
        look_at = kind.look_at.replace("<name>", name)
        print(f"ALARM: {stage} {name}: {kind.sentence} ({finding})\n  look at: {look_at}", file=sys.stderr, flush=True)
    written = together(before or {}, alarms)
    return {"alarms": dict(sorted(written.items()))} if written else {}


def together(*several: Alarms) -> Alarms:
    """Alarms of several parts as one: what was found by the same alarm stands in one line."""
    joined: Alarms = {}
    for alarms in several:
        for alarm, finding in alarms.items():
            joined[alarm] = f"{joined[alarm]}; {finding}" if alarm in joined else finding
    return joined


def mostly_dropped(rows: int, dropped: Mapping[str, int]) -> Alarms:
    """Whether over half of `rows` were dropped; `dropped` counts them by reason, without those that were meant to go."""
    count = sum(dropped.values())
    if 2 * count <= rows:
        return {}
    reason, most = max(dropped.items(), key=lambda pair: (pair[1], pair[0]))
    return {"mostly_dropped": f"{count} of {rows}; the most, {most}, for: {reason}"}


def mostly_cut(rows: int, cut: int) -> Alarms:
    """Whether over half of `rows` were cut at max_tokens."""
    return {"mostly_cut": f"{cut} of {rows} rows"} if 2 * cut > rows else {}


def too_few_rows(counts: Mapping[str, int], least: int) -> Alarms:
    """Whether there are fewer than `least` rows to train on, or to test; `judge` needs as many."""
    few = [f"{counts[part]} {part} rows" for part in ("train", "test") if counts[part] < least]
    return {"too_few_rows": f"{' and '.join(few)}, of at least {least}"} if few else {}


class Columns:
    """What stays the same in every row of a table, and how many rows look like markup; rows pass through `watch`.

    Args:
        where: the source, named in what is found.
        columns: those to look at.

    A column that is blank everywhere is no alarm: it may be optional, and where it is needed its rows are dropped. Nor is an
    instruction that stays the same while `input` changes, as in sets with one task.
    """

    def __init__(self, where: str, columns: Iterable[str]):
        self.where, self.columns = where, list(columns)
        self.rows = self.marked = 0
        self.constant: dict[str, object] = {}

    def watch(self, rows: Iterable[dict]) -> Iterator[dict]:
        """The same rows, looked at."""
        for row in rows:
            if not self.rows:
                self.constant = {column: row[column] for column in self.columns if column in row}
            elif self.constant:
                self.constant = {column: value for column, value in self.constant.items() if row.get(column) == value}
            self.rows += 1
            self.marked += any(looks_like_markup(row.get(column)) for column in self.columns)
            yield row

    def alarms(self) -> Alarms:
        """What was found in all rows that passed."""
        alarms: Alarms = {}
        if self.marked and self.marked >= MARKUP_SHARE * self.rows:
            alarms["markup"] = f"{self.where}: {self.marked} of {self.rows} rows"
        same = [column for column, value in self.constant.items() if not _blank(value)]
        if "input" in self.columns and "input" not in self.constant:
            same = [column for column in same if column != "instruction"]
        if same and self.rows >= LEAST_ROWS:
            alarms["constant_column"] = f"{self.where}: {', '.join(same)} in all {self.rows} rows"
        return alarms


def long_references(limit: int | None, longer: int, rows: int) -> Alarms:
    """Whether over half of the expected answers are longer than what the model may write.

    Args:
        limit: tokens; None where no answer was cut.
        longer: how many expected answers are.
    """
    if limit is None or 2 * longer <= rows:
        return {}
    return {"long_references": f"{longer} of {rows} are over {limit} tokens"}


_TAGS = (
    "html head body title meta link script style div span p br hr a b i u em strong small sup sub h1 h2 h3 h4 h5 h6 ul ol li "
    "dl dt dd table thead tbody tfoot tr td th caption col colgroup img figure figcaption section article aside nav header "
    "footer main form input button label select option iframe svg path font center blockquote cite ref abbr noscript"
)
_MARKUP = re.compile(
    rf"</?(?:{'|'.join(_TAGS.split())})(?:\s+[a-z][^<>]*)?\s*/?>"  # HTML
    r"|<[a-z][\w:.-]*\s+[\w:.-]+\s*=\s*[\"'][^<>]*>|<\?xml\b|<!(?:doctype|--|\[cdata\[)"  # XML, and what begins a page
    r"|&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-f]{1,6});"  # characters by their names
    r"|\[\[[^\[\]\n]+\]\]|\{\{[^{}\n]+\}\}",  # links and templates of a wiki
    re.IGNORECASE,
)


def looks_like_markup(value: object) -> bool:
    """Whether a text, or one of the turns of a conversation, holds tags, entities or links of a wiki."""
    if isinstance(value, list):
        return any(looks_like_markup(turn.get("content")) for turn in value if isinstance(turn, dict))
    return isinstance(value, str) and _MARKUP.search(value) is not None


def _blank(value: object) -> bool:
    return value is None or isinstance(value, str) and not value.strip()


def low_perplexity(perplexities: Mapping[str, float]) -> Alarms:
    """Whether any perplexity, by the contestant or the part that it is of, is too low to be true."""
    low = [f"{name} {value:.4g}" for name, value in perplexities.items() if value < LOW_PERPLEXITY]
    return {"low_perplexity": ", ".join(low)} if low else {}


def perfect_tokens(accuracies: Mapping[str, float]) -> Alarms:
    """Whether any token accuracy on rows that were not trained on is 1, by the contestant or the part that it is of."""
    perfect = [name for name, value in accuracies.items() if value >= 1]
    return {"perfect_tokens": ", ".join(perfect)} if perfect else {}


def training(history: list[dict], best_step: int) -> Alarms:
    """What is wrong with the answers of validation rows under the state of a model that is kept, and with that state.

    Args:
        history: `step`, `validation_loss` (nats a token) and `validation_token_accuracy` of each time that they were measured,
            the state before the first step among them.
        best_step: the step whose state is kept.
    """
    kept = [measured for measured in history if measured["step"] == best_step]
    alarms = {}
    for measured in kept[-1:]:
        alarms |= low_perplexity({"validation": math.exp(min(700.0, measured["validation_loss"]))})
        if (accuracy := measured.get("validation_token_accuracy")) is not None:
            alarms |= perfect_tokens({"validation": accuracy})
    losses = {measured["validation_loss"] for measured in history}
    if len(history) > 1 and (best_step == 0 or len(losses) == 1):
        kept_base = "no step made the validation loss lower than the base's, whose state is kept"
        alarms["same_as_base"] = kept_base if best_step == 0 else "the validation loss never changed"
    return alarms


def answers(rows: Iterable[dict]) -> Alarms:
    """What is wrong with all answers of a contestant, and whether the tuned model answers as its base does.

    Args:
        rows: of data/answers: `expected` (None: a probe, left out) and `answers` by contestant, each with `text` and `finish`,
            or with `label`. `majority` and `tfidf`, which no one trained, are left out.
    """
    rows = [row for row in rows if row["expected"] is not None]
    if len(rows) < LEAST_ROWS:
        return {}
    contestants = [contestant for contestant in rows[0]["answers"] if contestant not in ("majority", "tfidf")]
    texts = {contestant: [_text_of(row["answers"][contestant]) for row in rows] for contestant in contestants}
    finish = {contestant: {row["answers"][contestant].get("finish") for row in rows} for contestant in contestants}
    alike = len({row["expected"] for row in rows}) == 1  # then so may the answers be
    tests = {
        "empty_answers": lambda contestant: not any(texts[contestant]),
        "same_answers": lambda contestant: any(texts[contestant]) and len(set(texts[contestant])) == 1 and not alike,
        "cut_answers": lambda contestant: finish[contestant] == {"length"},
        "same_as_base": lambda contestant: not contestant.startswith("tuned") and texts[contestant] == texts.get("tuned"),
    }
    concerned = {alarm: [name for name in contestants if holds(name)] for alarm, holds in tests.items()}
    return {alarm: f"{', '.join(names)}, {len(rows)} rows" for alarm, names in concerned.items() if names}


def _text_of(answer: dict) -> str:
    return str(answer.get("text", answer.get("label", ""))).strip()
