"""Runs killed at points spread over them, by time and at changes on disk, and run again."""

import shutil
from collections import Counter
from pathlib import Path

from campaign import injected, works
from campaign.figures import Findings
from tests.server import Answer, Server

POINTS = 20  # half of them by time


def stale(calm: dict[str, bytes], out: Path) -> dict[str, bytes]:
    """Outputs of an earlier run with other content: each file of the calm run, with a line more."""
    old = {name: data + b"old\n" for name, data in calm.items()}
    for name, data in old.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    return old


def mixed(work: works.Work, written: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    """Outputs that are neither wholly old, nor wholly new, nor absent."""

    def of(files: dict[str, bytes], output: str) -> dict[str, bytes]:
        return {name: data for name, data in files.items() if name.partition("/")[0] == output}

    return [
        output for output in work.outputs if (files := of(written, output)) and files not in (of(old, output), of(new, output))
    ]


def left_over(folder: Path) -> list[str]:
    """Unfinished files beside the outputs and in scratch, and temporary ones."""
    unfinished = [
        path
        for part in ("out", "scratch")
        for path in (folder / part).rglob("*")
        if ".partial" in path.name or path.name.startswith(".")
    ]
    temporary = [*(folder / "tmp").glob("*"), *(folder / "scratch" / "temporary").glob("*")]
    return [path.relative_to(folder).as_posix() for path in unfinished + temporary]


def campaign(work_folder: Path, ground: Path, chosen: list[str], points: int = POINTS) -> Findings:
    findings = Findings()
    for name in chosen:
        folder = work_folder / name.replace(" ", "_")
        folder.mkdir(parents=True)
        server = serving(ground) if "web" in name else None
        kill_one_stage(findings, name, works.WORKS[name], ground, folder, points, server)
        if server:
            server.close()
    return findings


def serving(ground: Path) -> Server:
    server = Server()
    for i in range(12):
        server.answers[f"/{i:02}.jsonl"] = [Answer(b'{"question": "q %d", "answer": "a"}\n' % i * 400, stall=0.01)]
    server.answers["/robots.txt"] = [Answer(b"", 404)]
    (ground / "address").write_text(server.address)
    return server


def kill_one_stage(
    findings: Findings, name: str, work: works.Work, ground: Path, folder: Path, points: int, server: Server | None
) -> None:
    """All kills of one stage."""
    calm_end = works.run(work, ground, folder / "calm", injected.count(folder / "calm"))
    if not findings.expect(calm_end.status == 0, f"{name}: an undisturbed run fails: {calm_end.output[-500:]}"):
        return
    calm, changes = works.outputs(work, folder / "calm"), len((folder / "calm.changes").read_text().splitlines())
    seconds = works.run(work, ground, folder / "timed").seconds
    times = [("time", seconds * (i + 0.5) / (points // 2)) for i in range(points // 2)]
    places = [("change", round(changes * (i + 0.5) / (points - len(times))) or 1) for i in range(points - len(times))]
    hit, same_bytes, again, requests = 0, 0, Counter(), []
    for turn, (kind, at) in enumerate(times + places):
        run_folder, about = folder / f"{turn:02}", f"{name} killed at {kind} {at:.3g}"
        old = stale(calm, run_folder / "out") if turn % 2 else {}
        requests_before = len(server.paths()) if server else 0
        how = {"after": at} if kind == "time" else {"fault": injected.kill(run_folder, at)}
        first = works.run(work, ground, run_folder, **how)
        hit += first.status == -9
        findings.expect(first.status in (-9, 0), f"{about}: ended with {first.status}: {first.output[-500:]}")
        if torn := mixed(work, works.outputs(work, run_folder), old, calm):
            findings.expect(False, f"{about}: torn outputs {torn}")
        ended = first.status == 0 or works.outputs(work, run_folder) == calm
        second = works.run(work, ground, run_folder)
        findings.expect(second.status == 0, f"{about}: the rerun fails: {second.output[-500:]}")
        same_bytes += findings.expect(works.outputs(work, run_folder) == calm, f"{about}: other bytes than an undisturbed run")
        findings.expect(not left_over(run_folder), f"{about}: left over {left_over(run_folder)}")
        if work.counted and not ended:
            units, needed = lines(run_folder), lines(folder / "calm")
            again["done"] += units
            again["needed"] += needed
            findings.expect(units <= needed + 1, f"{about}: {units} units of work, {needed} expected")
        if server:
            requests.append(len(server.paths()) - requests_before)
        shutil.rmtree(run_folder)
    repeated = ""
    if work.counted:
        repeated = f"; {again['done']} units of work done where {again['needed']} were needed"
    if server:
        findings.expect(max(requests) <= 12 + 1, f"{name}: {max(requests)} requests for 12 files")
        repeated = f"; {sum(requests)} requests for {12 * len(requests)} files"
    findings.line(
        f"{name}: killed anywhere, a rerun ends in the same bytes and leaves nothing",
        f"SIGKILL at {points} points, {len(places)} of them spread over {changes} changes on disk, the others over time",
        f"{hit} died on the way, {same_bytes} of {points} reruns end in the same bytes{repeated}",
    )


def lines(folder: Path) -> int:
    return len((folder / "notes.txt").read_text().splitlines())
