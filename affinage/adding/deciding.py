"""Which reading and which columns are meant: what options say, then what can be told, then what a person at a terminal says."""

import re
import string
import sys
from dataclasses import dataclass, field

import typer

from affinage.adding import proposals
from affinage.adding.account_roles import account_roles
from affinage.adding.column_kinds import Column, columns_of
from affinage.adding.reading import Reading
from affinage.adding.roles import KINDS, TEXT, Roles, named, roles
from stages.common.errors import StageError
from stages.sources.columns import column

REVIEW = ["review", "reviews", "comment", "feedback", "text"]
PART = ["name", "part", "partname", "piece", "component", "teil"]
TABLES = ("csv", "excel")  # readers whose first row names the columns
NAMES = ("html_list", "html_table", "html_items", "lines")  # readers that give names alone


@dataclass(frozen=True)
class Options:
    """What the options say: `task` is one of KINDS, the others columns or templates; "" where one is not given."""

    task: str = ""
    question: str = ""
    answer: str = ""
    text: str = ""
    label: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """By our name of a column, the file's name of it or a template."""
        pairs = {"instruction": self.question, "response": self.answer, "text": self.text, "label": self.label}
        return {ours: template for ours, template in pairs.items() if template}


@dataclass
class Decision:
    """A reading with the roles of its columns."""

    way: Reading
    columns: list[Column]
    roles: Roles = field(default_factory=Roles)

    @property
    def first_alone(self) -> list[Column]:
        """The columns in use that are the first item of a list of several: the others would be left out."""
        used = {name.rstrip("?") for template in self.roles.columns.values() for name in fields(template)}
        return [column for column in self.columns if column.name in used and column.several > 1]


def decided(ways: list[Reading], options: Options, where: str) -> Decision:
    """The surest reading; of equally sure ones the outermost.

    Raises:
        StageError: where nothing can be told, with what there is and the options that say it.
    """
    if options.task not in ("", *KINDS):
        raise StageError(f"--as {options.task}", "no such kind of dataset", f"one of {', '.join(KINDS)}", "edit --as")
    if (options.question or options.answer) and (options.text or options.label) and options.task != "parts":
        raise StageError("options", "--question or --answer beside --text or --label", "one pair", "leave the other pair out")
    decisions, errors = [], []
    for way in ways:
        if way.kind == "reviews_csv" and options != Options() and options.task != "parts":
            continue
        columns = columns_of(way.rows)
        shared = set(way.shared)
        columns = [column for column in columns if column.name.partition(".")[0] in shared or column.name in shared]
        try:
            decisions.append(Decision(way, columns, _roles(way, columns, options, where)))
        except StageError as error:
            errors.append(error)
    if not decisions:
        raise _in_no_reading(errors)
    best = max(decisions, key=_rank)
    if best.roles.quality == 0 and is_terminal():
        return decided(ways, _ask(best, options), where)
    if best.roles.quality == 0:
        choices = proposals.choices(best, where, best.way.kind in NAMES)
        listing = f"{'; '.join(best.roles.doubts)}\n{proposals.listing(decisions)}{proposals.not_everywhere(best)}"
        raise StageError(where, listing, "columns to learn from", choices)
    return best


def _in_no_reading(errors: list[StageError]) -> StageError:
    """The first error; where others name other columns, with those too."""
    first = errors[0]
    others = list(dict.fromkeys(error.expected for error in errors if error.expected != first.expected))
    return StageError(first.where, first.found, "; or ".join([first.expected, *others[:5]]), first.fix)


def _rank(decision: Decision) -> tuple:
    """How good a reading is. Of names and charts the longest one is meant, of others the first."""
    names = decision.way.kind in NAMES
    sized = names or decision.roles.task == "accounts" or "name" in decision.roles.columns
    rows = len(decision.way.rows) if sized and decision.roles.quality else 0
    return decision.roles.quality > 0, not decision.first_alone, decision.roles.quality, rows, names and rows > 0


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask(best: Decision, options: Options) -> Options:
    """The options, after a person at a terminal was asked for what is missing."""
    print(f"{'; '.join(best.roles.doubts)}\n{proposals.listing([best])}")
    kind = typer.prompt(
        "Questions with answers (q), or texts with a label (t)?", default="t" if options.text or options.label else "q"
    )
    first, second = ("text", "label") if kind.strip().lower().startswith("t") else ("question", "answer")
    values = {first: getattr(options, first) or typer.prompt(f"Column or template of the {first}")}
    values[second] = getattr(options, second) or typer.prompt(f"Column of the {second}")
    return Options(options.task, **values)


def _roles(way: Reading, columns: list[Column], options: Options, where: str) -> Roles:
    if options.task == "parts" or (way.kind == "reviews_csv" and options == Options()):
        return _parts(way, columns, options, where)
    _check(way, options, where)
    if options.task == "accounts":
        return account_roles(columns)
    if options.columns:
        assigned = _with(columns, options)
    elif way.kind in TABLES and _looks_like_data(way):
        assigned = Roles(doubts=["the first row looks like data, not like names of columns: write a line of names above it"])
    elif way.kind in NAMES:
        assigned = Roles(doubts=["names alone: --as parts searches for them in the reviews that come with this repository"])
    else:
        assigned = roles(columns)
    if way.kind == "medquad":
        assigned.keep, assigned.group = ["qtype", "focus", "document"], "focus"
    return _as(assigned, columns, options)


def _looks_like_data(way: Reading) -> bool:
    """Whether the names of a table's columns are sentences, questions or numbers."""
    names = [name for name in way.shared if name]
    return any(len(name.split()) > 6 or name.rstrip().endswith("?") for name in names) or (
        len(names) > 1 and sum(bool(re.fullmatch(r"[\d.,:/ -]+", name)) for name in names) >= len(names) / 2
    )


def _with(columns: list[Column], options: Options) -> Roles:
    """Roles as options say them; the other half of a pair by its name, or where one column is left."""
    classes = bool(options.text or options.label)
    assigned, guess = Roles("classification" if classes else "instructions"), roles(columns)
    used = {name.rstrip("?") for value in options.columns.values() for name in fields(value)}
    for ours, option in (
        (("text", "--text"), ("label", "--label")) if classes else (("instruction", "--question"), ("response", "--answer"))
    ):
        theirs = options.columns.get(ours) or guess.columns.get(ours, "")
        if theirs and (ours in options.columns or theirs not in used):
            assigned.set(ours, theirs, f"its name: {option}" if ours in options.columns else guess.why[ours])
            continue
        others = [column for column in columns if column.name not in used and column.is_text and not column.is_aside]
        if len(others) == 1:
            assigned.set(ours, others[0].name, "the only other column of text", likely=True)
        else:
            assigned.doubts.append(f"{option} is not said, and cannot be told")
    if "input" in guess.columns and assigned.task == guess.task and guess.columns["input"] not in used:
        assigned.set("input", guess.columns["input"], guess.why["input"])
    return assigned


def _as(assigned: Roles, columns: list[Column], options: Options) -> Roles:
    """The roles under the kind of dataset that `--as` asks for."""
    if not options.task or options.task == assigned.task or assigned.doubts:
        return assigned
    pair, turns = "instruction" in assigned.columns, "messages" in assigned.columns
    if (options.task in ("chat", "completion", "instructions") and pair) or (options.task == "chat" and turns):
        assigned.task = options.task
        return assigned
    needs = "--text and --label" if options.task == "classification" else "--question and --answer"
    assigned.doubts.append(f"as {options.task} it needs {needs}; found {', '.join(assigned.columns) or 'nothing'}")
    return assigned


def _parts(way: Reading, columns: list[Column], options: Options, where: str) -> Roles:
    if way.kind == "reviews_csv":
        assigned = Roles("parts")
        assigned.set("review", "review", "its name, in the header of Edmunds' reviews")
        assigned.set("problem", "problem", "its name: what the reader finds wrong with a record")
        return assigned
    assigned = Roles("parts")
    if way.kind in NAMES and way.kind != "html_items":
        assigned.set("name", "name", "a name each: parts to search for")
        return assigned
    _check(way, options, where)
    texts = [column for column in columns if column.is_text and not column.is_aside and not column.is_class]
    long = [column for column in texts if column.words > 8]
    names = named([column for column in texts if column not in long], PART)
    review = named(long, REVIEW) or (None if names else named(long, TEXT) or (long[0] if len(long) == 1 else None))
    if options.text or review:
        why = "its name: --text" if options.text else "its name, or the only long texts"
        assigned.set("review", options.text or review.name, why)
    elif names or len(texts) == 1:
        assigned.set("name", (names or texts[0]).name, "its name: parts to search for")
    else:
        assigned.doubts.append("no column of reviews (--text COLUMN), and none of names of parts")
    return assigned


def fields(template: str) -> list[str]:
    """The columns that a column's name or template names."""
    if "{" not in template:
        return [template]
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name]
    except ValueError:
        return []


def _check(way: Reading, options: Options, where: str) -> None:
    """Whether the columns that options name are there, in one row at least."""
    flags = {"instruction": "--question", "response": "--answer", "text": "--text", "label": "--label"}
    for ours, theirs in options.columns.items():
        value_of, missing = column(theirs, ours), ""
        for row in way.rows:
            try:
                value_of(row)
                missing = ""
                break
            except KeyError as error:
                missing = str(error.args[0])
        if missing:
            columns = ", ".join(way.shared) or "none"
            raise StageError(
                f"{where}: {flags[ours]} {theirs}", f"no column {missing!r}", f"one of: {columns}", "edit the option"
            )
        for name in fields(theirs):
            _every_file_has(name.rstrip("?"), way, where)


def _every_file_has(name: str, way: Reading, where: str) -> None:
    """Whether each file has a column that some have.

    Raises:
        StageError: with the files that lack it, such as a test file without labels.
    """
    have = [file for file, columns in way.columns.items() if name in columns]
    lack = [file for file in way.columns if file not in have]
    if have and lack:
        fix = f"name the files that have it: affinage add {where}/{have[0]}"
        raise StageError(f"{where}/{lack[0]}", f"no column {name!r}; {have[0]} has it", "a column that every file has", fix)
