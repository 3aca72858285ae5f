"""Your own data in one command: `affinage add answers.csv`.

It looks at a file, folder or address as a person would: kind, encoding, where the rows lie, which column is what. It shows what
the dataset would be, then writes its entry into params.yaml. `git diff params.yaml` shows it, `git checkout params.yaml` takes
it back.
"""

import difflib
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from affinage.adding import account_roles, entries, writing
from affinage.adding.deciding import NAMES, Decision, Options, decided
from affinage.adding.dividing import Division, division
from affinage.adding.locating import material
from affinage.adding.material import Material
from affinage.adding.preview import lines, preview
from affinage.adding.proposals import quoted
from affinage.adding.reading import ROWS, Reading, readings, rows_of_all
from affinage.commands import recipe
from stages.common.errors import StageError
from stages.common.params import FILE, read
from stages.common.text_keys import text_key

OTHERS = 6  # other readings that are named
LARGE = 1 << 30  # bytes from which files are left where they are


def _defaults(document: dict, where: str, folder: Path = recipe.FOLDER) -> tuple[dict, list[dict]]:
    """The file's defaults, and what must be merged into it: sources on the web have defaults in a recipe of their own."""
    parts = []
    defaults = document.get("defaults") or {}
    if where.startswith(("http://", "https://")) and "web" not in defaults.get("scrape", {}).get("sources", {}):
        parts = [read(folder / "web.yaml", recipe.editor())]
        document = read(FILE)
        recipe.merge(document, read(folder / "web.yaml"))
        defaults = document["defaults"]
    return defaults, parts


def _report(new: Material, decision: Decision, ways: list[Reading], encoding: str, division: Division) -> None:
    """What was found out, and why."""
    way = decision.way
    reader = way.kind + (f" at {way.at}" if way.at else "")
    print(f"read as  {reader}{f', encoding {encoding}' if encoding else ''}: {len(way.columns)} files looked at")
    for kind, files in new.left_out.items():
        print(f"left out {files} files: {kind}")
    also = [other for other in ways if other is not way and other.at and other.kind not in (*NAMES[:2], "reviews_csv")]
    for other in also[:OTHERS]:
        more = " or more" if len(other.rows) == ROWS else ""
        print(f"not read {len(other.rows)}{more} rows of {', '.join(other.shared[:6])}: --rows {quoted(other.at)}")
    print(f"kind     {decision.roles.task}")
    for ours, theirs in decision.roles.columns.items():
        why = decision.roles.why[ours]
        print(f"  {ours:11} {theirs:24} {'likely' if ours in decision.roles.likely else 'sure'}: {why}")
    for column in decision.first_alone:
        print(f"  {column.name}: the first of up to {column.several} a row; --rows reads all of them")
    for note in division.notes:
        print(f"  {note}")
    used = set(decision.roles.columns.values()) | set(decision.roles.keep)
    unused = [
        name
        for name in way.shared
        if not any(name == path or f"{{{name}" in path or path.startswith(f"{name}.") for path in used)
    ]
    if unused:
        print(f"  not used    {', '.join(name or '(no name)' for name in unused)}")
    if extra := sorted({name for names in way.columns.values() for name in names} - set(way.shared)):
        print(f"  not in all files: {', '.join(extra[:12])}")


def _named(new: Material, datasets: dict, make: Callable[[], entries.Plan]) -> entries.Plan:
    """The plan under the first name that is free, or under which the same stands already: mine, mine_2, mine_3, …

    Raises:
        StageError: where an entry for the same files was edited since, or the folder of the name holds something else.
    """
    first = new.name
    for number in count(2):
        planned = make()
        entry = datasets.get(new.name)
        if entry == planned.entry:
            return planned
        if entry is None:
            break
        if _files(entry) == _files(planned.entry):
            fix = f"--name {first}_2 for another one, or remove datasets.{new.name} from params.yaml"
            raise StageError(f"datasets.{new.name}", "an entry for the same files, otherwise", "none, or the same", fix)
        new.name = f"{first}_{number}"
    targets = {target for _, target in planned.copies}
    folder = entries.SOURCES / new.name
    if targets and folder.exists() and any(path.is_file() and path not in targets for path in folder.rglob("*")):
        raise StageError(folder, "files of something else", "a folder of its own for the dataset", f"--name {new.name}_2")
    return planned


def _learner(name: str, entry: dict, document: dict) -> str:
    """The first name that is free for the model, or under which the same stands already; bases share a folder with models."""
    bases, models = (document.get(kind) or {} for kind in ("bases", "models"))
    names = (name if number == 1 else f"{name}_{number}" for number in count(1))
    return next(free for free in names if free not in bases and models.get(free, entry) == entry)


def _files(entry: dict) -> list:
    """What tells whether two entries read the same."""
    sources = entry.get("scrape", {}).get("sources", {}).values()
    return [entry.get("source"), *([source.get(key) for key in ("files", "urls", "repo", "dataset")] for source in sources)]


def _full_lines(text: str) -> int:
    """How many lines are not empty."""
    return sum(bool(line.strip()) for line in text.splitlines())


def add_dataset(
    where: Annotated[str, typer.Argument(metavar="PATH", help="A file, a folder, a URL, hub:owner/name or kaggle:owner/name.")],
    name: Annotated[str, typer.Option(help="Of the dataset; the file's own name without it.")] = "",
    task: Annotated[str, typer.Option("--as", help="instructions, chat, completion, classification, parts or accounts.")] = "",
    question: Annotated[str, typer.Option(help='A column, or a template: "What is {name}?"')] = "",
    answer: Annotated[str, typer.Option(help="A column or a template.")] = "",
    text: Annotated[str, typer.Option(help="What is classified: a column or a template.")] = "",
    label: Annotated[str, typer.Option(help='Its class: a column, or a template: "{number:.1}" is its first character.')] = "",
    rows: Annotated[
        str,
        typer.Option(
            help="Where the rows lie: data[*].qa in JSON, //Part in XML, a sheet, a page's table, file|paragraph|line of texts."
        ),
    ] = "",
    split: Annotated[
        str,
        typer.Option(
            help="given: as files train and test, or a column split, say; hash: anew. Without it a given split is kept."
        ),
    ] = "",
    group: Annotated[str, typer.Option(help="The column whose rows stay in one part; none for none.")] = "",
    model: Annotated[str, typer.Option(help="Also write a model that starts from this base.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the diff of params.yaml, and write nothing.")] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="Leave the files where they are.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Look at every row, of large sources too.")] = False,
) -> None:
    """Add a dataset to params.yaml: how it is read, labelled, split and formatted is found out and shown.

    Example: affinage add answers.csv --model smollm2
    """
    document = read(FILE)
    defaults, parts = _defaults(document, where)
    new = material(where, name, defaults)
    ways, encoding = readings(new, defaults, rows)
    decision = decided(ways, Options(task, question, answer, text, label), where)
    if decision.roles.task == "accounts" and "number" in decision.roles.columns:
        number = decision.roles.columns["number"]
        numbers = {text_key(row.get(number)) for row in rows_of_all(new, decision.way, defaults)}
        account_roles.check_chart(numbers, decision.roles.columns)
    divided = division(new, decision, defaults, split, group)
    if new.bytes > LARGE and decision.roles.task != "parts":
        print(f"in place {new.bytes / LARGE:.1f} GiB are not copied: put them below {entries.SOURCES} for a clone to find them")
        in_place = True
    datasets = document.get("datasets") or {}
    planned = _named(new, datasets, lambda: entries.plan(new, decision, divided, encoding, defaults, in_place))
    _report(new, decision, ways, encoding, divided)
    parts.append(writing.dataset_yaml(new.name, planned.entry))
    learner = ""
    if model:
        entry = {"dataset": new.name, **entries.model_entry(model, decision.roles.task, document.get("bases") or {})}
        learner = _learner(new.name, entry, document)
        parts.append(writing.model_yaml(learner, entry))
    before, after = writing.merged(parts)
    print("\n".join(lines(preview(planned, new, defaults, full))))
    if dry_run:
        print(
            "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "params.yaml", "params.yaml")), end=""
        )
        return
    copied = writing.copy(planned)
    if before != after:
        writing.write(after)
        names = f"datasets.{new.name}" + (f", models.{learner}" if learner else "")
        print(f"wrote    {_full_lines(after) - _full_lines(before)} lines to params.yaml: {names}")
    if copied:
        print(f"copied   {copied} files to {planned.entry['source']}: commit them with params.yaml")
    if not copied and before == after:
        print(f"datasets.{new.name} is there already: nothing to do")
    print(f"next     dvc repro {f'judge@{learner}' if learner else f'format@{new.name}'}")


command = add_dataset
