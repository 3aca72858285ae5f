"""The command line: `affinage <command>`, or `python -m affinage <command>` where nothing is installed.

`COMMANDS` is the table of all commands. A command's module is imported when the command is used, so that `affinage --help`
and shell completion stay fast. Each module has a `command`: a function with typer's annotations, or a typer app with
subcommands.
"""

from importlib import import_module

import typer
from typer.core import TyperCommand, TyperGroup

from stages.common.errors import report

COMMANDS = {  # name: (module, what it does, on one line)
    "run": ("affinage.commands.run", "Run the pipeline, and say how far it is."),
    "summary": ("affinage.commands.summary", "What came out, on one screen, and what to do next."),
    "table": ("affinage.commands.table", "Experiments beside each other: what changed, and what came of it."),
    "check": ("affinage.commands.check", "Alarms that stages raised; status 1 where there are any, for CI."),
    "compare": ("affinage.commands.compare", "Two revisions of a model: better, worse or within noise."),
    "elsewhere": ("affinage.commands.elsewhere", "What tuning cost on other datasets' held-back rows."),
    "report": ("affinage.commands.report", "Results as HTML pages: one a model, and an index of all."),
    "plots": ("affinage.commands.plots", "Charts of training and scores, as a page, PNG and SVG."),
    "ask": ("affinage.commands.ask", "Ask a model and its base one question."),
    "marks": ("affinage.commands.marks", "Answers for people to mark, and how far judges agree with them."),
    "add": ("affinage.commands.add", "Your own data: look at a file, write its entry to params.yaml."),
    "recipe": ("affinage.commands.recipe", "Merge a recipe into params.yaml."),
    "parallel": ("affinage.commands.parallel", "Run the pipeline, two stages at a time."),
    "jobs": ("affinage.commands.jobs", "Fine-tuning jobs of a hosted service: list, show, cancel, …"),
    "export": ("affinage.commands.export", "A trained model as GGUF, for Ollama, or with a model card."),
    "doctor": ("affinage.commands.doctor", "What this machine has, and what in params.yaml cannot run here."),
    "prune": ("affinage.commands.prune", "Name, or remove, what deleted entries of params.yaml left."),
}
PLAIN = {"rich_markup_mode": None, "add_completion": False}


def load(name: str):
    """The command behind a name of COMMANDS, its module imported."""
    command = import_module(COMMANDS[name][0]).command
    if not isinstance(command, typer.Typer):
        single = typer.Typer(**PLAIN)
        single.command(name)(command)
        command = single
    return typer.main.get_command(command)


class Commands(TyperGroup):
    """The group of all commands. They are listed from the table, and loaded when they are used."""

    def __init__(self, **options):
        super().__init__(**options)
        for name, (_, summary) in COMMANDS.items():
            self.add_command(TyperCommand(name, short_help=summary))

    def resolve_command(self, ctx, args):
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load(name), rest


app = typer.Typer(cls=Commands, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def affinage() -> None:
    """Run the pipeline, look at what it made, and prepare what it runs. `dvc repro` runs it, too.

    `affinage COMMAND --help` shows an example of each command.
    """


def main() -> None:
    """Run the command line; an error that the user can fix is printed without a traceback."""
    report(lambda: typer.main.get_command(app)(prog_name="affinage"))
