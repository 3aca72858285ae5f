"""Disks that fill up or take nothing, inputs that go away, clocks that jump: a clear error, outputs old or new, never mixed."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign import injected, works
from campaign.figures import Findings
from campaign.kills import left_over, mixed, serving, stale

POINTS = 10


class Trial:
    """Faults against one stage.

    Args:
        calm: outputs of an undisturbed run.
        changes: how often it changed something on disk.
        room: bytes that it left there, scratch included.
    """

    def __init__(self, findings: Findings, name: str, ground: Path, folder: Path):
        self.findings, self.name, self.work, self.ground, self.folder = findings, name, works.WORKS[name], ground, folder
        end = works.run(self.work, ground, folder / "calm", injected.count(folder / "calm"))
        findings.expect(end.status == 0, f"{name}: an undisturbed run fails: {end.output[-500:]}")
        self.calm = works.outputs(self.work, folder / "calm")
        self.changes = len((folder / "calm.changes").read_text().splitlines())
        self.room = sum(path.stat().st_size for path in (folder / "calm").rglob("*") if path.is_file())
        self.ends: Counter = Counter()

    def fails(
        self, fault_name: str, run_folder: Path, ground: Path, fault: Callable[[], None] | None = None, old: dict | None = None
    ) -> None:
        """One run under a fault: it must end clearly, and its outputs must be old or new."""
        old = stale(self.calm, run_folder / "out") if old is None else old
        end = works.run(self.work, ground, run_folder, fault)
        self.ends[fault_name, end.status] += 1
        self.findings.expect(end.clear, f"{self.name}, {fault_name}: unclear end {end.status}: {end.output[-700:]}")
        written = works.outputs(self.work, run_folder)
        torn = mixed(self.work, written, old, self.calm)
        missing = sorted({*old} - {*written}) if end.status else []
        self.findings.expect(not torn and not missing, f"{self.name}, {fault_name}: torn {torn}, gone {missing}")
        leftovers = [name for name in left_over(run_folder) if name.startswith("out/")]
        self.findings.expect(not leftovers, f"{self.name}, {fault_name}: left over {leftovers}")

    def heals(self, fault_name: str, run_folder: Path, fault: Callable[[], None] | None = None) -> None:
        """A run that must end in the bytes of the undisturbed one: the fault is gone, or harmless."""
        end = works.run(self.work, self.ground, run_folder, fault)
        healed = end.status == 0 and works.outputs(self.work, run_folder) == self.calm
        self.findings.expect(healed, f"{self.name}, {fault_name}: the run ends with {end.status}, {end.output[-500:]}")

    def failed(self, fault_name: str) -> tuple[int, int]:
        """How many runs failed, of how many."""
        runs_by_status = {status: count for (kind, status), count in self.ends.items() if kind == fault_name}
        return sum(count for status, count in runs_by_status.items() if status), sum(runs_by_status.values())


def spread(count: int, most: int) -> list[int]:
    return sorted({max(1, round(most * (i + 0.5) / count)) for i in range(count)})


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A file system of so many bytes; False where this user may not mount one."""
    folder.mkdir(parents=True)
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    ).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def injected_full(trial: Trial) -> None:
    for at in spread(POINTS, trial.changes):
        run_folder = trial.folder / f"full{at}"
        trial.fails("no room", run_folder, trial.ground, injected.full(run_folder, at))
        trial.heals("no room", run_folder)
        shutil.rmtree(run_folder)


def really_full(trial: Trial) -> bool:
    for i in range(POINTS):
        run_folder = trial.folder / f"small{i}"
        with small_disk(run_folder, 1 << 30) as mounted:
            if not mounted:
                return False
            old = stale(trial.calm, run_folder / "out")
            used = sum(-(-path.stat().st_size // 4096) for path in run_folder.rglob("*") if path.is_file()) * 4096
            remount(run_folder, f"size={used + round(trial.room * i / POINTS / 4096) * 4096 + 4096}")
            trial.fails("small disk", run_folder, trial.ground, old=old)
            remount(run_folder, f"size={1 << 30}")
            trial.heals("small disk", run_folder)
    return True


def read_only(trial: Trial) -> bool:
    run_folder = trial.folder / "readonly"
    with small_disk(run_folder, 1 << 30) as mounted:
        if not mounted:
            return False
        old = stale(trial.calm, run_folder / "out")
        (run_folder / "tmp").mkdir()
        remount(run_folder, "ro")
        trial.fails("read-only", run_folder, trial.ground, old=old)
        remount(run_folder, "rw")
        trial.heals("read-only", run_folder)
    return True


def vanished(trial: Trial) -> None:
    """The inputs are gone from a change on, or from the start."""
    for at in [0, *spread(4, trial.changes)]:
        run_folder, ground = trial.folder / f"gone{at}", trial.folder / f"ground{at}"
        shutil.copytree(trial.ground, ground)
        if at:

            def act(number: int, _: str, at: int = at, ground: Path = ground) -> None:
                if number == at:
                    os.rename(ground, ground.with_name(f"{ground.name}.gone"))

            trial.fails(
                "input gone", run_folder, ground, lambda run_folder=run_folder, act=act: injected.watch(run_folder, act)
            )
        else:
            for path in ground.iterdir():
                if path.name not in ("address", "sha256"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            trial.fails("input gone", run_folder, ground)
        trial.heals("input gone", run_folder)


def campaign(work_folder: Path, ground: Path, chosen: list[str]) -> Findings:
    findings, totals, mounted = Findings(), Counter(), True
    for name in chosen:
        folder = work_folder / name.replace(" ", "_")
        folder.mkdir(parents=True)
        server = serving(ground) if "web" in name else None
        trial = Trial(findings, name, ground, folder)
        injected_full(trial)
        mounted = really_full(trial) and read_only(trial)
        vanished(trial)
        trial.heals("a clock that jumps", folder / "clock", injected.jumping_clock)
        for fault_name in ("no room", "small disk", "read-only", "input gone"):
            for key, value in zip(("failed", "runs"), trial.failed(fault_name), strict=True):
                totals[fault_name, key] += value
        if server:
            server.close()
        shutil.rmtree(folder)
    problems = len(findings.problems)
    of = f"{len(chosen)} stages" if len(chosen) > 1 else chosen[0]
    for fault_name, how in (
        ("no room", f"ENOSPC from one of {POINTS} changes on disk on"),
        ("small disk", f"{POINTS} sizes of a file system too small" if mounted else "not run: may not mount"),
        ("read-only", "a read-only file system" if mounted else "not run: may not mount"),
        ("input gone", "the inputs taken away before or during the run"),
    ):
        failed, runs = totals[fault_name, "failed"], totals[fault_name, "runs"]
        figure = f"{runs} runs, {failed} of them failed with a clear error; {problems} problems in all"
        findings.line(f"{fault_name}: a clear error, old outputs whole, a rerun ends in the same bytes", f"{of}: {how}", figure)
    findings.line("a clock that jumps changes no byte", f"{of}: `time.time` leaps by years at each look", f"{len(chosen)} runs")
    return findings
