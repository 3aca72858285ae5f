"""Account numbers as labels: each must be in the chart of accounts, which gives it its name."""

import os.path
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import json_files, read_rows
from stages.common.raw import raw_source
from stages.common.schema_data import Accounts
from stages.common.spread import mapped
from stages.common.text_keys import as_text, folded_key, text_key
from stages.labels.clean import row_has, tidy
from stages.labels.repeats import Checked, distinct, keys

UNKNOWN = "unknown account"
NEAREST = 3  # accounts named beside an unknown one
_MONTHS = (
    "janvier janv fevrier fevr fev mars avril avr mai juin juillet juil aout septembre sept octobre oct novembre nov "
    "decembre dec january february march april may june july august september october november december"
)
_LEFT_OUT = re.compile(rf"\b(?:{'|'.join(_MONTHS.split())})\b|[\W\d_]+")


def read_chart(rows: Iterable[dict]) -> dict[str, str]:
    """Account numbers with their names, in the order of the rows `number, name`.

    Raises:
        StageError: if there is none, or one has no name or comes twice.
    """
    fix, chart = "edit the source of the chart, or datasets.<name>.label.chart", {}
    for row in rows:
        key, text = (text_key(row.get(column)) for column in ("number", "name"))
        if not key or not text or key in chart:
            problem = f"account {key!r}, name {text!r}" + " (again)" * (key in chart)
            raise StageError(row["id"], problem, "a number not given before, and a name", fix)
        chart[key] = text
    if not chart:
        raise StageError("the chart of accounts", "no account", "at least one", fix)
    return chart


def nearest(account: str, chart: dict[str, str]) -> list[str]:
    """The accounts that share the longest beginning with `account` (numbers are a hierarchy), then of the nearest length."""

    def distance(other: str) -> tuple:
        return -len(os.path.commonprefix([account, other])), abs(len(other) - len(account)), other

    return sorted(chart, key=distance)[:NEAREST]


def wording(values: Iterable[object]) -> str:
    """What stays the same from one invoice to the next: no case, accents, digits, punctuation or months."""
    letters = unicodedata.normalize("NFKD", folded_key(" ".join(map(str, values))))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(_LEFT_OUT.sub(" ", letters).split())


def label_accounts(raw: Path, params: Accounts) -> tuple:
    """The rows of source `lines` by the chart in source `chart`."""
    chart = read_chart(read_rows(raw_source(raw, params.chart)))
    return accounts(json_files(raw_source(raw, params.lines)), params, chart, mapped), dict


def checked(raw: dict, params: Accounts, chart: dict[str, str]) -> Checked:
    """A row with the reason to drop it, or with `text`, `label`, `label_name` and `group`, and its keys.

    Reasons: `missing <column>`, `not text: <column>`, `unknown account <number>; nearest: …`.
    """
    required = list(dict.fromkeys([*params.text, *params.group, params.account]))
    row = tidy(raw)
    odd = (name for name in required if not isinstance(row.get(name, ""), str | int | float))
    reason = next((f"not text: {name}" for name in odd), None)
    reason = reason or next((f"missing {name}" for name in required if not row_has(row, name)), None)
    account = text_key(row.get(params.account))
    if reason is None and account not in chart:
        near = ", ".join(f"{key} {chart[key]}" for key in nearest(account, chart))
        reason = f"{UNKNOWN} {account}; nearest: {near}"
    if reason is not None:
        return row, reason, None
    row |= {"text": params.separator.join(str(as_text(row[name])) for name in params.text)}
    row |= {"label": account, "label_name": chart[account], "group": wording(row[name] for name in params.group)}
    return row, None, keys(row, repr([raw.get(name) for name in required]))


def accounts(
    rows: Iterable, params: Accounts, chart: dict[str, str], mapper: Callable = map
) -> Iterator[tuple[dict, str | None]]:
    """Each row (of files, where `mapper` is `mapped`) with the reason to drop it, or None to keep it.

    Reasons are those of `checked` and `distinct`.

    Raises:
        StageError: at the end, if over half of the rows named an account that the chart does not have.
    """
    unknown, total = Counter(), 0
    for row, reason in distinct(lambda: mapper(partial(checked, params=params, chart=chart), rows), params.conflicts):
        total += 1
        if reason and reason.startswith(UNKNOWN):
            unknown[str(row.get(params.account))] += 1
        yield row, reason
    if unknown.total() * 2 > total:
        raise StageError(
            f"source {params.chart}",
            f"{unknown.total()} of {total} rows name an account that it does not have: "
            + ", ".join(f"{account} ({count})" for account, count in unknown.most_common(10)),
            f"the accounts of the rows; it has {', '.join(list(chart)[:30])}",
            "complete the chart, or edit datasets.<name>.label.account and .chart",
        )
