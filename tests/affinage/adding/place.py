"""A place with the committed parameters, to add data to; and the stages on what was added."""

import contextlib
import io
import shutil
from pathlib import Path

from stages import format as formatting
from stages import label, scrape, split
from stages.common.files import read_json
from stages.common.params import section
from tests.affinage.running import affinage
from tests.data_helpers import ROOT, jsonl


def prepare(folder: Path) -> Path:
    """The files that `affinage add` reads, in a folder that is the working directory of the test."""
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for name in ("car_reviews", "invoices"):
        shutil.copytree(ROOT / "data/sources" / name, folder / "data/sources" / name)
    return folder


def add(*words: object) -> str:
    """What `affinage add WORDS` prints."""
    return affinage("add", *map(str, words))


def run(name: str) -> dict:
    """The stages of a dataset, from its source to formatted rows: metrics by stage, `labelled` rows, formatted `train` rows."""
    data = Path("data") / name
    params = {stage: section("datasets", name, stage) for stage in ("source", "scrape", "label", "split", "format")}
    metrics = {stage: Path("metrics") / name / f"{stage}.json" for stage in ("label", "split", "format")}
    with contextlib.redirect_stderr(io.StringIO()):
        scrape.main(name, params["scrape"], scrape.Paths(Path(params["source"]), data / "raw"))
        labelled = data / "labeled.jsonl"
        label.main(name, params["label"], label.Paths(data / "raw", labelled, data / "dropped.jsonl", metrics["label"]))
        split.main(name, params["split"], split.Paths(labelled, data / "splits", metrics["split"]))
        formatting.main(
            name,
            params["format"],
            formatting.Paths(data / "splits", data / "formatted", metrics["format"], data / "lengths.csv"),
        )
    train = [row for file in sorted((data / "formatted" / "train").glob("*")) for row in jsonl(file)]
    return {stage: read_json(path) for stage, path in metrics.items()} | {"labelled": jsonl(labelled), "train": train}
