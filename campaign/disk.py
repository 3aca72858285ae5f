"""Disks that fill up or take nothing, inputs that go away, clocks that jump: a clear error, outputs old or new, never mixed."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign import injected, works
from campaign.figures import Found
from campaign.kills import left_over, mixed, serving, stale

POINTS = 10


class Trial:
    """Faults against one stage.

    Args:
        calm: outputs of an undisturbed run.
        changes: how often it changed something on disk.
        room: bytes that it left there, scratch included.
    """

    def __init__(self, found: Found, name: str, ground: Path, folder: Path):
        self.found, self.name, self.work, self.ground, self.folder = found, name, works.WORKS[name], ground, folder
        end = works.run(self.work, ground, folder / "calm", injected.count(folder / "calm"))
        found.expect(end.status == 0, f"{name}: an undisturbed run fails: {end.said[-500:]}")
        self.calm = works.outputs(self.work, folder / "calm")
        self.changes = len((folder / "calm.changes").read_text().splitlines())
        self.room = sum(path.stat().st_size for path in (folder / "calm").rglob("*") if path.is_file())
        self.ends: Counter = Counter()

    def fails(
        self, what: str, here: Path, ground: Path, fault: Callable[[], None] | None = None, old: dict | None = None
    ) -> None:
        """One run under a fault: it must end clearly, and its outputs must be old or new."""
        old = stale(self.calm, here / "out") if old is None else old
        end = works.run(self.work, ground, here, fault)
        self.ends[what, end.status] += 1
        self.found.expect(end.clear, f"{self.name}, {what}: unclear end {end.status}: {end.said[-700:]}")
        there = works.outputs(self.work, here)
        torn = mixed(self.work, there, old, self.calm)
        gone = sorted({*old} - {*there}) if end.status else []
        self.found.expect(not torn and not gone, f"{self.name}, {what}: torn {torn}, gone {gone}")
        left = [name for name in left_over(here) if name.startswith("out/")]
        self.found.expect(not left, f"{self.name}, {what}: left over {left}")

    def heals(self, what: str, here: Path) -> None:
        """The rerun, the fault gone."""
        end = works.run(self.work, self.ground, here)
        whole = end.status == 0 and works.outputs(self.work, here) == self.calm
        self.found.expect(whole, f"{self.name}, {what}: the rerun ends with {end.status}, {end.said[-500:]}")

    def failed(self, what: str) -> tuple[int, int]:
        """How many runs failed, of how many."""
        these = {status: count for (kind, status), count in self.ends.items() if kind == what}
        return sum(count for status, count in these.items() if status), sum(these.values())


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
        here = trial.folder / f"full{at}"
        trial.fails("no room", here, trial.ground, injected.full(here, at))
        trial.heals("no room", here)
        shutil.rmtree(here)


def really_full(trial: Trial) -> bool:
    for i in range(POINTS):
        here = trial.folder / f"small{i}"
        with small_disk(here, 1 << 30) as mounted:
            if not mounted:
                return False
            old = stale(trial.calm, here / "out")
            used = sum(-(-path.stat().st_size // 4096) for path in here.rglob("*") if path.is_file()) * 4096
            remount(here, f"size={used + round(trial.room * i / POINTS / 4096) * 4096 + 4096}")
            trial.fails("small disk", here, trial.ground, old=old)
            remount(here, f"size={1 << 30}")
            trial.heals("small disk", here)
    return True


def read_only(trial: Trial) -> bool:
    here = trial.folder / "readonly"
    with small_disk(here, 1 << 30) as mounted:
        if not mounted:
            return False
        old = stale(trial.calm, here / "out")
        (here / "tmp").mkdir()
        remount(here, "ro")
        trial.fails("read-only", here, trial.ground, old=old)
        remount(here, "rw")
        trial.heals("read-only", here)
    return True


def vanished(trial: Trial) -> None:
    """The inputs are gone from a change on, or from the start."""
    for at in [0, *spread(4, trial.changes)]:
        here, ground = trial.folder / f"gone{at}", trial.folder / f"ground{at}"
        shutil.copytree(trial.ground, ground)
        if at:

            def act(number: int, _: str, at: int = at, ground: Path = ground) -> None:
                if number == at:
                    os.rename(ground, ground.with_name(f"{ground.name}.gone"))

            trial.fails("input gone", here, ground, lambda here=here, act=act: injected.watch(here, act))
        else:
            for path in ground.iterdir():
                if path.name not in ("address", "sha256"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            trial.fails("input gone", here, ground)
        trial.heals("input gone", here)


def clock(trial: Trial) -> None:
    here = trial.folder / "clock"
    end = works.run(trial.work, trial.ground, here, injected.jumping_clock)
    same = end.status == 0 and works.outputs(trial.work, here) == trial.calm
    trial.found.expect(same, f"{trial.name} with a clock that jumps: {end.status}, {end.said[-500:]}")


def campaign(work_folder: Path, ground: Path, chosen: list[str]) -> Found:
    found, totals, mounted = Found(), Counter(), True
    for name in chosen:
        folder = work_folder / name.replace(" ", "_")
        folder.mkdir(parents=True)
        server = serving(ground) if "web" in name else None
        trial = Trial(found, name, ground, folder)
        injected_full(trial)
        mounted = really_full(trial) and read_only(trial)
        vanished(trial)
        clock(trial)
        for what in ("no room", "small disk", "read-only", "input gone"):
            for key, value in zip(("failed", "runs"), trial.failed(what), strict=True):
                totals[what, key] += value
        if server:
            server.close()
        shutil.rmtree(folder)
    problems = len(found.problems)
    of = f"{len(chosen)} stages" if len(chosen) > 1 else chosen[0]
    for what, how in (
        ("no room", f"ENOSPC from one of {POINTS} changes on disk on"),
        ("small disk", f"{POINTS} sizes of a file system too small" if mounted else "not run: may not mount"),
        ("read-only", "a read-only file system" if mounted else "not run: may not mount"),
        ("input gone", "the inputs taken away before or during the run"),
    ):
        failed, runs = totals[what, "failed"], totals[what, "runs"]
        figure = f"{runs} runs, {failed} of them failed with a clear error; {problems} problems in all"
        found.line(f"{what}: a clear error, old outputs whole, a rerun ends in the same bytes", f"{of}: {how}", figure)
    found.line("a clock that jumps changes no byte", f"{of}: `time.time` leaps by years at each look", f"{len(chosen)} runs")
    return found
