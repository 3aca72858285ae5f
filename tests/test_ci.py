"""The hosted workflow runs what the README says, on the Pythons that the project says."""

import re

from ruamel.yaml import YAML

from tests.imports import ROOT

WORKFLOW = YAML(typ="safe").load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def test_the_workflow_runs_the_test_command_of_the_readme():
    (job,) = WORKFLOW["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ["make test PYTHON=python"]
    assert re.search(r"^make test\b", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.search(r"^test:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_oldest_python_is_the_one_that_the_project_requires():
    (job,) = WORKFLOW["jobs"].values()
    oldest = job["strategy"]["matrix"]["python"][0]
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_workflow_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_audit_reads_the_lock_that_holds_all_and_the_pin_of_torch():
    audit = YAML(typ="safe").load((ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8"))
    runs = [step["run"] for step in audit["jobs"]["audit"]["steps"] if "run" in step]
    read = [re.search(r"^pip-audit --strict .*-r (\S+)$", run) for run in runs[1:]]
    assert [match[1] for match in read] == ["requirements-dev.lock", "requirements.txt"]
    assert audit["permissions"] == {"contents": "read"}
