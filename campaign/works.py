"""Each stage on small inputs with a tiny model, in a process of its own that a fault may end.

`ground` holds the inputs, made once; a run has a folder for its outputs (`out/`), its scratch and what it notes. Each run is
a fork of a process that has imported everything and done nothing: as good as a fresh one, without the seconds to start.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import stages.base
import stages.format
import stages.generate
import stages.judge
import stages.label
import stages.scrape
import stages.split
import stages.train
from stages.common.errors import report
from stages.common.files import write_rows
from stages.common.schema import Scrape
from stages.common.schema_bases import WheelBase
from stages.decoding.causal import batch_answers
from stages.training import loop
from tests import tiny
from tests.data_helpers import format_params, label_params, scrape_params, split_params, web_params
from tests.repository import wheel

ROWS = 60  # of the small dataset


@dataclass(frozen=True)
class Work:
    """One stage's run.

    Args:
        run: does it, given `ground` and the run's own folder.
        outputs: names below `out/`; of those that end in `speed.json` the content may differ.
        counted: whether the run notes each unit of work that the stage promises to do once.
    """

    run: Callable[[Path, Path], None]
    outputs: tuple[str, ...]
    counted: bool = False


def note(folder: Path, text: str) -> None:
    with open(folder / "notes.txt", "a") as file:
        file.write(text + "\n")


def _source(ground: Path) -> None:
    rows = [
        {"question": f"What is the colour of {noun} {i}?", "answer": f"The {noun} is {colour}, and {i} of them are here."}
        for i in range(ROWS)
        for noun, colour in [(tiny.THINGS[i % 12], tiny.COLOURS[i // 2 % 6])]
    ]
    for name, start in (("a.jsonl", 0), ("b.jsonl", ROWS // 2)):
        write_rows(ground / "source" / name, rows[start : start + ROWS // 2])


def base(ground: Path, folder: Path) -> None:
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(ground / "wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    wheel_params = {
        "kind": "wheel",
        "package": "tiny_base",
        "version": "1.0",
        "path": "tiny_base/model",
        "architecture": "causal",
    }
    params = WheelBase(**wheel_params, sha256=(ground / "sha256").read_text())
    stages.base.main("tiny", params, stages.base.Paths(folder / "out" / "base"))


def scrape(ground: Path, folder: Path) -> None:
    stages.scrape.main("small", scrape_params(files="*.jsonl"), stages.scrape.Paths(ground / "source", folder / "out" / "raw"))


def scrape_web(ground: Path, folder: Path) -> None:
    """From the server whose address lies in `ground`."""
    address = (ground / "address").read_text()
    urls = {f"{i:02}.jsonl": f"{address}/{i:02}.jsonl" for i in range(12)}
    params = Scrape.model_validate({"sources": {"web": web_params(urls)}})
    stages.scrape.main("web", params, stages.scrape.Paths(ground, folder / "out" / "raw"))


def label(ground: Path, folder: Path) -> None:
    out = folder / "out"
    files = {"labeled": out / "labeled.jsonl", "dropped": out / "dropped.jsonl", "metrics": out / "label.json"}
    stages.label.main("small", label_params(), stages.label.Paths(ground / "raw", **files))


def split(ground: Path, folder: Path) -> None:
    out = folder / "out"
    params = split_params(near_duplicate=0.7)
    stages.split.main("small", params, stages.split.Paths(ground / "labeled.jsonl", out / "splits", out / "split.json"))


def format_(ground: Path, folder: Path) -> None:
    out = folder / "out"
    stages.format.main(
        "small",
        format_params(),
        stages.format.Paths(ground / "splits", out / "formatted", out / "format.json", out / "lengths.csv"),
    )


def train(ground: Path, folder: Path) -> None:
    loop.CHECKPOINT_SECONDS = -1
    step = loop.Run.step

    def noted(*args):
        row = step(*args)
        note(folder, f"step {row.place['step']}")
        return row

    loop.Run.step = noted
    out = folder / "out"
    stages.train.main(
        "model",
        tiny.training(),
        stages.train.Paths(
            rows=ground / "formatted" / "train",
            formatted=ground / "formatted",
            base=ground / "base",
            out=out / "model",
            table=out / "results.csv",
            metrics=out / "train.json",
            speed=out / "speed.json",
        ),
    )


def generate(ground: Path, folder: Path) -> None:
    answer = batch_answers.answer

    def noted(*args):
        answers = answer(*args)
        note(folder, "group")
        return answers

    batch_answers.answer = noted
    out = folder / "out"
    stages.generate.main(
        "model",
        tiny.generation(probes=["Why?"]),
        stages.generate.Paths(
            formatted=ground / "formatted",
            model=ground / "model",
            base=ground / "base",
            root=ground / "base",
            out=out / "answers.jsonl",
            speed=out / "speed.json",
        ),
    )


def judge(ground: Path, folder: Path) -> None:
    out = folder / "out"
    stages.judge.main(
        "model",
        tiny.judging(),
        stages.judge.Paths(
            answers=ground / "answers.jsonl",
            formatted=ground / "formatted",
            model=ground / "model",
            base=ground / "base",
            root=ground / "base",
            encoder=ground / "encoder",
            marks=ground / "marks",
            verdicts=out / "verdicts.jsonl",
            metrics=out / "scores.json",
            details=out / "details.json",
            table=out / "scores.csv",
            speed=out / "speed.json",
        ),
    )


WORKS = {
    "base": Work(base, ("base",)),
    "scrape": Work(scrape, ("raw",)),
    "scrape (web)": Work(scrape_web, ("raw",)),
    "label": Work(label, ("labeled.jsonl", "dropped.jsonl", "label.json")),
    "split": Work(split, ("splits", "split.json")),
    "format": Work(format_, ("formatted", "format.json", "lengths.csv")),
    "train": Work(train, ("model", "results.csv", "train.json", "speed.json"), counted=True),
    "generate": Work(generate, ("answers.jsonl", "speed.json"), counted=True),
    "judge": Work(judge, ("verdicts.jsonl", "scores.json", "details.json", "scores.csv", "speed.json")),
}


@dataclass(frozen=True)
class End:
    """How a run ended: its status (minus the signal that ended it), what it printed, and its seconds."""

    status: int
    output: str
    seconds: float

    @property
    def clear(self) -> bool:
        """Whether it ended well or with an error that says where, what was found, what was expected."""
        named = all(part in self.output for part in ("error: ", "\n  found:", "\n  expected:"))
        return self.status == 0 or (self.status == 1 and named and "Traceback" not in self.output)


def run(work: Work, ground: Path, folder: Path, fault: Callable[[], None] | None = None, after: float | None = None) -> End:
    """One run in a fork; `fault()` prepares what will happen to it, `after` so many seconds it is killed."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(folder.parent / f"{folder.name}.log", "w") as log:
        child = os.fork()
        if not child:
            _child(work, ground, folder, fault, log.fileno())
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return End(status, Path(log.name).read_text(), time.monotonic() - start)


def _child(work: Work, ground: Path, folder: Path, fault: Callable[[], None] | None, log: int) -> None:
    status = 70
    try:
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ |= {"AFFINAGE_SCRATCH": str(folder / "scratch"), "NO_PROXY": "127.0.0.1", "TMPDIR": str(folder / "tmp")}
        (folder / "tmp").mkdir(exist_ok=True)
        tiny.torch.set_num_threads(1)

        def work_under_fault() -> None:
            if fault:
                fault()
            work.run(ground, folder)

        try:
            report(work_under_fault)
            status = 0
        except SystemExit as end:
            print(end.code, file=sys.stderr)
            status = 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def outputs(work: Work, folder: Path) -> dict[str, bytes]:
    """Every file of the outputs that are there by its path, timings apart."""
    out, contents = folder / "out", {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and name.partition("/")[0] in work.outputs and not name.endswith("speed.json"):
            contents[name] = path.read_bytes()
    return contents


def prepare(ground: Path) -> None:
    """Inputs of all stages; each made by the stage before it."""
    _source(ground)
    run_folder = ground / "made"
    run_folder.mkdir()

    def models() -> None:
        tiny.base(ground / "base")
        tiny.encoder(ground / "encoder")
        (ground / "wheels").mkdir()
        (ground / "sha256").write_text(wheel(ground / "wheels", "tiny_base", ground / "base"))

    first = Work(lambda *_: models(), ())
    ends = [run(first, ground, run_folder)]
    for name in ("scrape", "label", "split", "format", "train", "generate"):
        ends.append(run(WORKS[name], ground, run_folder))
        for output in (run_folder / "out").iterdir():
            output.rename(ground / output.name)
    for end in ends:
        if end.status:
            raise RuntimeError(end.output)
