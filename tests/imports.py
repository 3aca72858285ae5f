"""Which of this repository's modules a stage imports, found by walking the source, imports inside functions included."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
# refuse parameters, or are types alone: cannot change an output
EXEMPT = {
    f"stages/common/{name}.py" for name in ("schema", "schema_data", "schema_models", "schema_sources", "sections", "rows")
}


def module_file(name: str) -> str | None:
    """`stages.common.files` -> `stages/common/files.py`; None for what is not ours."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.startswith("stages") and (ROOT / candidate).is_file():
            return candidate.as_posix()
    return None


def imported(file: str) -> set[str]:
    """Files that `file` imports directly, the packages they lie in included."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    names |= {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return {found for name in names if (found := module_file(name))}


def closure(stage: str) -> set[str]:
    """Every file that has a say in what a stage writes; empty `__init__.py` files have none."""
    found, waiting = set(), {f"stages/{stage}.py"}
    while waiting:
        file = waiting.pop()
        found.add(file)
        if file not in EXEMPT:
            waiting |= imported(file) - found
    return {file for file in found - EXEMPT if (ROOT / file).stat().st_size}
