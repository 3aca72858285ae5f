"""Write a model's results as one page of HTML that opens anywhere, without a network: `affinage report MODEL`.

`affinage report MODEL --against REV` puts two revisions side by side: what it was at REV, what it is now.
"""

import re
import textwrap
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from affinage.reports.index import Entry, render_index
from affinage.reports.outputs import WORKSPACE, Revision
from affinage.reports.overview import overviews
from affinage.reports.page import render
from affinage.reports.rendering import source_in_words
from affinage.reports.results import Results
from stages.common.errors import StageError
from stages.common.files import atomic_file


def default_out(model: str, rev: str, against: str = "") -> Path:
    """`reports/<model>.html`; of another revision `reports/<model>@<revision>.html`; of two, both are named."""
    name = model + ("" if rev == WORKSPACE else f"@{rev}") + (f"-against-{against}" if against else "")
    return Path("reports") / (re.sub(r"[^\w.@-]", "-", name) + ".html")


def write(model: str, rev: str = WORKSPACE, out: Path | None = None) -> Path:
    """Write the page and return where it is.

    Raises:
        StageError: if the revision, the model, its answers or its verdicts are not there.
    """
    return _write(render(Results(model, Revision(rev))), out or default_out(model, rev))


def write_compared(model: str, rev: str, against: str, out: Path | None = None) -> Path:
    """Write the page of two revisions and return where it is.

    Args:
        model: its name, or BEFORE=AFTER where it was another model at `against`.

    Raises:
        StageError: if either revision lacks the model, its answers or its verdicts, or they have no rows in common.
    """
    from affinage.reports.comparison import Comparison  # it takes a second to load, and a report of one needs none
    from affinage.reports.two_revisions import render_compared

    before, _, after = model.partition("=")
    sides = Results(before, Revision(against)), Results(after or before, Revision(rev))
    for results in sides:
        results.require_outputs()
    return _write(render_compared(Comparison(*sides)), out or default_out(model, rev, against))


def _write(page: str, out: Path) -> Path:
    with atomic_file(out) as file:
        file.write(page)
    return out


def write_all(rev: str = WORKSPACE) -> tuple[Path, dict[str, StageError]]:
    """Write every model's page, and index.html that leads to them; returns the index, and why a model has no page.

    Raises:
        StageError: if there is no such revision.
    """
    entries, failed = [], {}
    for model in overviews(Revision(rev)):
        out = default_out(model.name, rev)
        try:
            write(model.name, rev, out)
        except StageError as error:
            failed[model.name] = error
        entries.append(Entry(model, "" if model.name in failed else quote(out.name), _why(failed.get(model.name))))
    index = _write(render_index(entries, source_in_words(Revision(rev))), default_out("index", rev))
    return index, failed


def _why(error: StageError | None) -> str:
    """A line for the index: why a model has no report."""
    return f"no report: {error.where}: {error.fix or error.found}" if error else ""


def command(
    model: Annotated[str, typer.Argument(help="A key of `models`. [default: all, and an index]", show_default=False)] = "",
    rev: Annotated[str, typer.Option(help="A commit, branch, tag or experiment.")] = WORKSPACE,
    against: Annotated[
        str, typer.Option(help="An earlier revision to put beside it; MODEL may be BEFORE=AFTER then.", show_default=False)
    ] = "",
    out: Annotated[Path | None, typer.Option(help="The file to write. [default: reports/MODEL.html]")] = None,
) -> None:
    """Write a model's results as one HTML page that opens without a network; without a name, every model's, and an index.

    Example: affinage report medical --rev my-experiment --against main
    """
    if against and not model:
        raise typer.BadParameter("--against compares one model: name the model")
    if model:
        print(write_compared(model, rev, against, out) if against else write(model, rev, out))
        return
    if out:
        raise typer.BadParameter("--out names the file of one model: name the model")
    index, failed = write_all(rev)
    print(index)
    for name, error in failed.items():
        print(f"{name}: no report\n{textwrap.indent(str(error), '  ')}")
