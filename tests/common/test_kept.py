"""Kept work is made again when anything changes that it depends on, and what was paid or fetched never for a changed line."""

import ast
import importlib
import pkgutil
from importlib.metadata import packages_distributions

import pytest

import stages
from stages.common import closure, kept
from stages.common.closure import ROOT

SCRATCH = {"scratch", "remember", "fingerprint"}  # what makes a key or a place
MACHINE = {"device": "cpu", "cpu": "AVX2", "dtype": "torch.float32"}
# packages that makers import, and that compute nothing of what is kept
# three bring bytes; the last one's version is fixed by PyTorch's
NO_SAY = {"safetensors", "requests", "huggingface-hub", "huggingface_hub", "triton"}
# libraries of one kind of work, whose versions its maker puts into its settings
OF_WORK = {"exports": {"gguf", "xllamacpp"}}


def modules() -> list[str]:
    return [name for _, name, _ in pkgutil.walk_packages(stages.__path__, "stages.")]


def calls(module: str) -> list[tuple[str, list[ast.expr]]]:
    """The calls of `kept.computed`, `kept.fetched` and `kept.placed` in a module, with their arguments."""
    tree = ast.parse(closure.read_source(closure.file_of(module)))
    return [
        (node.func.attr, node.args)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "kept"
        if node.func.attr in ("computed", "fetched", "placed")
    ]


def makers() -> dict[str, str]:
    """The module that makes each kind of work of our own."""
    return {
        ast.literal_eval(args[0]): module for module in modules() for function, args in calls(module) if function == "computed"
    }


MAKERS = makers()


def test_no_key_is_made_elsewhere():
    for module in modules():
        if module in ("stages.common.kept", "stages.common.scratch"):
            continue
        for node in ast.walk(ast.parse(closure.read_source(closure.file_of(module)))):
            if isinstance(node, ast.ImportFrom) and node.module == "stages.common.scratch":
                assert not SCRATCH & {alias.name for alias in node.names}, f"{module} makes a key: kept.py is the place for it"
            assert not isinstance(node, ast.Import) or all(a.name != "stages.common.scratch" for a in node.names), module
            assert not (isinstance(node, ast.ImportFrom) and "scratch" in {a.name for a in node.names}), module


def test_every_user_is_registered_and_every_entry_is_used():
    assert MAKERS.keys() == kept.COMPUTED.keys()
    used = {ast.literal_eval(args[0]) for m in modules() for function, args in calls(m) if function in ("fetched", "placed")}
    assert used == kept.FETCHED.keys()


def test_a_maker_names_itself():
    for module in MAKERS.values():
        for function, args in calls(module):
            assert function != "computed" or ast.unparse(args[1]) == "__name__", module


def again(work: str, tmp_path, settings=1, machine=None, text="x", request="what") -> bool:
    """Whether work of a kind is made (True) or was kept."""
    (tmp_path / "input").write_text(text)
    ran = []
    place = kept.computed(work, MAKERS[work], [tmp_path / "input"], settings, machine or MACHINE)
    place.get(request, lambda: ran.append(1))
    return bool(ran)


@pytest.fixture
def edited(monkeypatch):
    """Puts another statement at the end of one module, as its readers see it."""
    plain = closure.read_source

    def edit(file: str | None, line: bytes = b"\nchanged = 1\n") -> None:
        closure.code_hash.cache_clear()
        monkeypatch.setattr(closure, "read_source", lambda name: plain(name) + (line if name == file else b""))

    yield edit
    closure.code_hash.cache_clear()


@pytest.mark.parametrize("work", kept.COMPUTED)
def test_a_changed_statement_anywhere_in_its_closure_is_a_miss(work, tmp_path, edited):
    edited(None)
    files = sorted(closure.closure(closure.file_of(MAKERS[work])))
    assert again(work, tmp_path) and not again(work, tmp_path)
    assert len(files) > 8
    for file in files:
        edited(file)
        assert again(work, tmp_path), f"{work} is served as it was though {file} changed"
    edited(None)
    assert not again(work, tmp_path)


@pytest.mark.parametrize("work", kept.COMPUTED)
@pytest.mark.parametrize("file", closure.WITHOUT_EFFECT)
def test_what_has_no_effect_is_no_miss(work, file, tmp_path, edited):
    edited(None)
    again(work, tmp_path)
    edited(file)
    assert not again(work, tmp_path)


@pytest.mark.parametrize("work", kept.COMPUTED)
def test_a_comment_is_no_miss(work, tmp_path, edited):
    edited(None)
    again(work, tmp_path)
    edited(closure.file_of(MAKERS[work]), b"\n# a comment\n")
    assert not again(work, tmp_path)


@pytest.mark.parametrize("work", kept.COMPUTED)
@pytest.mark.parametrize("library", kept.LIBRARIES)
def test_another_version_is_a_miss(work, library, tmp_path, monkeypatch):
    again(work, tmp_path)
    plain = kept.version
    monkeypatch.setattr(kept, "version", lambda name: plain(name) + ("+another" if name == library else ""))
    assert again(work, tmp_path) and not again(work, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": 2},
        {"text": "y"},
        {"request": "else"},
        *({"machine": MACHINE | {name: "another"}} for name in MACHINE),
    ],
    ids=str,
)
def test_other_inputs_parameters_or_machines_are_a_miss(change, tmp_path):
    assert again("labels", tmp_path) and again("labels", tmp_path, **change)


@pytest.mark.parametrize("work", kept.COMPUTED)
def test_every_library_that_computes_is_in_the_key(work):
    """All packages that the closure imports, but for those that are known to compute nothing."""
    known, names = packages_distributions(), set()
    for file in closure.closure(closure.file_of(MAKERS[work])):
        for node in ast.walk(ast.parse(closure.read_source(file))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    used = {known[name][0].lower() for name in names & known.keys()} - {"affinage"}
    assert used - NO_SAY <= {*kept.LIBRARIES} | OF_WORK.get(work, set())


def test_what_was_paid_or_fetched_has_no_code_in_its_key(edited):
    edited(None)
    keys = {work: kept.fetched(work, {"data": 1}, name="x").key for work in kept.FETCHED}
    for module in modules():
        edited(closure.file_of(module))
    assert keys == {work: kept.fetched(work, {"data": 1}, name="x").key for work in kept.FETCHED}


def test_the_hash_of_a_closure_is_worked_out_once(monkeypatch):
    closure.code_hash.cache_clear()
    first = closure.code_hash(MAKERS["training"])
    monkeypatch.setattr(closure, "read_source", None)
    assert closure.code_hash(MAKERS["training"]) == first


def test_the_modules_in_question_are_those_that_run():
    for module in {*MAKERS.values()}:
        assert importlib.import_module(module).__file__ == str(ROOT / closure.file_of(module))
