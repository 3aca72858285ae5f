"""The hosted recipes from their sources to their tuned models, parameters unchanged but for the service's address."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from affinage.commands import recipe
from stages import base, format, label, scrape, split, train
from stages.common.check_params import check
from stages.common.files import read_rows, write_rows
from stages.common.params import read
from stages.common.schema import Params
from stages.training.step_table import COLUMNS
from tests.imports import ROOT


def run(name: str, source: Path | None, service, work: Path) -> tuple[Params, dict[str, dict]]:
    """All stages up to train; returns the parameters and hosted.json of every model of the recipe, in their order."""
    (work / "params").mkdir()
    file = work / "params" / "params.yaml"
    recipe.apply(name, ROOT / "recipes", shutil.copy(ROOT / "params.yaml", file))
    params, own = check(read(file), file), read(ROOT / "recipes" / f"{name}.yaml")
    hosted = [key for key, entry in params.bases.items() if entry.base.kind == "hosted"]
    assert hosted
    for key in hosted:
        base.main(
            key,
            params.bases[key].base.model_copy(update={"base_url": service.address("main")}),
            base.Paths(work / "models" / key),
        )
    outputs = {}
    for key in own["models"]:
        model = params.models[key]
        dataset, data = params.datasets[model.dataset], work / model.dataset
        if not data.exists():
            scrape.main(model.dataset, dataset.scrape, scrape.Paths(source or ROOT / dataset.source, data / "raw"))
            paths = [data / "raw", data / "labeled.jsonl", data / "dropped.jsonl", data / "label.json"]
            label.main(model.dataset, dataset.label, label.Paths(*paths))
            split.main(model.dataset, dataset.split, split.Paths(data / "labeled.jsonl", data / "splits", data / "split.json"))
            paths = [data / "splits", data / "formatted", data / "format.json", data / "lengths.csv"]
            format.main(model.dataset, dataset.format, format.Paths(*paths))
        train.main(
            key,
            model.train,
            train.Paths(
                rows=data / "formatted" / model.shards,
                formatted=data / "formatted",
                base=work / "models" / model.base,
                out=work / "models" / key,
                table=work / f"{key}.csv",
                metrics=work / f"{key}.json",
                speed=work / f"{key}.speed.json",
            ),
        )
        outputs[key] = json.loads((work / "models" / key / "hosted.json").read_text(encoding="utf-8"))
    return params, outputs


def sent(account, name: str) -> list[dict]:
    """The rows of an uploaded file."""
    return [json.loads(line) for line in account.contents[name].splitlines()]


def test_limericks(tmp_path, service, account, waits):
    _, about = run("limericks_hosted", None, service, tmp_path)
    (tuned,) = about.values()
    assert tuned["model"].startswith("ft:gpt-4o-mini-2024-07-18:org:limericks:")
    formatted = list(read_rows(tmp_path / "elements" / "formatted" / "train"))
    rows = sent(account, tuned["files"]["training"]["id"])
    assert [row["messages"][-1]["content"] for row in rows] == [row["completion"] for row in formatted]
    assert any(turn.get("weight") == 0 for row in rows for turn in row["messages"])  # turns before, read but not learned
    assert len(account.jobs) == 1 and len(account.uploads()) == 2


def ten_of_ours(folder: Path) -> Path:
    """As many rows of the same shape, for a clone without the course's file."""
    rows = (row for row in read_rows(ROOT / "data/sources/elements/limericks.jsonl") if len(row["messages"]) == 3)
    write_rows(folder / "own" / "rows.jsonl", [next(rows) for _ in range(10)])
    return folder / "own"


@pytest.mark.parametrize("whose", ["ours", "the course's"])
def test_the_course_s_example_goes_through_whole(tmp_path, service, account, waits, whose, request):
    source = ten_of_ours(tmp_path)
    if whose != "ours":
        shutil.rmtree(source)
        source.mkdir()
        shutil.copy(request.getfixturevalue("real_data") / "elements" / "limericks_training-data.jsonl", source)
    params, about = run("limericks_hosted_course", source, service, tmp_path)
    (name, tuned), *_ = about.items()
    conversations = [row["messages"] for row in read_rows(source)]
    assert [row["messages"] for row in sent(account, tuned["files"]["training"]["id"])] == conversations and len(
        conversations
    ) == 10
    assert tuned["files"].keys() == {"training", "results"}
    job = account.jobs[tuned["job"]]
    assert (job["seed"], job["validation_file"], job["hyperparameters"]["n_epochs"]) == (1, None, account.auto_epochs)
    with open(tmp_path / f"{name}.csv", newline="") as file:
        steps = list(csv.DictReader(file))
    assert list(steps[0]) == list(COLUMNS) and [row["step"] for row in steps] == [str(i) for i in range(1, 16)]
    metrics = json.loads((tmp_path / f"{name}.json").read_text())
    assert metrics["tokens"] == job["trained_tokens"] and metrics["rows"] == {"rows": 10}
    assert metrics["dollars"] == pytest.approx(3.0 * job["trained_tokens"] / 1e6)
    assert list(read_rows(tmp_path / "limericks_course" / "formatted" / "test"))
    assert params.models[name].train.limit_dollars >= metrics["dollars_at_most"] > 0


def test_partfinder_in_rounds(tmp_path, service, account, waits):
    _, about = run("partfinder_hosted", None, service, tmp_path)
    first, second = about.values()
    assert (second["base"], second["root"]) == (first["model"], "gpt-4o-mini-2024-07-18")
    assert account.jobs[second["job"]]["model"] == first["model"]
    formatted = list(read_rows(tmp_path / "car_reviews" / "formatted" / "train"))
    for tuned, taken in ((first, formatted[:100]), (second, formatted[100:290])):
        rows = sent(account, tuned["files"]["training"]["id"])
        assert [row["messages"][-1]["content"] for row in rows] == [row["completion"] for row in taken]
        assert all(row["messages"][-2]["content"].endswith(" ->") for row in rows)
        assert all(row["messages"][-1]["content"].endswith(" END") for row in rows)
    prompt = json.loads((tmp_path / "models" / "partfinder_hosted_002" / "prompt.json").read_text())
    assert (prompt["stop"], prompt["prompt_ending"]) == ([" END"], " ->")
    assert json.loads((tmp_path / "models/partfinder_hosted_002/parent.json").read_text())["base"] == "partfinder_hosted_001"
    assert sorted(account.uploads().values()) == [1, 1, 1]  # the validation rows once for both rounds
