import datetime
import zipfile

import openpyxl
import pytest

from stages.common.errors import StageError
from stages.common.schema_sources import Excel
from stages.sources import SourceFile, rows_of
from tests.data_helpers import read_file


@pytest.fixture
def book(tmp_path):
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Lines"
    for row in (
        ["Invoices of March"],
        [],
        ["Supplier", "Amount", "Paid", "Day"],
        ["EDF", 12, True, datetime.datetime(2024, 1, 31)],
    ):
        sheet.append(row)
    sheet.append([None, None, None, None])
    sheet.append(["NA", 1.5, None, "n/a"])
    workbook.create_sheet("Other").append(["a", "b"])
    workbook["Other"].append(["007", "=1+1"])
    workbook.save(tmp_path / "f.xlsx")
    return tmp_path / "f.xlsx"


def test_cells_are_text_under_the_header(book):
    assert read_file("excel", book) == [
        {"Supplier": "EDF", "Amount": "12", "Paid": "True", "Day": "2024-01-31 00:00:00"},
        {"Supplier": "NA", "Amount": "1.5", "Paid": "", "Day": "n/a"},
    ]


def test_a_sheet_by_its_name(book):
    assert [row["a"] for row in read_file(Excel(kind="excel", sheet="Other"), book)] == ["007"]
    with pytest.raises(StageError, match=r"f\.xlsx\n[^$]*sheets Lines, Other[^$]*sheet 'Third'"):
        read_file(Excel(kind="excel", sheet="Third"), book)


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"PK\x03\x04nothing", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)])
def test_other_files_are_refused(tmp_path, data):
    (tmp_path / "f.xlsx").write_bytes(data)
    with pytest.raises(StageError, match=r"f\.xlsx\n[^$]*an \.xlsx file without a password"):
        read_file("excel", tmp_path / "f.xlsx")


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/styles.xml", "[Content_Types].xml"])
@pytest.mark.parametrize("broken", [b"", b"<a><b"])
def test_a_broken_part_of_a_file_names_the_file(tmp_path, part, broken):
    file = saved(tmp_path, rows=ROWS)
    with zipfile.ZipFile(file.path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(file.path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, broken if name == part else data)
    with pytest.raises(StageError, match=r"f\.xlsx\n[^$]*an \.xlsx file without a password"):
        list(rows_of(file, "excel"))


def saved(folder, **sheets: list[list]) -> SourceFile:
    """A file of sheets; those whose name begins with `hidden` cannot be seen."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        sheet.sheet_state = "hidden" if name.startswith("hidden") else "visible"
        for row in rows:
            sheet.append(row)
    workbook.save(folder / "f.xlsx")
    return SourceFile(folder / "f.xlsx")


ROWS = [["q", "a"], ["1", "one"]]


def test_a_hidden_or_empty_sheet_is_not_the_first(tmp_path):
    file = saved(tmp_path, hidden=[["q", "a"], ["0", "old"]], empty=[], rows=ROWS, more=ROWS)
    assert list(rows_of(file, "excel")) == [{"q": "1", "a": "one"}]
    assert file.origin == {"sheet": "rows", "other_sheets": ["empty", "more"]}


def test_errors_are_nothing_and_the_header_once_more_is_no_row(tmp_path):
    file = saved(tmp_path, rows=[*ROWS, ["2", "#N/A"], ["q", "a"], ["3", "#DIV/0!"], ["4", "#N/A, or not"]])
    assert [row["a"] for row in rows_of(file, "excel")] == ["one", "", "", "#N/A, or not"]
    assert file.bad_lines.first == ["line 4: the names of the columns once more"]
