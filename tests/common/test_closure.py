"""The walk over the source finds whatever has a say, and leaves out what has none."""

import pytest

from stages.common import closure


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository of a few modules, by name (`package.module`) and source."""

    def write(**sources: str) -> None:
        for name, source in {"__init__": "", **sources}.items():
            path = tmp_path / "stages" / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)

    monkeypatch.setattr(closure, "ROOT", tmp_path)
    return write


@pytest.mark.parametrize(
    "line",
    [
        "import stages.other",
        "import stages.other as another",
        "from stages import other",
        "from stages.other import name",
        "from . import other",
        "from .other import name",
        "def later():\n    from stages.other import name",
        "if unlikely:\n    import stages.other",
        "TABLE = {'name': 'stages.other'}",
        "TABLE = {'name': 'stages.other:function'}",
    ],
)
def test_every_kind_of_import_is_found(tree, line):
    tree(one=line, other="name = 1", third="name = 1")
    assert closure.closure("stages/one.py") == {"stages/one.py", "stages/other.py"}


def test_imports_are_followed_and_circles_end(tree):
    tree(one="import stages.two", two="import stages.three", three="import stages.one", four="x = 1")
    assert closure.closure("stages/one.py") == {f"stages/{name}.py" for name in ("one", "two", "three")}


def test_a_package_has_a_say_where_it_holds_anything(tree):
    tree(one="from stages.full import module\nfrom stages.empty import module")
    tree(**{"full.__init__": "x = 1", "full.module": "y = 1", "empty.__init__": "", "empty.module": "y = 1"})
    names = {"one.py", "full/__init__.py", "full/module.py", "empty/module.py"}
    assert closure.closure("stages/one.py") == {f"stages/{name}" for name in names}


def test_what_has_no_effect_is_left_out_with_all_that_it_alone_imports(tree, monkeypatch):
    monkeypatch.setattr(closure, "WITHOUT_EFFECT", {"stages/bar.py": "shows"})
    tree(one="import stages.bar, stages.two", bar="import stages.only, stages.two", only="x = 1", two="x = 1")
    assert closure.closure("stages/one.py") == {"stages/one.py", "stages/two.py"}


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("x = 1  # a comment\n\n\n", True),
        ("x = (\n    1\n)", True),
        ("x = 2", False),
        ("x = 1\ny = 1", False),
        ("x = 1.0", False),
    ],
)
def test_a_hash_knows_statements_and_no_layout(tree, source, same):
    tree(one="import stages.two", two="x = 1")
    before = closure.code_hash("stages.one")
    tree(two=source)
    closure.code_hash.cache_clear()
    assert (closure.code_hash("stages.one") == before) is same
    closure.code_hash.cache_clear()


def test_all_that_has_no_effect_is_there():
    for file in closure.WITHOUT_EFFECT:
        assert closure.read_source(file).strip()
