"""`dvc repro` itself killed on its way and run again; two at once; both on the whole pipeline with a tiny model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from campaign.figures import Found
from tests import repository
from tests.repository import Repository


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every output and dvc.lock, timings apart."""
    places = [folder / "models", folder / "metrics", folder / "data", folder / "dvc.lock"]
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()]
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(files) if "speed" not in f.parts}


def start(here: Repository) -> subprocess.Popen:
    """`dvc repro` in a group of processes of its own; what it says goes to a file."""
    log = open(here.tools / "said.txt", "a")  # noqa: SIM115 (it lives as long as the process)
    command = [sys.executable, "-m", "dvc", "repro"]
    return subprocess.Popen(
        command, cwd=here.folder, env=here.environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def fresh(done: Path, folder: Path) -> Repository:
    """The repository before its first run."""
    shutil.copytree(done / "repo", folder / "repo", symlinks=True)
    (folder / "tools").mkdir()
    shutil.copytree(done / "tools" / "wheels", folder / "tools" / "wheels")
    return Repository(folder / "repo", folder / "tools")


def killed(found: Found, done: Path, folder: Path, calm: dict[str, bytes], seconds: float, alone: bool) -> None:
    """One run killed: `dvc` alone, whose stage then goes on, or all of its processes."""
    here, what = fresh(done, folder), f"dvc repro killed after {seconds:.1f} s, {'dvc alone' if alone else 'with its stage'}"
    run = start(here)
    time.sleep(seconds)
    (os.kill if alone else os.killpg)(run.pid, signal.SIGKILL)
    run.wait()
    for _ in range(20):  # a stage that is still running is in the way of its rerun, and says so
        again = start(here)
        if not again.wait(300):
            break
        time.sleep(1)
    said = (here.tools / "said.txt").read_text()
    found.expect(not again.returncode, f"{what}: the rerun fails: {said[-600:]}")
    there = snapshot(here.folder)
    differing = sorted(name for name in {*there} | {*calm} if there.get(name) != calm.get(name))
    found.expect(not differing, f"{what}: these differ from an undisturbed run: {differing[:5]}")
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status"], cwd=here.folder, env=here.environment(), capture_output=True, text=True
    )
    found.expect("up to date" in status.stdout, f"{what}: dvc status says {status.stdout[-300:]}")
    left = [path.name for path in here.folder.rglob("*.partial") if ".dvc" not in path.parts]
    found.expect(not left, f"{what}: left over {left}")


def two_at_once(found: Found, done: Path, folder: Path, calm: dict[str, bytes]) -> None:
    here = fresh(done, folder)
    runs = [start(here), start(here)]
    ends = [run.wait(500) for run in runs]
    said = (here.tools / "said.txt").read_text()
    found.expect(0 in ends, f"two dvc repro at once: both fail: {said[-600:]}")
    if any(ends):
        named = "lock" in said or "is busy" in said
        found.expect(named and "Traceback" not in said, f"two dvc repro at once: the second says {said[-600:]}")
    found.expect(snapshot(here.folder) == calm, "two dvc repro at once: other outputs than one alone")


def campaign(folder: Path, points: int) -> Found:
    found = Found()
    done = folder / "done"
    done.mkdir()
    repository.make(done / "repo", done / "tools")
    calm_folder = folder / "calm"
    here, begun = fresh(done, calm_folder), time.monotonic()
    found.expect(not start(here).wait(500), f"dvc repro fails: {(here.tools / 'said.txt').read_text()[-600:]}")
    seconds, calm = time.monotonic() - begun, snapshot(here.folder)
    for turn in range(points):
        killed(found, done, folder / f"{turn}", calm, seconds * (turn + 0.5) / points, alone=bool(turn % 2))
        shutil.rmtree(folder / f"{turn}")
    problems = len(found.problems)
    how = f"SIGKILL at {points} points over a run of {seconds:.0f} s, every second time of dvc alone"
    found.line("`dvc repro` killed: rerun, same outputs and lock file", how, f"{points} runs, {problems} problems")
    two_at_once(found, done, folder / "two", calm)
    how = "started together; outputs compared with one alone"
    found.line("two `dvc repro` at once break nothing", how, f"{len(found.problems) - problems} problems")
    return found
