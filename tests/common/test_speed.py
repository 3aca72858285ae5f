"""Timings: totals that git keeps in few lines, and the seconds of single answers that it does not."""

import json
import subprocess

import pytest
from ruamel.yaml import YAML

from stages.common.speed import read_times, times_file, write_speed, write_times
from tests.imports import ROOT

MOST_LINES = 20  # a model


def test_a_figure_and_the_environment_take_a_line_each(tmp_path):
    write_speed(tmp_path / "x.json", {"tuned": {"seconds": 1.23456789, "tokens": 3}, "base": {"seconds": 2.0}}, {"device": "é"})
    lines = (tmp_path / "x.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5 and lines[1] == '  "tuned": {"seconds": 1.23457, "tokens": 3},'
    assert json.loads("".join(lines))["environment"] == {"device": "é"}


def test_times_are_those_of_the_very_answers(tmp_path):
    answers, totals = tmp_path / "answers.jsonl", tmp_path / "generate.json"
    answers.write_text("{}\n")
    write_times(totals, answers, {"tuned": {"a": 0.5}})
    assert read_times(totals, b"{}\n") == {"tuned": {"a": 0.5}}
    assert read_times(totals, b"{ }\n") == read_times(totals, None) == read_times(tmp_path / "other.json", b"{}\n") == {}


def test_git_keeps_few_lines_of_timings_a_model():
    for folder in (ROOT / "metrics" / "speed").iterdir():
        kept = [path for path in folder.glob("*.json") if not path.name.endswith(".answers.json")]
        assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in kept) <= MOST_LINES, folder


@pytest.mark.parametrize("name", ["metrics/speed/medical/generate.json"])
def test_git_and_dvc_ignore_the_times_of_single_answers(name):
    from dvc.fs import LocalFileSystem
    from dvc.ignore import DvcIgnoreFilter

    times = times_file(ROOT / name)
    ignored = subprocess.run(["git", "check-ignore", "-q", str(times)], cwd=ROOT).returncode == 0
    filters = DvcIgnoreFilter(LocalFileSystem(), str(ROOT))
    assert ignored and filters.is_ignored_file(str(times))
    assert not filters.is_ignored_file(str(ROOT / name))


def test_no_timing_is_a_metric_of_dvc():
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    listed = [str(path) for entry in pipeline["stages"].values() for path in entry["do"].get("metrics", [])]
    assert listed and not [path for path in [*listed, *pipeline.get("metrics", [])] if "speed" in path]
