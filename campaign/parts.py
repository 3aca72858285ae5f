"""The parts of the campaign, by name."""

from argparse import Namespace
from pathlib import Path

from campaign import disk, fuzz, injection, kills, long_run, pipeline, suites, works
from campaign.figures import Findings


def _grounded(part):
    """A part that needs every stage's inputs."""

    def run(folder: Path, options: Namespace) -> Findings:
        (folder / "ground").mkdir()
        works.prepare(folder / "ground")
        return part(folder, folder / "ground", options)

    return run


@_grounded
def _kills(folder: Path, ground: Path, options: Namespace) -> Findings:
    return kills.campaign(folder, ground, options.stages, options.points)


@_grounded
def _disk(folder: Path, ground: Path, options: Namespace) -> Findings:
    return disk.campaign(folder, ground, options.stages)


def _fuzz(folder: Path, options: Namespace) -> Findings:
    return fuzz.campaign(folder, options.minutes)


def _pipeline(folder: Path, options: Namespace) -> Findings:
    return pipeline.campaign(folder, min(options.points, 6))


def _long_run(folder: Path, options: Namespace) -> Findings:
    return long_run.campaign(folder, options.rows)


def _injection(folder: Path, options: Namespace) -> Findings:
    return injection.campaign(folder, options.tree, options.answers)


def _suites(folder: Path, options: Namespace) -> Findings:
    return suites.campaign()


PARTS = {
    "kills": _kills,
    "pipeline": _pipeline,
    "disk": _disk,
    "suites": _suites,
    "fuzz": _fuzz,
    "long_run": _long_run,
    "injection": _injection,
}
