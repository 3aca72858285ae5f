"""Many rows through every stage, from scrape to judge: memory and descriptors against a tenth of the rows.

The judge is a fake one behind a real server, the model a tiny one tuned on 800 rows; a hundredth of the rows is answered
and judged.
"""

import os
import random
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import stages.format
import stages.generate
import stages.judge
import stages.label
import stages.scrape
import stages.split
import stages.train
from campaign import works
from campaign.figures import Findings
from campaign.works import Work
from stages.common.files import write_rows
from tests import tiny
from tests.data_helpers import format_params, label_params, scrape_params, split_params
from tests.servers.loopback import Loopback, honest

STAGES = ("scrape", "label", "split", "format", "train", "generate", "judge")
ALLOWED = 64 << 20  # bytes that a data stage may grow by from a tenth of the rows to all
DESCRIPTORS = 8  # that any stage may hold more


def _write(path: Path, count: int) -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(20_000)]
    text = lambda size: " ".join(draw.choices(words, k=size))  # noqa: E731
    write_rows(path, ({"question": text(6), "answer": text(8)} for _ in range(count)))


def _stage(name: str, folder: Path, address: str) -> None:
    inputs = {"formatted": folder / "formatted", "base": folder / "base"}
    if name == "scrape":
        stages.scrape.main(
            "long", scrape_params(files="*.jsonl", max_bytes=1 << 40), stages.scrape.Paths(folder / "source", folder / "raw")
        )
    elif name == "label":
        files = {"labeled": folder / "labeled.jsonl", "dropped": folder / "dropped.jsonl", "metrics": folder / "label.json"}
        stages.label.main("long", label_params(), stages.label.Paths(folder / "raw", **files))
    elif name == "split":
        shares = split_params(train=0.98, validation=0.01, test=0.01, near_duplicate=0.7)
        stages.split.main(
            "long", shares, stages.split.Paths(folder / "labeled.jsonl", folder / "splits", folder / "split.json")
        )
    elif name == "format":
        params = format_params(shard_rows=1000)
        stages.format.main(
            "long",
            params,
            stages.format.Paths(folder / "splits", folder / "formatted", folder / "format.json", folder / "lengths.csv"),
        )
    elif name == "train":
        files = {"table": folder / "results.csv", "metrics": folder / "train.json", "speed": folder / "speed.json"}
        params = tiny.training(rows=[0, 800], epochs=1, evaluations=1)
        stages.train.main(
            "model", params, stages.train.Paths(rows=folder / "formatted" / "train", **inputs, out=folder / "model", **files)
        )
    elif name == "generate":
        models = {"model": folder / "model", "root": folder / "base"}
        options = tiny.generation(batch_rows=64, max_new_tokens=6)
        stages.generate.main(
            "model",
            options,
            stages.generate.Paths(**inputs, **models, out=folder / "answers.jsonl", speed=folder / "speed.json"),
        )
    else:
        server = {"kind": "ollama", "model": "llama3", "base_url": address, "prompt": "score_100.v1", "pairwise": ""}
        server |= {"controls": 20, "concurrency": 8, "timeout_seconds": 60.0, "attempts": 2, "max_tokens": 40}
        server |= {"warn_below": 0.5, "num_ctx": 4096}
        names = {"verdicts": "verdicts.jsonl", "metrics": "scores.json", "details": "details.json", "table": "scores.csv"}
        names |= {"model": "model", "root": "base", "encoder": "encoder", "marks": "marks", "speed": "speed.json"}
        files = {key: folder / name for key, name in names.items()}
        params = tiny.judging(judges={"fake": server})
        stages.judge.main("model", params, stages.judge.Paths(answers=folder / "answers.jsonl", **inputs, **files))


@dataclass
class Watched:
    """The most descriptors that a process held; looks every 5 ms. Its peak of memory the kernel keeps."""

    folder: Path
    descriptors: int = 0

    def look(self, over: threading.Event) -> None:
        while not over.wait(0.005):
            try:
                place = Path("/proc") / (self.folder / "pid").read_text()
                self.descriptors = max(self.descriptors, len(os.listdir(place / "fd")))
            except (OSError, ValueError, IndexError):  # not begun, or gone
                continue


def _through(findings: Findings, folder: Path, rows: int, address: str) -> dict[str, tuple[int, int, float]]:
    """Peak bytes, descriptors and seconds of each stage."""
    _write(folder / "source" / "rows.jsonl", rows)
    peaks = {}

    def models(*_) -> None:
        tiny.base(folder / "base")
        tiny.encoder(folder / "encoder")

    works.run(Work(models, ()), folder, folder / "run")
    for name in STAGES:
        watched, over = Watched(folder), threading.Event()

        def begin(*_, name: str = name) -> None:
            (folder / "pid").write_text(str(os.getpid()))
            _stage(name, folder, address)
            status = Path("/proc/self/status").read_text()
            (folder / "peak").write_text(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

        thread = threading.Thread(target=watched.look, args=(over,))
        thread.start()
        start = time.monotonic()
        end = works.run(Work(begin, ()), folder, folder / "run")
        over.set()
        thread.join()
        (folder / "pid").unlink(missing_ok=True)
        findings.expect(end.status == 0, f"{name} of {rows} rows fails: {end.output[-500:]}")
        peaks[name] = int((folder / "peak").read_text()) << 10, watched.descriptors, time.monotonic() - start
    return peaks


def campaign(folder: Path, rows: int) -> Findings:
    os.environ["NO_PROXY"] = "127.0.0.1"
    findings, server = Findings(), Loopback(honest)
    server.check = lambda *_: None
    few, many = (_through(findings, folder / str(count), count, server.address) for count in (rows // 10, rows))
    server.close()
    for name in STAGES:
        grown, more = many[name][0] - few[name][0], many[name][1] - few[name][1]
        if name in ("scrape", "label", "split", "format"):
            findings.expect(grown <= ALLOWED, f"{name}: {grown >> 20} MiB more at {rows} rows than at {rows // 10}")
        findings.expect(more <= DESCRIPTORS, f"{name}: {more} descriptors more at {rows} rows than at {rows // 10}")
        findings.line(
            f"{name}: memory and descriptors do not grow with rows"
            if name in STAGES[:4]
            else f"{name}: descriptors do not grow",
            f"{rows // 10} and {rows} rows, peaks of the process of its own",
            f"{few[name][0] >> 20} and {many[name][0] >> 20} MiB; {few[name][1]} and {many[name][1]} descriptors; "
            f"{many[name][2]:.0f} s",
        )
    return findings
