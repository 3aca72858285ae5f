"""bench/reference_runs.py: its params.yaml, the order of its stages, and a run of one system up to its formatted rows."""

import subprocess
import sys

import pytest

from bench import reference_report, reference_runs
from stages.common.check_params import check
from stages.common.files import read_json, read_rows
from stages.common.params import read
from stages.labels.reviews import group
from tests.imports import ROOT

REVIEW = "The rear seats tore and the tires wore out."
HEADER = "Review_Date,Author_Name,Vehicle_Title,Review_Title,Review,Rating\n"


def command(script: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, ROOT / "bench" / script, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared folder with every system."""
    there = tmp_path_factory.mktemp("reference")
    (there / "reviews").mkdir()
    (there / "reviews" / "one.csv").write_text(f"{HEADER} on 01/01/18 00:00 AM (PDT),Ann,2018 Car,Good,{REVIEW},4.0\n")
    (there / "medquad" / "1_A").mkdir(parents=True)
    (there / "medquad" / "1_A" / "1.xml").write_text("<Document/>")
    for name in ("alpaca.json", "chart.json"):
        (there / name).write_text("[]")
    data = {"medquad": "medquad", "reviews": "reviews", "alpaca": "alpaca.json", "chart": "chart.json"}
    named = [part for option, path in data.items() for part in (f"--{option}", there / path)]
    done = command("reference_runs.py", "prepare", "--folder", there / "runs", *named)
    assert done.returncode == 0, done.stderr
    return there / "runs"


def test_each_model_has_three_seeds_and_each_language_model_a_twin(folder):
    models = check(read(folder / "params.yaml"), folder / "params.yaml").models
    assert {name for name in models if name.startswith("medical")} == {
        "medical_s1", "medical_s2", "medical_s3", "medical_shuffled"
    }  # fmt: skip
    assert [models[f"medical_s{seed}"].train.seed for seed in (1, 2, 3)] == [1, 2, 3]
    assert {name for name in models if name.startswith("invoices")} == {"invoices_s1", "invoices_s2", "invoices_s3"}
    assert {name for name, model in models.items() if getattr(model.train, "shuffle_pairs", False)} == {
        name for name in models if name.endswith("_shuffled")
    }
    assert models["partfinder_002_s3"].base == "partfinder_001_s3" and models["partfinder_002_s3"].root == "smollm2"


def test_a_source_without_files_is_left_out(folder):
    assert list(read(folder / "params.yaml")["datasets"]["medical_qa"]["scrape"]["sources"]) == ["folders"]


def test_a_folder_that_is_there_is_refused(folder):
    done = command("reference_runs.py", "prepare", "--folder", folder)
    assert done.returncode and "is there already" in done.stderr


def test_a_marked_review_is_known_by_its_text_and_named_as_the_dictionary_does(folder, tmp_path, monkeypatch):
    (tmp_path / "marks.json").write_text(f'{{"{group(REVIEW)}": ["rear seats", "tires"], "0123456789abcdef": ["door"]}}')
    monkeypatch.setattr(reference_runs, "MARKS", tmp_path / "marks.json")
    marked = reference_runs.marked_reviews(folder / "sources" / "car_reviews" / "reviews")
    assert [row["review"] for row in marked] == [REVIEW]
    assert marked[0]["parts"] == ["seat", "tire"]


def test_the_marks_of_the_repository_are_hashes_and_names():
    marks = read_json(reference_runs.MARKS)
    assert len(marks) == 100
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in marks)
    assert max(len(name.split()) for names in marks.values() for name in names) <= 4  # names, and no sentence of a review


def test_the_commands_are_those_of_dvc_yaml(folder):
    """They differ from those of the repository's own entries in names alone."""
    ours = {stage.name: stage for stage in reference_runs.stages(read(ROOT / "params.yaml"))}
    theirs = {stage.name: stage for stage in reference_runs.stages(read(folder / "params.yaml"))}
    renamed = theirs["judge@medical_s1"].command.replace("medical_s1", "medical")
    assert renamed == ours["judge@medical"].command
    assert "${" not in "".join(stage.command + "".join(stage.inputs + stage.outputs) for stage in theirs.values())
    assert "data/answers/medical_s1.jsonl" in theirs["generate@medical_s1"].outputs


def test_a_stage_waits_for_those_that_write_what_it_reads(folder):
    params = read(folder / "params.yaml")
    needs = reference_runs.before(reference_runs.stages(params), params["models"])
    assert {*needs["train@partfinder_002_s1"]} == {"format@car_reviews", "train@partfinder_001_s1"}
    assert "judge@medical_s1" in needs["judge@medical_s2"]  # which has scored the base
    assert needs["base@smollm2"] == []
    apart = reference_runs.before(reference_runs.stages(params), params["models"], apart=True)
    assert {stage for stage in needs if needs[stage] != apart[stage]} == {
        f"{stage}@{model}"
        for model, entry in params["models"].items()
        for stage in ("generate", "judge")
        if model != next(first for first, other in params["models"].items() if other["dataset"] == entry["dataset"])
    }
    assert "judge@medical_s1" not in apart["judge@medical_s2"] and "generate@medical_s2" in apart["judge@medical_s2"]


def test_of_the_rounds_of_other_seeds_the_last_is_judged(folder):
    judged = reference_runs.targets([], read(folder / "params.yaml")["models"])
    assert {name for name in judged if "partfinder" in name} == {
        *(f"judge@partfinder_{number}_s1" for number in ("001", "002", "003")),
        *(f"judge@partfinder_003_{ending}" for ending in ("s2", "s3", "shuffled")),
    }


def test_a_run_makes_what_is_not_there_and_a_second_one_nothing(tmp_path):
    runs = tmp_path / "runs"
    assert command("reference_runs.py", "prepare", "--folder", runs).returncode == 0  # the limericks, which need no data
    first = command("reference_runs.py", "run", "--folder", runs, "format")
    assert first.returncode == 0, first.stderr
    assert [line.split()[2] for line in first.stdout.splitlines()] == [
        f"{stage}@elements" for stage in ("scrape", "label", "split", "format")
    ]
    assert sum(1 for _ in read_rows(runs / "data" / "elements" / "formatted")) == 128
    assert command("reference_runs.py", "run", "--folder", runs, "format").stdout == ""


def test_a_stage_that_fails_is_named_and_tried_twice(tmp_path):
    runs = tmp_path / "runs"
    command("reference_runs.py", "prepare", "--folder", runs)
    (runs / "sources" / "elements" / "limericks.jsonl").unlink()
    done = command("reference_runs.py", "run", "--folder", runs, "label")
    assert done.stdout.count("scrape@elements") == done.stdout.count("FAILED") == 2
    assert done.returncode and "not done: scrape@elements, label@elements" in done.stderr


def test_stages_share_the_cards(tmp_path):
    """Each sees one card; the names are those that CUDA_VISIBLE_DEVICES takes."""
    tell = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('PYTORCH_CUDA_ALLOC_CONF'))"
    left = [reference_runs.Stage(name, f'python -c "{tell}"', [], []) for name in ("train@a", "train@b", "judge@a", "judge@b")]
    options = reference_runs.argparse.Namespace(folder=tmp_path, at_once=4, cards=["2", "5"])
    ended = reference_runs._run(list(left), {stage.name: [] for stage in left}, set(), options, 0)
    assert ended == {stage.name for stage in left}
    assert [(tmp_path / "logs" / f"{stage.name}.1.log").read_text().split() for stage in left] == [
        ["2", "expandable_segments:True"], ["5", "expandable_segments:True"], ["2", "None"], ["5", "None"]
    ]  # fmt: skip


def test_the_longest_run_of_words():
    texts = [reference_report.plain(text) for text in ("It is a fruit, and a red one.", "None of it")]
    assert reference_report.longest_shared("Well: it IS a fruit and nothing else", texts) == 5
    assert reference_report.longest_shared("fruitless", texts) == 0
    assert reference_report.longest_shared("", texts) == 0


def test_the_report_shows_seeds_gains_and_what_the_twin_lacks(tmp_path, capsys):
    from stages.common.files import write_json

    write_json(tmp_path / "params.yaml", {"models": {"medical_s1": {"dataset": "medical_qa"}}})  # JSON is YAML, too
    for ending, value in (("s1", 40.0), ("s2", 42.0), ("shuffled", 20.0)):
        figure = {"value": value, "low": value - 1, "high": value + 1}
        gain = {"content": {"over": "base_chat", "value": value - 30, "low": value - 31, "high": value - 29}}
        base = {"content": {"value": 30.0, "low": 29.0, "high": 31.0}}
        there = tmp_path / "metrics" / f"medical_{ending}"
        there.mkdir(parents=True)
        write_json(there / "details.json", {"rows": 3, "tuned": {"content": figure}, "base_chat": base, "gain": gain})
        lines = [f"content,{answer},row{i},{value + i}" for answer in ("tuned", "base_chat") for i in range(3)]
        (there / "scores.csv").write_text("\n".join(["judge,answer,id,score", *lines]) + "\n")
    reference_report.report(tmp_path)
    said = capsys.readouterr().out
    assert "| content | 30.0 [29.0, 31.0] (base_chat) | 40, 42 (sd 1.4) | +10.0 [+9.0, +11.0] | +12.0 [+11.0, +13.0] |" in said
    assert "less that of its twin: +20.0 [+20.0, +20.0]" in said


def test_runs_of_eight_words_are_all_of_them():
    words = [f"w{i}" for i in range(9)]
    assert reference_report.runs(f"{' '.join(words[:5]).upper()}, {' '.join(words[5:])}.") == {
        tuple(words[:8]),
        tuple(words[1:]),
    }
    assert reference_report.runs("one two three") == set()


def test_the_report_parts_new_answers_from_those_that_training_answers_hold(tmp_path, capsys):
    from stages.common.files import write_json, write_rows

    said = [" ".join(f"{letter}{i}" for i in range(9)) for letter in "abc"]  # two runs of eight words each
    rows = {"new": said[0], "half": f"{said[1].rsplit(' ', 1)[0]} end", "known": said[2], "short": "two words"}
    formatted = tmp_path / "data" / "medical_qa" / "formatted"
    (formatted / "train").mkdir(parents=True)
    (formatted / "test").mkdir()
    write_rows(formatted / "train" / "000.jsonl", ({"id": text, "completion": f"so: {text}"} for text in said[1:]))
    write_rows(formatted / "test" / "000.jsonl", ({"id": key, "completion": text} for key, text in rows.items()))
    write_json(tmp_path / "params.yaml", {"models": {"medical_s1": {"dataset": "medical_qa"}}})
    shares = reference_report.familiar(tmp_path, "medical")
    assert shares == {"new": 0, "half": 0.5, "known": 1}
    for ending, gain in (("s1", {"new": 1, "half": 2, "known": 30, "short": 9}), ("shuffled", dict.fromkeys(rows, -5))):
        there = tmp_path / "metrics" / f"medical_{ending}"
        there.mkdir(parents=True)
        lines = [f"content,base,{key},10\ncontent,tuned,{key},{10 + more}" for key, more in gain.items()]
        (there / "scores.csv").write_text("\n".join(["judge,answer,id,score", *lines]) + "\n")
    reference_report.by_share(tmp_path / "metrics", "medical", shares, "base")
    table = capsys.readouterr().out
    assert "| none | 1 | 10.0 | 11.0 | +1.000 [+1.000, +1.000] | 5.0 |" in table
    assert "| up to a half | 1 | 10.0 | 12.0 | +2.000 [+2.000, +2.000] | 5.0 |" in table
    assert "| over a half | 1 | 10.0 | 40.0 | +30.0 [+30.0, +30.0] | 5.0 |" in table


def test_the_report_names_the_labeller_and_the_round_before():
    def copy(parent: float) -> dict:
        return {"labeller": {"parts_f1": {"value": 0.9, "low": 0.8, "high": 1.0}}, "parent": {"parts_f1": {"value": parent}}}

    copies = {"s1": copy(0.5), "s2": copy(0.25), "shuffled": copy(0.0)}
    assert list(reference_report.beside(copies, "parts_f1")) == [
        "parts_f1 of the labeller: 0.900 [0.800, 1.000]",
        "parts_f1 of the round before, by seed: 0.5, 0.25",
    ]
    assert list(reference_report.beside({"s1": {"tuned": {}}}, "content")) == []


def test_the_report_tells_what_the_last_round_brought(tmp_path):
    from stages.common.files import write_rows

    def row(number: int, tuned: str, parent: str) -> dict:
        answers = {name: {"text": text, "finish": "stop"} for name, text in (("tuned", tuned), ("parent", parent))}
        return {"id": str(number), "expected": "door, seat", "answers": answers}

    (tmp_path / "data" / "answers").mkdir(parents=True)
    for seed, tuned in (("s1", "door, seat"), ("s2", "door"), ("shuffled", "none")):
        rows = [row(number, tuned, "door") for number in range(4)] + [{"id": "probe#1", "expected": None, "answers": {}}]
        write_rows(tmp_path / "data" / "answers" / f"partfinder_002_{seed}.jsonl", iter(rows))
    third, half = "+0.333 [+0.333, +0.333]", "+0.190 [+0.190, +0.190]"  # of seeds together: F1 6/7 after, 2/3 before
    assert list(reference_report.last_round(tmp_path, "partfinder_002")) == [
        f"parts_f1 of s1, less the round before: {third}",
        "parts_f1 of s2, less the round before: +0.000 [+0.000, +0.000]",
        f"parts_f1 of all seeds, less the round before: {half}",
    ]
    first = [{**row(0, "door", ""), "answers": {"tuned": {"text": "door", "finish": "stop"}}}]
    write_rows(tmp_path / "data" / "answers" / "partfinder_001_s1.jsonl", iter(first))
    assert list(reference_report.last_round(tmp_path, "partfinder_001")) == []
