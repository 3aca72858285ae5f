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
class Said:
    """What options say: `task` is one of KINDS, the others columns or templates; "" where nothing is said."""

    task: str = ""
    question: str = ""
    answer: str = ""
    text: str = ""
    label: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """Ours: what was said of it."""
        pairs = {"instruction": self.question, "response": self.answer, "text": self.text, "label": self.label}
        return {ours: said for ours, said in pairs.items() if said}


@dataclass
class Decision:
    """A reading with the roles of its columns."""

    way: Reading
    columns: list[Column]
    roles: Roles = field(default_factory=Roles)

    @property
    def first_alone(self) -> list[Column]:
        """The columns in use that are the first item of a list of several: the others would be left out."""
        used = {name.rstrip("?") for said in self.roles.columns.values() for name in fields(said)}
        return [column for column in self.columns if column.name in used and column.several > 1]


def decided(ways: list[Reading], said: Said, where: str) -> Decision:
    """The surest reading; of equally sure ones the outermost.

    Raises:
        StageError: where nothing can be told, with what there is and the options that say it.
    """
    if said.task not in ("", *KINDS):
        raise StageError(f"--as {said.task}", "no such kind of dataset", f"one of {', '.join(KINDS)}", "edit --as")
    if (said.question or said.answer) and (said.text or said.label) and said.task != "parts":
        raise StageError("options", "--question or --answer beside --text or --label", "one pair", "leave the other pair out")
    decisions, errors = [], []
    for way in ways:
        if way.kind == "reviews_csv" and said != Said() and said.task != "parts":
            continue
        columns = columns_of(way.rows)
        shared = set(way.shared)
        columns = [column for column in columns if column.name.partition(".")[0] in shared or column.name in shared]
        try:
            decisions.append(Decision(way, columns, _roles(way, columns, said, where)))
        except StageError as error:
            errors.append(error)
    if not decisions:
        raise _in_no_reading(errors)
    best = max(decisions, key=_rank)
    if best.roles.quality == 0 and is_terminal():
        return decided(ways, _asked(best, said), where)
    if best.roles.quality == 0:
        options = proposals.choices(best, where, best.way.kind in NAMES)
        listing = f"{'; '.join(best.roles.doubts)}\n{proposals.listing(decisions)}{proposals.not_everywhere(best)}"
        raise StageError(where, listing, "columns to learn from", options)
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


def _asked(best: Decision, said: Said) -> Said:
    """What a person at a terminal says."""
    print(f"{'; '.join(best.roles.doubts)}\n{proposals.listing([best])}")
    kind = typer.prompt(
        "Questions with answers (q), or texts with a label (t)?", default="t" if said.text or said.label else "q"
    )
    first, second = ("text", "label") if kind.strip().lower().startswith("t") else ("question", "answer")
    values = {first: getattr(said, first) or typer.prompt(f"Column or template of the {first}")}
    values[second] = getattr(said, second) or typer.prompt(f"Column of the {second}")
    return Said(said.task, **values)


def _roles(way: Reading, columns: list[Column], said: Said, where: str) -> Roles:
    if said.task == "parts" or (way.kind == "reviews_csv" and said == Said()):
        return _parts(way, columns, said, where)
    _check(way, said, where)
    if said.task == "accounts":
        return account_roles(columns)
    if said.columns:
        assigned = _with(columns, said)
    elif way.kind in TABLES and _looks_like_data(way):
        assigned = Roles(doubts=["the first row looks like data, not like names of columns: write a line of names above it"])
    elif way.kind in NAMES:
        assigned = Roles(doubts=["names alone: --as parts searches for them in the reviews that come with this repository"])
    else:
        assigned = roles(columns)
    if way.kind == "medquad":
        assigned.keep, assigned.group = ["qtype", "focus", "document"], "focus"
    return _as(assigned, columns, said)


def _looks_like_data(way: Reading) -> bool:
    """Whether the names of a table's columns are sentences, questions or numbers."""
    names = [name for name in way.shared if name]
    return any(len(name.split()) > 6 or name.rstrip().endswith("?") for name in names) or (
        len(names) > 1 and sum(bool(re.fullmatch(r"[\d.,:/ -]+", name)) for name in names) >= len(names) / 2
    )


def _with(columns: list[Column], said: Said) -> Roles:
    """Roles as options say them; the other half of a pair by its name, or where one column is left."""
    classes = bool(said.text or said.label)
    assigned, guess = Roles("classification" if classes else "instructions"), roles(columns)
    used = {name.rstrip("?") for value in said.columns.values() for name in fields(value)}
    for ours, option in (
        (("text", "--text"), ("label", "--label")) if classes else (("instruction", "--question"), ("response", "--answer"))
    ):
        theirs = said.columns.get(ours) or guess.columns.get(ours, "")
        if theirs and (ours in said.columns or theirs not in used):
            assigned.set(ours, theirs, f"its name: {option}" if ours in said.columns else guess.why[ours])
            continue
        others = [column for column in columns if column.name not in used and column.is_text and not column.is_aside]
        if len(others) == 1:
            assigned.set(ours, others[0].name, "the only other column of text", likely=True)
        else:
            assigned.doubts.append(f"{option} is not said, and cannot be told")
    if "input" in guess.columns and assigned.task == guess.task and guess.columns["input"] not in used:
        assigned.set("input", guess.columns["input"], guess.why["input"])
    return assigned


def _as(assigned: Roles, columns: list[Column], said: Said) -> Roles:
    """The roles under the kind of dataset that `--as` asks for."""
    if not said.task or said.task == assigned.task or assigned.doubts:
        return assigned
    pair, turns = "instruction" in assigned.columns, "messages" in assigned.columns
    if (said.task in ("chat", "completion", "instructions") and pair) or (said.task == "chat" and turns):
        assigned.task = said.task
        return assigned
    needs = "--text and --label" if said.task == "classification" else "--question and --answer"
    assigned.doubts.append(f"as {said.task} it needs {needs}; found {', '.join(assigned.columns) or 'nothing'}")
    return assigned


def _parts(way: Reading, columns: list[Column], said: Said, where: str) -> Roles:
    if way.kind == "reviews_csv":
        assigned = Roles("parts")
        assigned.set("review", "review", "its name, in the header of Edmunds' reviews")
        assigned.set("problem", "problem", "its name: what the reader finds wrong with a record")
        return assigned
    assigned = Roles("parts")
    if way.kind in NAMES and way.kind != "html_items":
        assigned.set("name", "name", "a name each: parts to search for")
        return assigned
    _check(way, said, where)
    texts = [column for column in columns if column.is_text and not column.is_aside and not column.is_class]
    long = [column for column in texts if column.words > 8]
    names = named([column for column in texts if column not in long], PART)
    review = named(long, REVIEW) or (None if names else named(long, TEXT) or (long[0] if len(long) == 1 else None))
    if said.text or review:
        why = "its name: --text" if said.text else "its name, or the only long texts"
        assigned.set("review", said.text or review.name, why)
    elif names or len(texts) == 1:
        assigned.set("name", (names or texts[0]).name, "its name: parts to search for")
    else:
        assigned.doubts.append("no column of reviews (--text COLUMN), and none of names of parts")
    return assigned


def fields(said: str) -> list[str]:
    """The columns that a column's name or template names."""
    if "{" not in said:
        return [said]
    try:
        return [name for _, name, _, _ in string.Formatter().parse(said) if name]
    except ValueError:
        return []


def _check(way: Reading, said: Said, where: str) -> None:
    """Whether the columns that options name are there, in one row at least."""
    options = {"instruction": "--question", "response": "--answer", "text": "--text", "label": "--label"}
    for ours, theirs in said.columns.items():
        value_of, missing = column(theirs, ours), ""
        for row in way.rows:
            try:
                value_of(row)
                missing = ""
                break
            except KeyError as error:
                missing = str(error.args[0])
        if missing:
            there = ", ".join(way.shared) or "none"
            raise StageError(
                f"{where}: {options[ours]} {theirs}", f"no column {missing!r}", f"one of: {there}", "edit the option"
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
