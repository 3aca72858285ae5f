"""Write a model's results as one page of HTML that opens anywhere, without a network: `affinage report MODEL`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from affinage.reports.outputs import WORKSPACE, Revision
from affinage.reports.page import render
from affinage.reports.results import Results
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


def command(
    model: Annotated[str, typer.Argument(help="A key of `models` in params.yaml.")],
    rev: Annotated[str, typer.Option(help="A commit, branch, tag or experiment.")] = WORKSPACE,
    out: Annotated[Path | None, typer.Option(help="The file to write. [default: reports/MODEL.html]")] = None,
) -> None:
    """Write a model's results as one HTML page that opens without a network.

    Example: affinage report medical --rev my-experiment
    """
    print(write(model, rev, out))
