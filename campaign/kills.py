"""Runs killed at points spread over them, by time and at changes on disk, and run again."""

import shutil
from collections import Counter
from pathlib import Path

from campaign import injected, works
from campaign.figures import Found
from tests.server import Answer, Server

POINTS = 20  # half of them by time


def stale(calm: dict[str, bytes], out: Path) -> dict[str, bytes]:
    """Outputs of an earlier run with other content: each file of the calm run, with a line more."""
    old = {name: data + b"old\n" for name, data in calm.items()}
    for name, data in old.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    return old


def mixed(work: works.Work, there: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    """Outputs that are neither wholly old, nor wholly new, nor absent."""

    def of(files: dict[str, bytes], output: str) -> dict[str, bytes]:
        return {name: data for name, data in files.items() if name.partition("/")[0] == output}

    return [o for o in work.outputs if (found := of(there, o)) and found not in (of(old, o), of(new, o))]


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


def campaign(work_folder: Path, ground: Path, chosen: list[str], points: int = POINTS) -> Found:
    found = Found()
    for name in chosen:
        folder = work_folder / name.replace(" ", "_")
        folder.mkdir(parents=True)
        server = serving(ground) if "web" in name else None
        one(found, name, works.WORKS[name], ground, folder, points, server)
        if server:
            server.close()
    return found


def serving(ground: Path) -> Server:
    server = Server()
    for i in range(12):
        server.answers[f"/{i:02}.jsonl"] = [Answer(b'{"question": "q %d", "answer": "a"}\n' % i * 400, stall=0.01)]
    server.answers["/robots.txt"] = [Answer(b"", 404)]
    (ground / "address").write_text(server.address)
    return server


def one(found: Found, name: str, work: works.Work, ground: Path, folder: Path, points: int, server: Server | None) -> None:
    """All kills of one stage."""
    calm_end = works.run(work, ground, folder / "calm", injected.count(folder / "calm"))
    if not found.expect(calm_end.status == 0, f"{name}: an undisturbed run fails: {calm_end.said[-500:]}"):
        return
    calm, changes = works.outputs(work, folder / "calm"), len((folder / "calm.changes").read_text().splitlines())
    seconds = works.run(work, ground, folder / "timed").seconds
    times = [("time", seconds * (i + 0.5) / (points // 2)) for i in range(points // 2)]
    places = [("change", round(changes * (i + 0.5) / (points - len(times))) or 1) for i in range(points - len(times))]
    hit, whole, again, requests = 0, 0, Counter(), []
    for turn, (kind, at) in enumerate(times + places):
        here, about = folder / f"{turn:02}", f"{name} killed at {kind} {at:.3g}"
        old = stale(calm, here / "out") if turn % 2 else {}
        asked = len(server.paths()) if server else 0
        how = {"after": at} if kind == "time" else {"fault": injected.kill(here, at)}
        first = works.run(work, ground, here, **how)
        hit += first.status == -9
        found.expect(first.status in (-9, 0), f"{about}: ended with {first.status}: {first.said[-500:]}")
        if torn := mixed(work, works.outputs(work, here), old, calm):
            found.expect(False, f"{about}: torn outputs {torn}")
        ended = first.status == 0 or works.outputs(work, here) == calm
        second = works.run(work, ground, here)
        found.expect(second.status == 0, f"{about}: the rerun fails: {second.said[-500:]}")
        whole += found.expect(works.outputs(work, here) == calm, f"{about}: other bytes than an undisturbed run")
        found.expect(not left_over(here), f"{about}: left over {left_over(here)}")
        if work.counted and not ended:
            done = lines(here)
            again["done"] += done
            again["wanted"] += lines(folder / "calm")
            found.expect(
                done <= lines(folder / "calm") + 1, f"{about}: {done} units of work, {lines(folder / 'calm')} expected"
            )
        if server:
            requests.append(len(server.paths()) - asked)
        shutil.rmtree(here)
    units = ""
    if work.counted:
        units = f"; {again['done']} units of work done where {again['wanted']} were needed"
    if server:
        found.expect(max(requests) <= 12 + 1, f"{name}: {max(requests)} requests for 12 files")
        units = f"; {sum(requests)} requests for {12 * len(requests)} files"
    found.line(
        f"{name}: killed anywhere, a rerun ends in the same bytes and leaves nothing",
        f"SIGKILL at {points} points, {len(places)} of them spread over {changes} changes on disk, the others over time",
        f"{hit} died on the way, {whole} of {points} reruns end in the same bytes{units}",
    )


def lines(folder: Path) -> int:
    return len((folder / "notes.txt").read_text().splitlines())
