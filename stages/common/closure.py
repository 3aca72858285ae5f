"""Which of our modules have a say in what a module makes: those it imports, those that these import, and so on.

Found by walking the source, never by running it. An import inside a function counts. So does an entry of a table that is
given as text: "stages.labels.clean" or "stages.labels.clean:label_clean".

Kept work is keyed by the hash of these modules (kept.py). A stage's `deps` in dvc.yaml are the same modules
(tests/test_pipeline.py). Neither holds a module that cannot change an output:
"""

import ast
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("stages", "affinage")

# Modules that cannot change what a stage writes, and why. A test shows it of each: tests/common/test_closure.py.
WITHOUT_EFFECT = {
    "stages/common/schema.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/schema_bases.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/schema_data.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/schema_models.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/schema_sources.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/sections.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/check_params.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/wiring.py": "refuses parameters; what it holds is how a setting is off",
    "stages/common/rows.py": "holds types alone",
    "stages/common/errors.py": "ends the work or words why it ended",
    "stages/common/locks.py": "waits for another process or refuses, and gives nothing back",
    "stages/common/progress.py": "is told how many rows went by, and gives nothing back",
    "stages/training/loggers.py": "is told what is in the table of steps, and gives nothing back",
}

# Between us and a server: they bring what was asked for, or fail. `train` and `generate` of a hosted model use them, and what
# is brought is kept by data and parameters (kept.py): an edit to these does not reach it. DVC could not name them as
# dependencies of hosted models alone, for `judge` and `scrape` share them; so they are dependencies of these two only.
ON_THE_WIRE = ("stages/common/http.py", "stages/servers/")

_NAME = re.compile(r"((?:stages|affinage)(?:\.\w+)+)(?::\w+)?")


def read_source(file: str) -> bytes:
    """The source of a module; `file` is relative to the root of the repository."""
    return (ROOT / file).read_bytes()


def file_of(name: str) -> str | None:
    """`stages.common.files` -> `stages/common/files.py`; None for what is not ours."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.split(".")[0] in PACKAGES and (ROOT / candidate).is_file():
            return candidate.as_posix()
    return None


def _names(tree: ast.AST, package: str) -> Iterable[str]:
    """Names of modules, and of what is in them, that a source imports or names in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (match := _NAME.fullmatch(node.value)):
            yield match[1]


def imported(file: str) -> set[str]:
    """Files that `file` imports itself, and the `__init__.py` of each package on the way to them."""
    package = ".".join(Path(file).parent.parts)
    names = set(_names(ast.parse(read_source(file)), package))
    names |= {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return {other for name in names if (other := file_of(name))}


def closure(file: str, without: tuple[str, ...] = ()) -> set[str]:
    """Every file that has a say in what `file` does, itself included; not those of WITHOUT_EFFECT.

    Args:
        without: files and packages (`stages/servers/`) that are left out too.

    What only such a file imports has no say either. Empty `__init__.py` files are left out.
    """
    reached, waiting = set(), {file}
    while waiting:
        reached.add(current := waiting.pop())
        new = imported(current) - reached - WITHOUT_EFFECT.keys()
        waiting |= {other for other in new if not other.startswith(without)} if without else new
    return {path for path in reached if read_source(path).strip()}


def statements(file: str) -> str:
    """What a module does, whatever its comments and its layout."""
    return ast.dump(ast.parse(read_source(file)))


@cache
def code_hash(module: str) -> str:
    """sha256 (hex) of all that has a say in what a module makes. Worked out once a process."""
    file = file_of(module)
    digest = hashlib.sha256()
    for path in sorted(closure(file)):
        digest.update(f"{path}\0{statements(path)}\n".encode())
    return digest.hexdigest()
