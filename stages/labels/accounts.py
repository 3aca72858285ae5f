"""Account numbers as labels: each must be in the chart of accounts, which gives it its name."""

import csv
import os.path
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.common.errors import StageError
from stages.common.sections import Accounts
from stages.common.text import normal
from stages.labels.clean import Repeats, row_has, tidy

NEAREST = 3  # accounts named beside an unknown one
_MONTHS = (
    "janvier janv fevrier fevr fev mars avril avr mai juin juillet juil aout septembre sept octobre oct novembre nov "
    "decembre dec january february march april may june july august september october november december"
)
_LEFT_OUT = re.compile(rf"\b(?:{'|'.join(_MONTHS.split())})\b|[\W\d_]+")


def read_chart(path: Path, account: str, name: str) -> dict[str, str]:
    """Account numbers with their names, in the order of the file (CSV in UTF-8 with a header row).

    Raises:
        StageError: if the file is not there, is no such CSV, lacks a column, is empty, or has an account twice or unnamed.
    """
    fix = "edit the file, or datasets.<name>.label.chart"
    if not path.is_file():
        raise StageError(path, "no such file", "the chart of accounts", "create it, or edit datasets.<name>.label.chart.file")
    chart = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            if missing := [column for column in (account, name) if column not in (table.fieldnames or ())]:
                raise StageError(path, f"columns {', '.join(table.fieldnames or ())}", f"also {', '.join(missing)}", fix)
            for row in table:
                key, text = (row[account] or "").strip(), (row[name] or "").strip()
                if not key or not text or key in chart:
                    found = f"account {key!r}, name {text!r}" + " (again)" * (key in chart)
                    raise StageError(f"{path} line {table.line_num}", found, "a number not given before, and a name", fix)
                chart[key] = text
    except (UnicodeError, csv.Error) as error:
        raise StageError(path, str(error), "CSV as in RFC 4180 in UTF-8", fix) from None
    if not chart:
        raise StageError(path, "no account", "at least one", fix)
    return chart


def nearest(account: str, chart: dict[str, str]) -> list[str]:
    """The accounts that share the longest beginning with `account` (numbers are a hierarchy), then of the nearest length."""

    def distance(other: str) -> tuple:
        return -len(os.path.commonprefix([account, other])), abs(len(other) - len(account)), other

    return sorted(chart, key=distance)[:NEAREST]


def wording(values: Iterable[object]) -> str:
    """What stays the same from one invoice to the next: no case, accents, digits, punctuation or months."""
    letters = unicodedata.normalize("NFKD", normal(" ".join(map(str, values))))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(_LEFT_OUT.sub(" ", letters).split())


def accounts(rows: Iterable[dict], params: Accounts, source: Path) -> Iterator[tuple[dict, str | None]]:
    """Each row with the reason to drop it, or None to keep it; kept ones get `text`, `label`, `label_name` and `group`.

    Reasons: `missing <column>`, `not text: <column>`, `unknown account <number>; nearest: …`, and those of `Repeats`.

    Raises:
        StageError: at the end, if over half of the rows named an account that the chart does not have.
    """
    required = list(dict.fromkeys([*params.text, *params.group, params.account]))
    chart = read_chart(source / params.chart.file, params.chart.account, params.chart.name)
    unknown, total = Counter(), 0
    with Repeats(params.conflicts) as repeats:
        for raw in rows:
            row, total = tidy(raw), total + 1
            odd = (name for name in required if not isinstance(row.get(name, ""), str | int | float))
            reason = next((f"not text: {name}" for name in odd), None)
            reason = reason or next((f"missing {name}" for name in required if not row_has(row, name)), None)
            account = str(row.get(params.account))
            if reason is None and account not in chart:
                unknown[account] += 1
                near = ", ".join(f"{key} {chart[key]}" for key in nearest(account, chart))
                reason = f"unknown account {account}; nearest: {near}"
            if reason is None:
                row |= {"text": params.separator.join(str(row[name]) for name in params.text)}
                row |= {"label": account, "label_name": chart[account], "group": wording(row[name] for name in params.group)}
                reason = repeats.reason(row, repr([raw.get(name) for name in required]))
            yield row, reason
    if unknown.total() * 2 > total:
        raise StageError(
            source / params.chart.file,
            f"{unknown.total()} of {total} rows name an account that it does not have: "
            + ", ".join(f"{account} ({count})" for account, count in unknown.most_common(10)),
            f"the accounts of the rows; it has {', '.join(list(chart)[:30])}",
            "complete the chart, or edit datasets.<name>.label.account and .chart",
        )
