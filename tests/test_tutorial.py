"""docs/tutorial.md as a newcomer follows it: its commands run in order, and each prints what the page shows."""

import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from affinage.commands.recipe import merge
from tests.imports import ROOT
from tests.repository import Repository

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILES = ("heart_and_lungs.jsonl", "bones_and_muscles.jsonl")  # of our own questions: the newcomer's file


@dataclass
class Command:
    """A line after a prompt, and the lines that the page shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)


def commands(block: str) -> list[Command]:
    listed: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            listed.append(Command(line.removeprefix("$ ")))
        elif line:
            listed[-1].shown.append(line)
    return listed


def missing(shown: list[str], said: str) -> list[str]:
    """The lines shown that a command did not say, in this order; `…` stands for lines that are left out.

    Spaces may differ, and numbers with decimals, whose last digits hang on the machine.
    """
    rest = iter(map(plain, said.splitlines()))
    return [line for line in shown if line != "…" and not any(plain(line) == other for other in rest)]


def plain(line: str) -> str:
    return " ".join(re.sub(r"\d+\.\d+", "0.0", line).split())


def write_questions(path: Path) -> None:
    rows = [json.loads(line) for name in FILES for line in (ROOT / "data/sources/medical_qa" / name).open(encoding="utf-8")]
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Question", "Reply", "topic"])
        table.writerows([row["question"], row["answer"], row["focus"]] for row in rows)


def add_parameters(folder: Path, block: str) -> None:
    """Merges what the page says to write into params.yaml."""
    yaml = YAML(typ="safe")
    params = yaml.load((folder / "params.yaml").read_text(encoding="utf-8"))
    merge(params, yaml.load(block))
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)


@pytest.fixture
def newcomer(here, monkeypatch) -> Repository:
    """A repository whose defaults suit the tiny base, with the newcomer's file beside it, and a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    yaml = YAML(typ="safe")
    params = yaml.load((here.folder / "params.yaml").read_text(encoding="utf-8"))
    params |= {"datasets": {}, "models": {}}
    tiny = {"max_tokens": 128, "learning_rate": 3e-3, "tune": {"all": {"kind": "full"}}}
    params["defaults"]["train"]["all"] |= tiny
    params["defaults"]["generate"]["all"]["max_new_tokens"] = 12
    with open(here.folder / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)
    here.run("affinage", "prune", "--remove")
    here.git("add", "-A")
    here.git("commit", "-qm", "nothing yet")
    write_questions(here.folder / "questions.csv")
    return here


def test_lines_that_are_not_said_are_named():
    assert missing(["a  b", "…", "c 1.2"], "a b\nx\nc 1.3\n") == []
    assert missing(["c", "a b"], "a b\nc\n") == ["a b"]


def test_the_tutorial_runs_as_it_stands(newcomer):
    here, blocks = newcomer, BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    names = {"<folder>": str(here.tools / "team"), "<repository>": str(here.tools / "origin")}
    for kind, block in blocks:
        if kind == "yaml":
            add_parameters(here.folder, block)
        for command in commands(block) if kind == "console" else []:
            line = re.sub("|".join(names), lambda match: names[match[0]], command.line)
            said = here.run("bash", "-c", line)
            print(f"$ {command.line}\n{said}")  # pytest -s shows what the page may show
            assert missing(command.shown, said) == [], f"{command.line}\n{said}"
            if " && cd " in line:
                here = Repository(here.folder / line.rpartition(" && cd ")[2], here.tools)
    assert {kind for kind, _ in blocks} == {"csv", "yaml", "console"}
