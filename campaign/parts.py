"""The parts of the campaign, by name."""

from argparse import Namespace
from pathlib import Path

from campaign import disk, fuzz, injection, kills, long_run, pipeline, suites, works
from campaign.figures import Found


def _grounded(part):
    """A part that needs every stage's inputs."""

    def run(folder: Path, options: Namespace) -> Found:
        (folder / "ground").mkdir()
        works.prepare(folder / "ground")
        return part(folder, folder / "ground", options)

    return run


@_grounded
def _kills(folder: Path, ground: Path, options: Namespace) -> Found:
    return kills.campaign(folder, ground, options.stages, options.points)


@_grounded
def _disk(folder: Path, ground: Path, options: Namespace) -> Found:
    return disk.campaign(folder, ground, options.stages)


def _fuzz(folder: Path, options: Namespace) -> Found:
    return fuzz.campaign(folder, options.minutes)


def _pipeline(folder: Path, options: Namespace) -> Found:
    return pipeline.campaign(folder, min(options.points, 6))


def _long_run(folder: Path, options: Namespace) -> Found:
    return long_run.campaign(folder, options.rows)


def _injection(folder: Path, options: Namespace) -> Found:
    return injection.campaign(folder, options.tree, options.answers)


def _suites(folder: Path, options: Namespace) -> Found:
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
