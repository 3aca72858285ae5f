import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import format, label, scrape, split
from stages.common import spread
from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.files import read_rows, write_rows
from stages.common.params import read
from stages.common.spread import batched, mapped, pieces
from tests.imports import ROOT
from tests.tiny import contents

PARAMS = check(read(ROOT / "params.yaml"), ROOT / "params.yaml").datasets


@given(st.lists(st.text("aé\n", max_size=9)), st.integers(1, 40))
def test_pieces_hold_every_row_once_and_in_order(tmp_path_factory, texts, size):
    folder = tmp_path_factory.mktemp("rows")
    rows = [{"text": text} for text in texts]
    write_rows(folder / "a.jsonl", rows[::2])
    write_rows(folder / "b.jsonl", rows[1::2])
    files = [folder / "a.jsonl", folder / "b.jsonl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "PIECE", size)
        work = spread.OnPiece(lambda row: row["text"])
        in_pieces = [spread.pickle.loads(work(piece)["results"])[0] for piece in pieces(files)]
    assert sum(in_pieces, []) == texts[::2] + texts[1::2] == list(mapped(lambda row: row["text"], files))


def test_pieces_grow_rather_than_become_many(tmp_path, monkeypatch):
    write_rows(tmp_path / "a.jsonl", [{"n": 1}] * 100)
    monkeypatch.setattr(spread, "PIECE", 1)
    monkeypatch.setattr(spread, "PIECES", 10)
    assert len(pieces([tmp_path / "a.jsonl"])) == 10


def test_a_bad_line_is_named_by_its_number_in_the_file(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n{"n": 2}\n[]\n')
    work = spread.OnPiece(lambda row: row["n"])
    rows, error = spread.pickle.loads(work({"file": str(tmp_path / "a.jsonl"), "start": 5, "end": 30})["results"])
    assert rows == [2]
    assert error[0] == f"{tmp_path}/a.jsonl line 3"
    with pytest.raises(StageError, match="a.jsonl line 3"):
        list(mapped(lambda row: row, [tmp_path / "a.jsonl"]))


def test_batches():
    assert list(batched(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("AFFINAGE_RAY", "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StageError, match=r'no package ray[^$]*pip install "ray\[data\]"'):
        next(mapped(lambda row: row, [write(tmp_path / "a.jsonl", 1)]))


def write(path, count: int):
    write_rows(
        path, [{"id": f"f#{i}", "question": f"what is {i}?", "answer": f"{i} is {'so ' * (i % 7)}{i}"} for i in range(count)]
    )
    return path


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two workers on this machine."""
    pytest.importorskip("ray.data", reason='needs ray: pip install "ray[data]"')
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=node)
    started.add_node(num_cpus=1, object_store_memory=100 << 20)
    yield started.address
    ray.shutdown()
    started.shutdown()


def run_stages(dataset: str, out) -> dict[str, bytes]:
    """What label, split and format write."""
    params = PARAMS[dataset]
    with contextlib.suppress(FileExistsError):
        scrape.main(dataset, params.scrape, scrape.Paths(source=ROOT / params.source, out=out / "raw"))
    files = {name: out / "labeled" / f"{name}.json" for name in ("labeled", "dropped", "metrics")}
    label.main(dataset, params.label, label.Paths(raw=out / "raw", **files))
    splits, metrics = out / "splits", out / "metrics" / "split.json"
    split.main(dataset, params.split, split.Paths(labeled=files["labeled"], splits=splits, metrics=metrics))
    format.main(
        dataset,
        params.format,
        format.Paths(
            splits=splits,
            formatted=out / "formatted",
            metrics=out / "metrics" / "format.json",
            lengths=out / "metrics" / "lengths.csv",
        ),
    )
    return contents(*(out / name for name in ("labeled", "splits", "formatted", "metrics")))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["car_reviews", "invoices", "elements"])
def test_a_cluster_writes_the_same_bytes(cluster, dataset, tmp_path, monkeypatch):
    alone = run_stages(dataset, tmp_path / "alone")
    monkeypatch.setattr(spread, "PIECE", 30_000)
    monkeypatch.setenv("AFFINAGE_RAY", cluster)
    assert run_stages(dataset, tmp_path / "spread") == alone
    assert len(alone) > 10


class Dying:
    """Work that kills its worker once."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, row: dict) -> int:
        if row["id"] == "f#70" and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return int(row["id"].partition("#")[2])


@pytest.mark.slow
def test_the_rows_of_a_lost_worker_are_worked_on_again(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(spread, "PIECE", 500)
    monkeypatch.setenv("AFFINAGE_RAY", cluster)
    assert list(mapped(Dying(tmp_path / "died"), [write(tmp_path / "a.jsonl", 100)])) == list(range(100))
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_an_error_of_a_worker_is_reported_as_it_is_here(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(spread, "PIECE", 500)
    monkeypatch.setenv("AFFINAGE_RAY", cluster)
    with open(write(tmp_path / "a.jsonl", 50), "a") as file:
        file.write("{\n")
    rows = mapped(Dying(tmp_path), [tmp_path / "a.jsonl"])
    assert [next(rows) for _ in range(50)] == list(range(50))
    with pytest.raises(StageError, match=r"a.jsonl line 51\n[^$]*one JSON object a line"):
        next(rows)


@pytest.mark.slow
def test_a_killed_stage_leaves_nothing_and_ends_in_the_same_bytes_when_run_again(cluster, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    source = write(tmp_path / "raw" / "local" / "a.jsonl", 60_000)
    rows = ({**row, "instruction": row["question"], "response": row["answer"]} for row in read_rows(source))
    write_rows(tmp_path / "raw" / "local" / "b.jsonl", rows)
    source.unlink()
    outs = [f"--{name}={tmp_path}/out/{name}" for name in ("labeled", "dropped", "metrics")]
    command = [sys.executable, "-m", "stages.label", "medical_qa", f"--raw={tmp_path}/raw", *outs]
    options = {
        "cwd": tmp_path,
        "env": os.environ | {"PYTHONPATH": str(ROOT), "AFFINAGE_RAY": cluster},
        "stderr": subprocess.DEVNULL,
    }
    partial = tmp_path / "out" / ".labeled.partial"
    running = subprocess.Popen(command, **options)
    while running.poll() is None and not (partial.exists() and partial.stat().st_size):
        time.sleep(0.01)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {".labeled.partial", ".dropped.partial"}
    subprocess.run(command, check=True, **options)
    written = contents(tmp_path / "out")
    assert written.keys() == {"out/labeled", "out/dropped", "out/metrics"}
    assert json.loads(written["out/metrics"])["kept"] == 60_000
    options["env"].pop("AFFINAGE_RAY")
    subprocess.run(command, check=True, **options)
    assert contents(tmp_path / "out") == written
