"""Five systems on data that people wrote, with three seeds and a shuffled twin each, by the stages alone. No DVC is needed.

    python bench/reference_runs.py prepare --medquad DIR --alpaca FILE --reviews DIR --chart FILE
    python bench/reference_runs.py run --at-once 12 --cards 0,1
    python bench/reference_report.py

`prepare` makes a folder with a params.yaml of its own (bench/reference_runs.yaml filled out) and the sources. `run` runs the
stages there, as dvc.yaml has them, several at once, shared out over the GPUs that `--cards` names. A stage whose outputs are
there is not run again. So the folder may be carried from a machine that makes the data (`run format`) to one with a GPU. For a
new run, name another folder.

The data is public; docs/reference_runs.md says where it is had. The test rows of the reviews are those of
bench/reference_marks.json, which were marked by hand and are known by a hash of their text.
"""

import argparse
import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ruamel.yaml import YAML  # noqa: E402

from stages.common.check_params import check  # noqa: E402
from stages.common.files import atomic_file, read_json, write_rows  # noqa: E402
from stages.common.params import read  # noqa: E402

FOLDER = Path(".cache/reference_runs")
ENTRIES, MARKS = ROOT / "bench" / "reference_runs.yaml", ROOT / "bench" / "reference_marks.json"
SEEDS, TWIN = (1, 2, 3), "shuffled"
KINDS = ("bases", "datasets", "models")
MODEL_STAGES = ("train", "generate", "judge")
TRIES = 2  # a stage that failed runs once more in the end, when fewer share the machine


# prepare -------------------------------------------------------------------------------------------------------------


def copies(models: dict) -> dict:
    """Every model once for each seed, and its twin: `medical` becomes `medical_s1`, …, `medical_shuffled`.

    A round starts from the round before it with the same ending.
    """
    every = {}
    for name, model in models.items():
        causal = model["train"]["method"] == "causal"
        for ending in [*(f"s{seed}" for seed in SEEDS), *([TWIN] if causal else [])]:
            base = f"{model['base']}_{ending}" if model["base"] in models else model["base"]
            changed = {"shuffle_pairs": True} if ending == TWIN else {"seed": int(ending[1:])}
            every[f"{name}_{ending}"] = {**model, "base": base, "train": {**model["train"], **changed}}
    return every


def marked_reviews(folder: Path) -> list[dict]:
    """Rows `review, parts, faults` of the marked reviews among the files of a folder.

    A mark is named as the dictionary names it, or its longest ending that it knows: `rear seats` is `seat`.
    """
    from bench.label import SOURCES, entries
    from bench.marks_parts import called
    from stages.labels.dictionary import build
    from stages.labels.reviews import group
    from stages.sources import SourceFile, rows_of

    with open(SOURCES / "synonyms.csv", encoding="utf-8", newline="") as file:
        dictionary = build(entries(), csv.DictReader(file))
    marks, rows = read_json(MARKS), {}
    for path in sorted(folder.glob("*.csv")):
        for record in rows_of(SourceFile(path), "reviews_csv"):
            if not record["problem"] and (key := group(record["review"])) in marks:
                parts = list(dict.fromkeys(called(mark, dictionary) for mark in marks[key]))
                rows[key] = {"review": record["review"], "parts": parts, "faults": []}
    return [rows[key] for key in marks if key in rows]


def prepare(options: argparse.Namespace) -> None:
    """Write sources/ and params.yaml of the folder. Systems whose data was not named are left out."""
    sources, ours = options.folder / "sources", ROOT / "data" / "sources"
    if options.folder.exists():
        sys.exit(f"{options.folder} is there already: name another --folder, or remove it")
    wanted = {"elements": [ours / "elements" / "limericks.jsonl"]}
    if options.alpaca:
        wanted["instructions"] = [options.alpaca]
    if options.chart:
        wanted |= {"invoices": [ours / "invoices" / "lignes.csv", options.chart], "accounts": [options.chart]}
    for name, files in wanted.items():
        (sources / name).mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, sources / name / file.name)
    if options.medquad:
        shutil.copytree(options.medquad, sources / "medical_qa")
        wanted["medical_qa"] = []
    if options.reviews:
        shutil.copytree(ours / "car_reviews", sources / "car_reviews", ignore=shutil.ignore_patterns("reviews", "gold.jsonl"))
        shutil.copytree(options.reviews, sources / "car_reviews" / "reviews")
        marked = marked_reviews(options.reviews)
        write_rows(sources / "car_reviews" / "gold.jsonl", iter(marked))
        print(f"{len(marked)} reviews of {options.reviews} are marked by hand")
        wanted["car_reviews"] = []
    shared, entries = read(ROOT / "params.yaml"), read(ENTRIES)
    params = {key: shared[key] for key in ("judge_base", "defaults", "bases")}
    params["datasets"] = {name: entry for name, entry in entries["datasets"].items() if name in wanted}
    scraped = params["datasets"].get("medical_qa", {}).get("scrape", {}).get("sources", {})
    for source in [name for name, source in scraped.items() if not any((sources / "medical_qa").glob(source["files"]))]:
        del scraped[source]
    params["models"] = copies({name: entry for name, entry in entries["models"].items() if entry["dataset"] in wanted})
    check(params, options.folder / "params.yaml")
    (options.folder / "marks").mkdir()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
    with atomic_file(options.folder / "params.yaml") as file:
        yaml.dump(params, file)


# run -----------------------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A stage of dvc.yaml for one entry of params.yaml."""

    name: str
    command: str
    inputs: list[str]
    outputs: list[str]


@dataclass
class Running:
    """A stage at work, since `began` (seconds), on the card of this name, or on whatever there is ("")."""

    process: subprocess.Popen
    card: str
    began: float


def filled(text: str, values: dict) -> str:
    """A text of dvc.yaml with `${item.train.method}` and the like filled in."""

    def value(match: re.Match) -> str:
        node = values
        for part in match[1].split("."):
            node = node[part]
        return str(node)

    return re.sub(r"\$\{([\w.]+)\}", value, text)


def stages(params: dict) -> list[Stage]:
    """Every stage of dvc.yaml for every entry."""
    every = []
    for stage, body in read(ROOT / "dvc.yaml")["stages"].items():
        for key, item in params[body["foreach"].strip("${}")].items():
            parts, values = body["do"], {**params, "key": key, "item": item}
            outputs = [
                out if isinstance(out, str) else next(iter(out))
                for kind in ("outs", "metrics", "plots")
                for out in parts.get(kind, [])
            ]
            inputs = [filled(path, values) for path in parts.get("deps", [])]
            command = filled(parts["cmd"], values)
            every.append(Stage(f"{stage}@{key}", command, inputs, [filled(path, values) for path in outputs]))
    return every


def before(every: list[Stage], models: dict, apart: bool = False) -> dict[str, list[str]]:
    """By stage, those that must have run before it: they write what it reads.

    One more kind, unless `apart`: of the models of a dataset the first is answered and judged before the others, which then
    find the base's answers and their scores kept. `apart` is more work, done sooner where there are processors enough.
    """
    maker = {path: stage.name for stage in every for path in stage.outputs}
    needs = {}
    for stage in every:
        above = [str(path) for read_path in stage.inputs for path in (Path(read_path), *Path(read_path).parents)]
        needs[stage.name] = [maker[path] for path in dict.fromkeys(above) if path in maker]
    first = {}
    for name, model in models.items():
        leader = first.setdefault((model["dataset"], model["root"]), name)
        for stage in MODEL_STAGES[1:]:
            needs[f"{stage}@{name}"] += [f"{stage}@{leader}"] * (leader != name and not apart)
    return needs


def targets(named: list[str], models: dict) -> list[str]:
    """What to run: the verdicts of all models, or stages (`format`, `judge@medical_s1`) that were named.

    Of rounds with another seed, and of twins, only the last is judged.
    """
    if named:
        return named
    bases = {model["base"] for model in models.values()}
    return [f"judge@{name}" for name in models if name not in bases or name.endswith("_s1")]


def run(options: argparse.Namespace) -> None:
    """Run the stages that the targets need, `--at-once` at a time. A stage that fails stops only those that need it."""
    params = read(options.folder / "params.yaml")
    every = {stage.name: stage for stage in stages(params)}
    needs, wanted = before(list(every.values()), params["models"], options.apart), set()
    done = {name for name, stage in every.items() if all((options.folder / path).exists() for path in stage.outputs)}
    asked = targets(options.targets, params["models"])
    ask = [name for name in every if name in asked or name.split("@")[0] in asked]
    while ask:
        if (name := ask.pop()) not in wanted | done:
            wanted.add(name)
            ask += needs[name]
    places = {entry: place for place, entry in enumerate(entry for kind in KINDS for entry in params[kind])}
    # an entry's stages together: the first models, which take longest, are done with theirs before the last ones begin
    order = sorted((name for name in every if name in wanted), key=lambda name: places[name.split("@")[1]])
    for attempt in range(TRIES):
        left = [every[name] for name in order if name not in done]
        done |= _run(left, needs, done, options, attempt)
    if left := [name for name in order if name not in done]:
        sys.exit(f"not done: {', '.join(left)}; why is in {options.folder / 'logs'}")


def _run(left: list[Stage], needs: dict, done: set[str], options: argparse.Namespace, attempt: int) -> set[str]:
    """The names of the stages that ran to their end."""
    ended, running, start = set(), {}, time.monotonic()
    while True:
        ready = [stage for stage in left if {*needs[stage.name]} <= done | ended]
        for stage in ready[: options.at_once - len(running)]:
            left.remove(stage)
            busy = [other.card for other in running.values()]
            card = min(options.cards, key=busy.count, default="")
            running[stage.name] = Running(_started(stage, options, attempt, card), card, time.monotonic())
        if not running:
            return ended
        time.sleep(0.2)
        for name, at_work in [*running.items()]:
            if (status := at_work.process.poll()) is not None:
                del running[name]
                now = time.monotonic()
                how = f"  FAILED ({status})" if status else ""
                where = f"  card {at_work.card}" if at_work.card else ""
                print(f"{now - start:6.0f} s  {name}  {now - at_work.began:.0f} s{where}{how}", flush=True)
                ended |= {name} if not status else set()


def _started(stage: Stage, options: argparse.Namespace, attempt: int, card: str) -> subprocess.Popen:
    """The process of a stage, which sees one card alone where `card` names it; what it prints goes to logs/."""
    threads = max(1, (os.cpu_count() or 1) // options.at_once)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    quiet = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
    if stage.name.startswith("train@"):  # else a training holds twice the memory that it uses, and others want it
        quiet["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"
    (options.folder / "logs").mkdir(exist_ok=True)
    with open(options.folder / "logs" / f"{stage.name}.{attempt + 1}.log", "w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, *shlex.split(stage.command)[1:]],
            cwd=options.folder,
            env={**quiet, **os.environ, "PYTHONPATH": path, **({"CUDA_VISIBLE_DEVICES": card} if card else {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("--folder", type=Path, default=FOLDER, help="what is made and run lies here")
    command = commands.add_parser("prepare", parents=[folder], help="write params.yaml and the sources")
    command.add_argument("--medquad", type=Path, help="folder of MedQuAD's XML files, or of zip archives of them")
    command.add_argument("--alpaca", type=Path, help="a JSON file: instruction, input, output")
    command.add_argument("--reviews", type=Path, help="folder of Edmunds' CSV files, one a brand")
    command.add_argument("--chart", type=Path, help="a JSON file of the plan comptable général, by arrhes/PCG")
    command.set_defaults(run=prepare)
    command = commands.add_parser("run", parents=[folder], help="run the stages")
    command.add_argument("targets", nargs="*", help="such as format, or judge@medical_s1; without any: all verdicts")
    command.add_argument("--at-once", type=int, default=1, help="stages at a time")
    command.add_argument("--cards", type=lambda text: text.split(","), default=[], help="GPUs to share them out over: 0,1")
    command.add_argument("--apart", action="store_true", help="models do not wait for what the first of their dataset keeps")
    command.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
