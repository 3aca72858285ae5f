"""What is installed: every package by version and hash, and the locks hold what the readable pins say."""

import re
from importlib.metadata import distributions, version

import pytest

from tests.imports import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
OF_GPUS = ("nvidia", "triton", "cuda")  # what only some builds of torch bring


def name(text: str) -> str:
    """A package's name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def locked(file: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes of each package."""
    lines = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    packages = {}
    for line in filter(None, (line.strip() for line in lines)):
        if not line.startswith("#"):
            package, pinned = re.match(r"([\w.-]+)==(\S+)", line).groups()
            assert name(package) not in packages, line
            packages[name(package)] = pinned, re.findall(r"--hash=(\S+)", line)
    return packages


def pinned(file: str) -> dict[str, str]:
    """Version of each package that the readable file names."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return {name(package): number for package, number in re.findall(r"(?m)^([\w.-]+)(?:\[\w+\])?==([^\s;]+)", text)}


@pytest.mark.parametrize("file", LOCKS)
def test_every_package_has_hashes(file):
    for package, (_, hashes) in locked(file).items():
        assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", requirement) for requirement in hashes), package


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_names_no_host_and_no_place(file):
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links| @ |/", (ROOT / file).read_text(encoding="utf-8"))


def test_the_locks_hold_what_the_pins_say():
    run, tests = locked("requirements.lock"), locked("requirements-dev.lock")
    for package, number in pinned("requirements.txt").items():
        assert package == "torch" or run[package][0] == number, package
    for package, number in pinned("requirements-dev.txt").items():
        assert tests[package][0] == number, package


def test_the_tests_run_with_the_packages_of_a_run():
    run, tests = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {package: tests.get(package) for package in run} == run


@pytest.mark.parametrize("file", LOCKS)
def test_no_lock_has_torch_or_what_only_some_builds_of_it_need(file):
    assert "torch" in pinned("requirements.txt")
    assert not [package for package in locked(file) if package.startswith(("torch", *OF_GPUS))]


def test_the_locks_know_the_version_of_torch_that_is_pinned():
    said = re.search(r'name = "torch", version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert said[1] == pinned("requirements.txt")["torch"] == version("torch").partition("+")[0]


def test_the_locks_hold_all_that_torch_needs_so_that_nothing_else_comes_unchecked():
    needed = next(package for package in distributions() if name(package.name) == "torch").requires
    wanted = {name(re.match(r"[\w.-]+", package)[0]) for package in needed if "extra ==" not in package}
    assert {package for package in wanted if not package.startswith(OF_GPUS)} <= locked("requirements.lock").keys()


def test_what_is_installed_here_is_what_the_lock_says():
    said = locked("requirements-dev.lock")
    other = {
        package: (requirement.version, said[package][0])
        for requirement in distributions()
        if (package := name(requirement.name)) in said and requirement.version != said[package][0]
    }
    assert not other, "make test installs them"
