"""One command line for all commands: listed on one screen, fast to start, each with an example, and completed by shells."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from affinage.command_line import COMMANDS, app, load
from tests.affinage.running import affinage
from tests.imports import ROOT

SCREEN = 40  # lines


def words_of_help(text: str) -> list[str]:
    """The words of a help text, line breaks left out."""
    return text.split()


def test_all_commands_stand_on_one_screen_a_line_each():
    lines = affinage("--help").splitlines()
    assert len(lines) < SCREEN
    for name, (_, summary) in COMMANDS.items():
        assert [line.split(None, 1)[1] for line in lines if line.split(None, 1)[:1] == [name]] == [summary]


def test_the_list_of_commands_imports_none_of_them():
    script = "import sys, affinage.command_line as c; sys.argv[1:] = ['--help']\ntry: c.main()\nexcept SystemExit: pass\n"
    heavy = "[name for name in sys.modules if name.startswith(('affinage.commands.', 'torch', 'numpy', 'dvc'))]"
    done = subprocess.run([sys.executable, "-c", f"{script}print({heavy})"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_an_example_of_itself(name):
    command = load(name)
    leaves = list(getattr(command, "commands", {"": command}).items())
    for sub, leaf in leaves:
        whole = " ".join(filter(None, ("affinage", name, sub)))
        assert f"Example: {whole}" in leaf.help, f"{whole} --help has no example"
    assert words_of_help(affinage(name, "--help"))[:3] == ["Usage:", "affinage", name]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_names_every_option(name):
    command = load(name)
    for sub, leaf in getattr(command, "commands", {"": command}).items():
        text = affinage(*filter(None, (name, sub)), "--help")
        for param in leaf.params:
            assert param.opts[0] in text
            assert not param.opts[0].startswith("--") or param.help, param.opts


def test_a_command_that_there_is_not_names_the_nearest():
    with pytest.raises(Exception, match="No such command 'repot'. Did you mean 'report'"):
        affinage("repot")


def test_an_error_has_no_traceback_and_status_1(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "affinage", "recipe", "nothing"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: recipes") and "Traceback" not in done.stderr


@pytest.mark.parametrize("typed, expected", [("affinage re", {"report", "recipe"}), ("affinage report --r", {"--rev"})])
def test_a_shell_completes_commands_and_options(typed, expected):
    words = typed.split()
    environment = {
        **os.environ,
        "_AFFINAGE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([sys.executable, "-m", "affinage"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert set(done.stdout.split()) == expected, done.stderr


def checkout(folder: Path) -> Path:
    """A checkout with an environment of its own, set up as `make setup` does; its python is this one."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copytree(ROOT / "affinage", folder / "affinage", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (line,) = re.findall(r"^\t(install .*console\.sh.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    subprocess.run(line, shell=True, check=True, cwd=folder)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def test_the_console_script_runs_its_own_checkout_and_refuses_another(tmp_path):
    own, other = checkout(tmp_path / "own one"), checkout(tmp_path / "other")
    (own / "recipes").mkdir()
    (own / "recipes" / "mine.yaml").write_text("# Only here.\n")
    script = str(own / ".venv" / "bin" / "affinage")
    done = subprocess.run([script, "recipe", "--list"], cwd=own, capture_output=True, text=True)
    assert "mine" in done.stdout and done.returncode == 0, done.stderr
    for folder in (other, own / "recipes", tmp_path):
        refused = subprocess.run([script, "recipe", "--list"], cwd=folder, capture_output=True, text=True)
        assert refused.returncode == 1 and refused.stdout == ""
        assert refused.stderr.startswith(f"error: {folder}\n") and f"fix:      cd {own}" in refused.stderr
    linked = tmp_path / "affinage"
    linked.symlink_to(script)
    assert subprocess.run([linked, "recipe", "--list"], cwd=own, capture_output=True).returncode == 0


def test_the_set_up_is_renewed_with_the_project_file_and_the_script():
    (needed,) = re.findall(r"^\.venv/\.run: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"pyproject.toml", "affinage/console.sh"} <= set(needed.split())


def test_there_is_one_parser_of_commands():
    """typer reads the command line of every command; argparse is left to the stages' own entry and to benchmarks."""
    assert isinstance(app, typer.Typer)
    for path in (ROOT / "affinage").rglob("*.py"):
        assert "argparse" not in path.read_text(encoding="utf-8"), path
