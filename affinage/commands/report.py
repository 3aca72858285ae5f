"""Write a model's results as one page of HTML that opens anywhere, without a network: `affinage report MODEL`."""

import re
import textwrap
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from affinage.reports.index import entry, render_index
from affinage.reports.outputs import WORKSPACE, Revision
from affinage.reports.overview import overviews
from affinage.reports.page import render, source_in_words
from affinage.reports.results import Results
from stages.common.errors import StageError
from stages.common.files import atomic_file


def default_out(model: str, rev: str) -> Path:
    """`reports/<model>.html`; of another revision, `reports/<model>@<revision>.html`."""
    of = "" if rev == WORKSPACE else "@" + re.sub(r"[^\w.-]", "-", rev)
    return Path("reports") / f"{model}{of}.html"


def write(model: str, rev: str = WORKSPACE, out: Path | None = None) -> Path:
    """Write the page and return where it is.

    Raises:
        StageError: if the revision, the model, its answers or its verdicts are not there.
    """
    out = out or default_out(model, rev)
    page = render(Results(model, Revision(rev)))
    with atomic_file(out) as file:
        file.write(page)
    return out


def write_all(rev: str = WORKSPACE, folder: Path = Path("reports")) -> tuple[Path, dict[str, StageError]]:
    """Write every model's page, and index.html that leads to them; returns the index, and why a model has no page.

    Raises:
        StageError: if there is no such revision.
    """
    entries, failed = [], {}
    for model in overviews(Revision(rev)):
        out = folder / default_out(model.name, rev).name
        try:
            write(model.name, rev, out)
        except StageError as error:
            failed[model.name] = error
        entries.append(entry(model, "" if model.name in failed else quote(out.name), _why(failed.get(model.name))))
    index = folder / default_out("index", rev).name
    with atomic_file(index) as file:
        file.write(render_index(entries, source_in_words(Revision(rev))))
    return index, failed


def _why(error: StageError | None) -> str:
    """A line for the index: why a model has no report."""
    return f"no report: {error.where}: {error.fix or error.found}" if error else ""


def command(
    model: Annotated[str, typer.Argument(help="A key of `models`. [default: all, and an index]", show_default=False)] = "",
    rev: Annotated[str, typer.Option(help="A commit, branch, tag or experiment.")] = WORKSPACE,
    out: Annotated[Path | None, typer.Option(help="The file to write. [default: reports/MODEL.html]")] = None,
) -> None:
    """Write a model's results as one HTML page that opens without a network; without a name, every model's, and an index.

    Example: affinage report medical --rev my-experiment
    """
    if model:
        print(write(model, rev, out))
        return
    if out:
        raise typer.BadParameter("--out names the file of one model: name the model")
    index, failed = write_all(rev)
    print(index)
    for name, error in failed.items():
        print(f"{name}: no report\n{textwrap.indent(str(error), '  ')}")
