"""Every benchmark starts as printed, and the quick ones run to their end on little."""

import runpy
import sys

import pytest

from bench import label, start
from tests.imports import ROOT

BENCHMARKS = sorted(file for file in (ROOT / "bench").glob("*.py") if "__main__" in file.read_text(encoding="utf-8"))


def test_all_benchmarks_are_here():
    assert {"judge", "judge_people", "start", "label", "train_cpu", "wall"} <= {file.stem for file in BENCHMARKS}


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.stem)
def test_a_benchmark_says_what_it_does(file, monkeypatch, capsys):
    """Its imports are there, and its options are read."""
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    monkeypatch.setattr(sys, "path", sys.path[:])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(file), run_name="__main__")
    assert ended.value.code == 0 and "usage:" in capsys.readouterr().out


def test_start_gives_medians_of_its_rounds(monkeypatch, capsys):
    monkeypatch.setattr(start, "BARE", "import json")
    monkeypatch.setattr(start, "STAGES", [("label", "datasets", "medical_qa", "stages.labels.clean")])
    monkeypatch.setattr(sys, "argv", ["start.py", "--rounds", "1"])
    start.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["bare", "label"] and lines[1].endswith("1.00")


def test_label_counts_what_it_did(monkeypatch, capsys):
    pytest.importorskip("flashtext")  # comes with what the benchmark is compared with
    monkeypatch.setattr(sys, "argv", ["label.py", "--rows", "50", "--names", "20"])
    label.main()
    assert capsys.readouterr().out
