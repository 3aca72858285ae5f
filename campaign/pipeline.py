"""`dvc repro` itself killed on its way and run again; two at once; both on the whole pipeline with a tiny model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from campaign.figures import Findings
from tests import repository
from tests.repository import Repository


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every output and dvc.lock, timings apart."""
    places = [folder / "models", folder / "metrics", folder / "data", folder / "dvc.lock"]
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()]
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(files) if "speed" not in f.parts}


def start(repo: Repository) -> subprocess.Popen:
    """`dvc repro` in a group of processes of its own; what it says goes to a file."""
    log = open(repo.tools / "output.txt", "a")  # noqa: SIM115 (it lives as long as the process)
    command = [sys.executable, "-m", "dvc", "repro"]
    return subprocess.Popen(
        command, cwd=repo.folder, env=repo.environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def fresh(finished: Path, folder: Path) -> Repository:
    """The repository before its first run."""
    shutil.copytree(finished / "repo", folder / "repo", symlinks=True)
    (folder / "tools").mkdir()
    shutil.copytree(finished / "tools" / "wheels", folder / "tools" / "wheels")
    return Repository(folder / "repo", folder / "tools")


def killed(findings: Findings, finished: Path, folder: Path, calm: dict[str, bytes], seconds: float, alone: bool) -> None:
    """One run killed: `dvc` alone, whose stage then goes on, or all of its processes."""
    repo, kill = (
        fresh(finished, folder),
        f"dvc repro killed after {seconds:.1f} s, {'dvc alone' if alone else 'with its stage'}",
    )
    run = start(repo)
    time.sleep(seconds)
    (os.kill if alone else os.killpg)(run.pid, signal.SIGKILL)
    run.wait()
    for _ in range(20):  # a stage that is still running is in the way of its rerun, and says so
        again = start(repo)
        if not again.wait(300):
            break
        time.sleep(1)
    output = (repo.tools / "output.txt").read_text()
    findings.expect(not again.returncode, f"{kill}: the rerun fails: {output[-600:]}")
    outputs = snapshot(repo.folder)
    differing = sorted(name for name in {*outputs} | {*calm} if outputs.get(name) != calm.get(name))
    findings.expect(not differing, f"{kill}: these differ from an undisturbed run: {differing[:5]}")
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status"], cwd=repo.folder, env=repo.environment(), capture_output=True, text=True
    )
    findings.expect("up to date" in status.stdout, f"{kill}: dvc status says {status.stdout[-300:]}")
    leftovers = [path.name for path in repo.folder.rglob("*.partial") if ".dvc" not in path.parts]
    findings.expect(not leftovers, f"{kill}: left over {leftovers}")


def two_at_once(findings: Findings, finished: Path, folder: Path, calm: dict[str, bytes]) -> None:
    repo = fresh(finished, folder)
    runs = [start(repo), start(repo)]
    ends = [run.wait(500) for run in runs]
    output = (repo.tools / "output.txt").read_text()
    findings.expect(0 in ends, f"two dvc repro at once: both fail: {output[-600:]}")
    if any(ends):
        named = "lock" in output or "is busy" in output
        findings.expect(named and "Traceback" not in output, f"two dvc repro at once: the second says {output[-600:]}")
    findings.expect(snapshot(repo.folder) == calm, "two dvc repro at once: other outputs than one alone")


def campaign(folder: Path, points: int) -> Findings:
    findings = Findings()
    finished = folder / "done"
    finished.mkdir()
    repository.make(finished / "repo", finished / "tools")
    calm_folder = folder / "calm"
    repo, begun = fresh(finished, calm_folder), time.monotonic()
    findings.expect(not start(repo).wait(500), f"dvc repro fails: {(repo.tools / 'output.txt').read_text()[-600:]}")
    seconds, calm = time.monotonic() - begun, snapshot(repo.folder)
    for turn in range(points):
        killed(findings, finished, folder / f"{turn}", calm, seconds * (turn + 0.5) / points, alone=bool(turn % 2))
        shutil.rmtree(folder / f"{turn}")
    problems = len(findings.problems)
    how = f"SIGKILL at {points} points over a run of {seconds:.0f} s, every second time of dvc alone"
    findings.line("`dvc repro` killed: rerun, same outputs and lock file", how, f"{points} runs, {problems} problems")
    two_at_once(findings, finished, folder / "two", calm)
    how = "started together; outputs compared with one alone"
    findings.line("two `dvc repro` at once break nothing", how, f"{len(findings.problems) - problems} problems")
    return findings
