"""Write a model's results as one page of HTML that opens anywhere, without a network: `python -m stages.report MODEL`."""

import argparse
import re
from pathlib import Path

from stages.common.errors import report
from stages.common.files import atomic_file
from stages.reports.outputs import WORKSPACE, Revision
from stages.reports.page import render
from stages.reports.results import Results


def default_out(model: str, rev: str) -> Path:
    """`reports/<model>.html`; of another revision, `reports/<model>@<revision>.html`."""
    of = "" if rev == WORKSPACE else "@" + re.sub(r"[^\w.-]", "-", rev)
    return Path("reports") / f"{model}{of}.html"


def main(model: str, rev: str = WORKSPACE, out: Path | None = None) -> Path:
    """Write the page and return where it is.

    Raises:
        StageError: if the revision, the model, its answers or its verdicts are not there.
    """
    out = out or default_out(model, rev)
    page = render(Results(model, Revision(rev)))
    with atomic_file(out) as file:
        file.write(page)
    return out


def run() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.report", description="Write a model's results as one HTML page.")
    parser.add_argument("model", help="a key of `models` in params.yaml")
    parser.add_argument("--rev", default=WORKSPACE, help="commit, branch, tag or experiment (default: the work tree)")
    parser.add_argument("--out", type=Path, help="file to write (default: reports/<model>.html)")
    options = parser.parse_args()
    report(lambda: print(main(**vars(options))))


if __name__ == "__main__":
    run()
