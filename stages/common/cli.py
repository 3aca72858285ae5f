"""How `dvc.yaml` calls a stage: `python -m stages.<stage> <name> --<path> …`; works without DVC just the same."""

import argparse
from collections.abc import Callable
from pathlib import Path

from stages.common.errors import report
from stages.common.params import section


def run_stage(main: Callable, kind: str, stage: str, paths: dict[str, str]) -> None:
    """Parse the command line, check the parameters, and call `main(name, params, **paths)`.

    Args:
        main: does the work.
        kind: `bases`, `datasets` or `models`.
        stage: the section of `params.yaml` that `main` is handed.
        paths: each path option with its help; all are required.
    """
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=main.__doc__)
    parser.add_argument("name", help=f"a key of `{kind}` in params.yaml")
    for path, text in paths.items():
        parser.add_argument(f"--{path.replace('_', '-')}", type=Path, required=True, help=text)
    options = vars(parser.parse_args())
    name = options.pop("name")
    report(lambda: main(name, section(kind, name, stage), **options))
