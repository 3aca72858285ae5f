"""How long modules and lists of parameters may be, and what names must say, over all that the project runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import ROOT

MOST_LINES, MOST_PARAMETERS = 300, 7
KERNEL = "jit"  # the decorator of Triton's kernels, which take pointers and strides one by one
CALLED_BY_LIBRARIES = {
    "stages/models/attention.py packed_rows",  # by transformers, like its own kinds of attention
    "stages/decoding/causal/caches.py _attend",
    "affinage/commands/add.py add_dataset",  # by typer: a parameter is an option
}
SOURCES = sorted(path for folder in ("stages", "affinage") for path in (ROOT / folder).rglob("*.py"))
BESIDE = sorted(path for folder in ("bench", "campaign") for path in (ROOT / folder).rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parameters(function: Function) -> int:
    """How many parameters a function has, `*` and `**` counted."""
    spec = function.args
    return len(spec.posonlyargs + spec.args + spec.kwonlyargs) + bool(spec.vararg) + bool(spec.kwarg)


def is_kernel(function: Function) -> bool:
    """Whether a decorator, called or not, is that of a kernel."""
    decorators = (part.func if isinstance(part, ast.Call) else part for part in function.decorator_list)
    return any(isinstance(part, ast.Attribute) and part.attr == KERNEL for part in decorators)


def too_many(source: str) -> Iterator[str]:
    """Names of the functions and methods of a module that have too many parameters."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and parameters(node) > MOST_PARAMETERS and not is_kernel(node):
            yield node.name


@pytest.mark.parametrize("path", SOURCES + BESIDE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_short_and_so_are_its_lists_of_parameters(path: Path):
    source, place = path.read_text(), path.relative_to(ROOT).as_posix()
    assert len(source.splitlines()) <= MOST_LINES
    assert not {f"{place} {name}" for name in too_many(source)} - CALLED_BY_LIBRARIES


def test_the_exceptions_are_still_needed():
    known = {f"{path.relative_to(ROOT).as_posix()} {name}" for path in SOURCES for name in too_many(path.read_text())}
    assert known == CALLED_BY_LIBRARIES


def test_every_kind_of_parameter_is_counted():
    source = "class A:\n def f(self, a, /, b, *c, d, e, f, **g): ...\n@triton.jit(x=1)\ndef g(a, b, c, d, e, f, g, h): ..."
    assert list(too_many(source)) == ["f"]


# words that say nothing of a thing, where it has a name of its own
SAY_NOTHING = {"found", "who", "one", "each", "given", "made", "what", "it", "thing"}
THEIR_OWN = {
    "stages/common/errors.py found",  # a message has a line of this name
    "stages/common/schema_data.py given",  # as params.yaml calls it
}


def names(source: str) -> set[str]:
    """Every name that a module gives: of variables, arguments, attributes, functions and classes."""
    nodes = list(ast.walk(ast.parse(source)))
    given_names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    given_names |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    given_names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    definitions = Function | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
    return given_names | {node.name for node in nodes if isinstance(node, definitions) and node.name}


def test_a_name_says_what_a_thing_is():
    of_modules = {path.relative_to(ROOT).as_posix(): names(path.read_text()) for path in SOURCES + BESIDE}
    assert {f"{place} {name}" for place, there in of_modules.items() for name in SAY_NOTHING & there} == THEIR_OWN


def test_every_place_that_gives_a_name_is_seen():
    source = """
def a(b, *c, d=[e for e in ()]):
    with open(b) as f:
        for g in f:
            z.h = (i := g)
    try:
        j: int = 1
    except OSError as k:
        pass
    match b:
        case [l, *m]:
            pass
"""
    assert names(source) == set("abcdefghijklm")


# modules of one name where the parallel is meant (CONTRIBUTING.md)
PARALLEL = {
    "paths": {"stages/training", "stages/decoding", "stages/judging"},
    "figures": {"stages/training/causal", "stages/training/classifier", "affinage/reports"},
    "hub": {"stages/bases", "stages/sources"},
}


def test_a_module_has_a_name_of_its_own():
    places = {}
    for path in SOURCES:
        if not path.stem.startswith("__"):
            places.setdefault(path.stem, set()).add(path.parent.relative_to(ROOT).as_posix())
    assert {name: folders for name, folders in places.items() if len(folders) > 1} == PARALLEL
