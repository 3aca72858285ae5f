"""What cannot be told: the columns that there are, and the options that would say it, the likeliest first."""

from typing import TYPE_CHECKING

from affinage.adding.account_roles import chart_of
from affinage.adding.column_kinds import Column

if TYPE_CHECKING:
    from affinage.adding.deciding import Decision

SHOWN = 4  # readings that are listed
SHORT = 5  # words of a text on average that stands in a table
CLASSES = 50  # values of a column at most, for it to be proposed as a label


def listing(decisions: "list[Decision]") -> str:
    """The columns of every reading."""
    lines = []
    for decision in decisions[:SHOWN]:
        if len(decisions) > 1:
            lines.append(f"    --rows {quoted(decision.way.at) or '(the document itself)'}, {decision.way.kind}:")
        lines += [f"    {column.name or '(no name)':24} {column.in_words()}" for column in decision.columns[:30]]
    return "\n".join(lines)


def not_everywhere(best: "Decision") -> str:
    """The columns that some files lack, such as the labels of a test file."""
    way, lines = best.way, []
    for name in dict.fromkeys(name for columns in way.columns.values() for name in columns if name not in way.shared):
        lack = [file for file, columns in way.columns.items() if name not in columns]
        lines.append(f"\n    {name:24} not in all files: {', '.join(lack[:3])} lack it")
    return "".join(lines[:6])


def quoted(text: str) -> str:
    """A word of a command line as it is typed."""
    return f'"{text}"' if " " in text or "*" in text else text


def choices(best: "Decision", where: str, names_alone: bool) -> str:
    """The options that would decide it, with columns that may be meant, the likeliest first."""
    lines = [*_of_a_chart(best.columns), *_of_parts(best, names_alone), *_of_pairs(best)]
    lines += ["--question COLUMN --answer COLUMN, or --text COLUMN --label COLUMN"] if not lines else []
    first, *others = lines
    listed = [f"likeliest: {first}", *(f"or:        {line}" for line in others)]
    return f"say what is meant: affinage add {where} …" + "".join(f"\n              {line}" for line in listed)


def _of_a_chart(columns: list[Column]) -> list[str]:
    chart = chart_of(columns)
    if chart is None:
        return []
    number, name = chart
    return [
        "--as accounts (a French chart: the invoice lines that come with this repository, labelled by its accounts)",
        f'--text "{name.name}" --label "{{{number.name}:.1}}" (the class of an account out of its name: the first digit)',
        f'--question "Which account is {{{number.name}}}?" --answer "{name.name}"',
    ]


def _of_parts(best: "Decision", names_alone: bool) -> list[str]:
    texts = [column for column in best.columns if column.is_text and not column.is_aside]
    if names_alone or len(texts) == 1:
        return ["--as parts (names of parts, or reviews to search for them)"]
    return []


def _of_pairs(best: "Decision") -> list[str]:
    """A question with its answer, a text with its class: out of long texts, or out of a table of short ones."""
    known = best.roles.columns.values()
    free = [column for column in best.columns if column.is_text and not column.is_aside and column.name not in known]
    texts = sorted((column for column in free if not column.is_class), key=lambda column: column.words)
    classes = [column for column in best.columns if column.is_class and column.name not in known and not column.is_aside]
    classes = [column for column in classes if len(column.classes) <= CLASSES]
    first = next(iter(known), "")
    if not first and (not texts or texts[-1].words < SHORT):
        return _of_a_table(best.columns, classes)
    first, lines = first or (texts[0].name if len(texts) > 1 else ""), []
    if first and texts:
        lines.append(f'--question "{first}" --answer "{texts[-1].name}" (a template too: "What is {{{first}}}?")')
    return lines + [f'--text "{texts[-1].name}" --label "{label.name}"' for label in classes[:1] if texts]


def _of_a_table(columns: list[Column], classes: list[Column]) -> list[str]:
    """Questions on what has a name of its own in every row."""
    plain = [column for column in columns if column.is_plain and not column.is_aside]
    named = [column for column in plain if len(column.classes) > 0.9 * column.rows and not _is_numbers(column)]
    others = [column for column in [*classes, *plain] if column not in named[:1]]
    if not named or not others:
        return []
    name, other = named[0].name, others[0].name
    lines = [f'--question "What is the {other} of {{{name}}}?" --answer "{other}"']
    return lines + [f'--text "{name}" --label "{other}"'] * (others[0] in classes)


def _is_numbers(column: Column) -> bool:
    return not any(any(map(str.isalpha, str(value))) for value in column.values)
