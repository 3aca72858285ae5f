"""What entries of params.yaml that are gone left behind; the whole of it: tests/test_experiments.py."""

from pathlib import Path

from affinage.commands.prune import left_behind
from stages.common.files import write_json
from tests.affinage.reports.fixtures import dvc

PIPELINE = """
stages:
  label:
    foreach: [invoices]
    do: {cmd: "true", outs: ["data/${item}"]}
  train:
    foreach: [accounts]
    do: {cmd: "true", outs: ["models/${item}"]}
"""


def test_timings_of_a_renamed_model_go_where_a_dataset_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dvc(tmp_path, "init", "-q", "--no-scm")
    (tmp_path / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    for name in ("invoices", "accounts"):
        write_json(tmp_path / "metrics" / "speed" / name / "train.json", {"seconds": 1})
    assert left_behind() == ([], [Path("metrics/speed/invoices")])
