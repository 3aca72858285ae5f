"""The parts of the campaign, by name."""

from argparse import Namespace
from pathlib import Path

from campaign import disk, fuzz, kills, pipeline, works
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


PARTS = {"kills": _kills, "pipeline": _pipeline, "disk": _disk, "fuzz": _fuzz}
