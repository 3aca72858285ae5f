"""What a machine has, and what cannot run on it."""

import re
import shutil

import pytest
import torch
import typer

from affinage.commands import doctor, recipe
from tests.affinage.running import affinage
from tests.imports import ROOT


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The default parameters in a folder of their own; no key is set, and no server answers."""
    for name in ("params.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in doctor.KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "ollama_models", lambda: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(look) -> list[str]:
    return [str(finding) for finding in look()]


def test_the_default_parameters_can_run_anywhere(here):
    (said,) = findings(doctor.parameters)
    assert re.fullmatch(r"ok  params +\d+ models, all can run here", said)


@pytest.mark.parametrize(("instructions", "trains"), [({"avx512_bf16": True}, "bf16"), ({}, "fp32")])
def test_the_precision_that_a_cpu_trains_in_is_told(monkeypatch, instructions, trains):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    (said,) = findings(doctor.processor)
    assert f"answers in fp32, trains in {trains}, torch" in said


def test_a_key_is_named_and_never_shown(here, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (said,) = findings(doctor.keys)
    assert "OPENAI_API_KEY set" in said and "secret" not in said


@pytest.mark.parametrize(
    ("models", "helps"), [(None, "ollama serve"), (["phi3:latest"], "ollama pull llama3"), (["llama3:latest"], "")]
)
def test_a_judge_that_needs_a_server_is_named_with_what_helps(here, monkeypatch, models, helps):
    recipe.apply("judge_ollama", ROOT / "recipes")
    monkeypatch.setattr(doctor, "ollama_models", lambda: models)
    said = "\n".join(findings(doctor.parameters))
    assert ("models.medical judge llama3" in said and helps in said) if helps else "all can run here" in said


def test_a_hosted_model_needs_a_key(here, monkeypatch):
    recipe.apply("limericks_hosted", ROOT / "recipes")
    assert any("models.limericks_hosted" in line and "export OPENAI_API_KEY=…" in line for line in findings(doctor.parameters))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "all can run here" in findings(doctor.parameters)[0]


def test_wrong_parameters_are_said_in_their_own_words(here):
    (here / "params.yaml").write_text("models: 3\n")
    (said,) = findings(doctor.parameters)
    assert said.startswith("!!") and "models" in said


def test_packages_other_than_locked_are_named(here):
    (here / "requirements.lock").write_text(
        "typer==0.0.1 \\\n    --hash=x\nno-such-package==1.0 \\\nwinonly==1.0 ; sys_platform == 'win32'\n"
    )
    (said,) = findings(doctor.packages)
    assert "for 0.0.1" in said and "no-such-package is missing" in said and "winonly" not in said and "make setup" in said


def test_the_command_ends_with_status_1_where_there_is_a_problem(here, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", (doctor.python, doctor.keys))
    assert affinage("doctor").count("ok  ") == 2
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([doctor.Finding("disk", "full", "free some")]),))
    with pytest.raises(typer.Exit) as end:
        doctor.command()
    assert end.value.exit_code == 1


def test_exports_that_answer_need_llama_cpp(here, monkeypatch):
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("max_new_tokens: 64\n", "max_new_tokens: 64\n      exports: [q4_k_m]\n", 1))
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(here))
    helps = [line.splitlines()[1].strip() for line in findings(doctor.parameters)]
    assert helps == ["pip install xllamacpp", "install llama.cpp, or take q8_0"]
