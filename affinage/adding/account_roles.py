"""A chart of accounts, or invoice lines with their accounts: `--as accounts`."""

import csv
import re
from pathlib import Path

from affinage.adding.column_kinds import Column
from affinage.adding.roles import Roles, named
from stages.common.errors import StageError

SHIPPED = Path("data/sources/invoices")  # invoice lines and a chart that come with this repository
LINES = {
    "files": "lignes.csv",
    "reader": "csv",
    "columns": {"supplier": "fournisseur", "wording": "libelle", "amount": "montant_ht", "account": "compte"},
}
CHART = {"files": "comptes.csv", "reader": "csv", "columns": {"number": "compte", "name": "libelle"}}
LABEL = {"account": "account", "text": ["supplier", "wording", "amount"], "separator": " | ", "group": ["supplier", "wording"]}
_NUMBER = """number numero numéro account compte code konto kontonummer num no nr cuenta conto rekening accountnumber"""
_NAME = """
label libelle libellé name nom intitule intitulé description title titre designation désignation bezeichnung denominazione
"""
NUMBER, NAME = map(str.split, (_NUMBER, _NAME))
MADE = {"id", "task", "reason", "text", "label", "label_name", "group", "account"}  # columns that the stages make


def _is_number(column: Column) -> bool:
    """Whether nearly all of its values are account numbers."""
    texts = [str(value).strip() for value in column.values]
    return bool(texts) and sum(bool(re.fullmatch(r"\d[\d. -]{0,11}", text)) for text in texts) > 0.95 * len(texts)


def _numbers(columns: list[Column]) -> list[Column]:
    plain = [column for column in columns if column.is_plain and _is_number(column)]
    telling = named(plain, NUMBER)
    return [telling] if telling is not None else plain if len(plain) == 1 else []


def chart_of(columns: list[Column]) -> tuple[Column, Column] | None:
    """The columns of number and name of a chart of accounts, in which no number comes twice; None where it is none."""
    numbers = [column for column in _numbers(columns) if len(column.classes) > 0.99 * len(column.values)]
    texts = [column for column in columns if column.is_text and column not in numbers]
    name = named(texts, NAME) or (texts[0] if len(texts) == 1 else None)
    return (numbers[0], name) if numbers and name is not None and len(numbers[0].values) > 9 else None


def account_roles(columns: list[Column]) -> Roles:
    """Number and name of a chart, or account and texts of invoice lines."""
    roles, chart = Roles("accounts"), chart_of(columns)
    if chart is not None:
        roles.set("number", chart[0].name, "numbers, each of them once")
        roles.set("name", chart[1].name, "the name beside it")
        return roles
    numbers = _numbers(columns)
    texts = [column for column in columns if column.is_text and column not in numbers and not column.is_aside]
    if not numbers or not texts:
        roles.doubts.append("no column of account numbers beside a name, or beside the texts of invoice lines")
        return roles
    roles.set("account", numbers[0].name, "account numbers")
    for column in texts:
        ours = re.sub(r"\W+", "_", column.name.lower()).strip("_") or "wording"
        roles.set(f"{ours}_said" if ours in MADE else ours, column.name, "text of the line")
    return roles


def check_chart(numbers: set[str], columns: dict[str, str]) -> None:
    """Whether a chart has the accounts of the invoice lines that come with this repository.

    Raises:
        StageError: where it lacks those of over half of the lines, with the options that need no lines.
    """
    with open(SHIPPED / LINES["files"], encoding="utf-8", newline="") as file:
        accounts = [row[LINES["columns"]["account"]] for row in csv.DictReader(file)]
    unknown = sum(account not in numbers for account in accounts)
    if unknown * 2 > len(accounts):
        number, name = columns["number"], columns["name"]
        raise StageError(
            "--as accounts",
            f"{unknown} of the {len(accounts)} invoice lines of {SHIPPED} name an account that it does not have",
            "a chart that has the accounts of most of these lines: the French plan comptable",
            f'--text "{name}" --label "{{{number}:.1}}", or --question "Which account is {{{number}}}?" --answer "{name}"',
        )
