"""How `dvc.yaml` calls a stage: `python -m stages.<stage> <name> --<path> …`; works without DVC just the same.

What a stage reads and writes stands once, in a frozen dataclass `Paths`: options, their help and what the stage's function is
handed come from it.
"""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from stages.common.errors import report
from stages.common.params import section


def run_stage(main: Callable, kind: str, stage: str, paths: type) -> None:
    """Parse the command line, check the parameters, and call `main(name, params, paths)`.

    Args:
        main: does the work.
        kind: `bases`, `datasets` or `models`.
        stage: the section of `params.yaml` that `main` is handed.
        paths: its dataclass of paths, each of which is a required option.
    """
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=main.__doc__)
    parser.add_argument("name", help=f"a key of `{kind}` in params.yaml")
    for option in fields(paths):
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=Path, required=True, help=option.metadata["help"])
    options = vars(parser.parse_args())
    name = options.pop("name")
    report(lambda: main(name, section(kind, name, stage), paths(**options)))
