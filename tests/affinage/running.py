"""The command line inside the test's own process."""

import io
from contextlib import redirect_stdout

import typer

from affinage.command_line import app


def affinage(*words: str) -> str:
    """What `affinage WORDS` prints; its errors are raised, a wrong command line as a typer exception."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        typer.main.get_command(app)(list(words), prog_name="affinage", standalone_mode=False)
    return printed.getvalue()
