import pytest

from affinage.reports.kept_columns import MOST_OPTIONS, kept_columns
from affinage.reports.outputs import Revision
from affinage.reports.page import render
from affinage.reports.results import Results
from tests.affinage.reports import made_up
from tests.affinage.reports.test_page import saved, shown


def kept(root, rows: dict[int, dict]):
    made_up.write(root, max(rows))
    made_up.keep(root, rows)
    results = Results("model", Revision("workspace", root))
    return kept_columns(results.revision, "data", results.rows)


def options(root, cells: list) -> list[tuple[str, int]] | None:
    """The options of a column `x` with these cells."""
    columns = kept(root, {n: {"x": cell} for n, cell in enumerate(cells, 1)}).columns
    return next((column.options for column in columns if column.name == "x"), None)


def test_values_are_counted_the_most_frequent_first(tmp_path):
    assert options(tmp_path, ["a", "b", "b", None]) == [("b", 2), ("a", 1)]


@pytest.mark.parametrize("cells", [["a", "a"], ["a", "b", "c"], [None, None], [{"a": 1}, {"a": 2}]])
def test_a_column_that_narrows_nothing_is_left_out(tmp_path, cells):
    assert options(tmp_path, cells) is None


def test_a_row_with_a_list_has_each_of_it(tmp_path):
    columns = kept(tmp_path, {1: {"part": "x", "List": ["hood", "door"]}, 2: {"List": ["hood"]}, 3: {"List": []}})
    assert [column.name for column in columns.columns] == ["List"]  # `part` says only where the row belongs
    assert columns.columns[0].options == [("hood", 2), ("door", 1)]
    assert [columns.places(f"file.jsonl#{n}") for n in (1, 2, 3)] == [[[0, 1]], [[0]], [[]]]
    assert columns.values("file.jsonl#1") == [("List", "hood, door")] and columns.values("file.jsonl#3") == []


def test_many_numbers_are_ranges(tmp_path):
    count = MOST_OPTIONS + 10
    assert options(tmp_path, [f"{n}.5" for n in range(count)]) == [
        ("0.5 to 14.5", 15),
        ("15.5 to 29.5", 15),
        ("30.5 to 44.5", 15),
        ("45.5 to 59.5", 15),
    ]


def test_many_texts_are_named_as_far_as_there_is_room(tmp_path):
    listed = options(tmp_path, ["often", "often", *(f"text {n}" for n in range(MOST_OPTIONS + 5))])
    assert listed[0] == ("often", 2) and len(listed) == MOST_OPTIONS + 1 and listed[-1] == ("any of 6 others", 6)


def test_the_file_of_a_row_is_a_column(tmp_path):
    def moved(answered, verdict):
        if answered["id"].endswith(("1", "2")):
            answered["id"] = verdict["id"] = answered["id"].replace("file", "folder/first")

    results = Results("model", Revision("workspace", made_up.write(tmp_path, 5, change=moved)))
    (column,) = kept_columns(results.revision, "data", results.rows).columns
    assert column.name == "file" and column.options == [("file.jsonl", 3), ("folder/first.jsonl", 2)]


def test_without_the_split_s_rows_the_page_says_so(tmp_path):
    made_up.write(tmp_path)
    text = render(Results("model", Revision("workspace", tmp_path)))
    assert "data/data/splits/test.jsonl: no such file. dvc repro split@data" in text and "Only rows with" not in text


def test_columns_are_read_at_the_report_s_revision(own):
    first = Results("model", Revision("first", own))
    made_up.keep(own, {n: {"topic": "ab"[n % 2]} for n in range(1, 9)})  # in the work tree alone
    assert kept_columns(first.revision, "data", first.rows).columns == []
    tree = Results("model", Revision("workspace", own))
    assert [column.name for column in kept_columns(tree.revision, "data", tree.rows).columns] == ["topic"]


def test_rows_are_narrowed_by_several_columns_and_counts_follow(tab, tmp_path):
    made_up.write(tmp_path, 8, ["plain heart"])
    made_up.keep(tmp_path, {n: {"topic": "ab"[n % 2], "kind": ["<i>x</i>", "y"][n > 4]} for n in range(1, 9)})
    tab.open(saved(tmp_path))

    def choose(place: int, value: str) -> None:
        tab.run(
            f"(() => {{ const one = document.getElementById('column-{place}'); one.value = {value!r};"
            "one.dispatchEvent(new Event('change')); })()"
        )

    def words(place: int) -> list[str]:
        return tab.run(f"Array.from(document.getElementById('column-{place}').options, one => one.text)")

    assert words(0) == ["any", "a (4)", "b (4)"] and words(1) == ["any", "<i>x</i> (4)", "y (4)"]
    choose(0, "0")
    choose(1, "1")
    assert shown(tab) == [6, 8] and tab.run("document.getElementById('count').value") == "2 of 8 rows"
    assert words(0) == ["any", "a (2)", "b (2)"]
    tab.press("/")
    tab.write("nowhere")
    assert shown(tab) == [] and words(1) == ["any", "<i>x</i> (0)", "y (0)"]
    tab.run("document.getElementById('clear').click()")
    assert shown(tab) == list(range(1, 9)) and words(0) == ["any", "a (4)", "b (4)"]
    assert tab.complaints() == []
