"""`params.yaml`, checked as a whole, handed out by section.

The file is read by the parser that DVC itself uses (YAML 1.2: `1e-5` is a number, `no` is text), so that a stage and
DVC never see different values. The schema only refuses; it holds no defaults. Every number that shapes a result is
therefore written in `params.yaml`.
"""

import re
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

from stages.common.errors import StageError

FILE = Path("params.yaml")
MOST = 100_000  # values that aliases may stand for
_DEEP = re.compile(r"(?:[\[{]\s*){50}")


def read(path: Path = FILE, yaml: YAML | None = None) -> dict:
    """The parsed file, unchecked; by another parser where `yaml` is given."""
    try:
        text = path.read_text(encoding="utf-8")
        if _DEEP.search(text):  # the parser takes seconds for thousands, and then fails
            raise ValueError("brackets within fifty brackets")
        if "&" in text and (total := _values(YAML(typ="safe", pure=True).compose(text), {})) > MOST:
            raise ValueError(f"aliases that make it {total} values, over {MOST}")
        return (yaml or YAML(typ="safe", pure=True)).load(text) or {}
    except FileNotFoundError:
        raise StageError(path, "no such file", "the experiment's parameters", "run from the repository's root") from None
    except (YAMLError, ValueError, RecursionError) as error:  # the others: broken UTF-8, the 45th of a month, [[[[…
        raise StageError(path, " ".join(str(error).split()), "YAML 1.2 in UTF-8", f"edit {path}") from None


def _values(node: Node | None, known: dict[int, float]) -> float:
    """How many values a node holds once every alias below it is written out: a few lines can stand for billions."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # what an alias to a node around it stands for
        inner = node.value if isinstance(node, CollectionNode) else []
        parts = [part for pair in inner for part in pair] if isinstance(node, MappingNode) else inner
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


def section(kind: str, key: str, stage: str, path: Path = FILE):
    """The checked section `<kind>.<key>.<stage>`, and nothing else.

    Raises:
        StageError: naming every problem of the whole file at once.
    """
    from stages.common.schema import check  # pydantic is loaded here, and only here

    checked = check(read(path), path)
    entries = getattr(checked, kind)
    if key not in entries:
        raise StageError(f"{path}: {kind}", f"no {key!r}", f"one of: {', '.join(entries)}", f"add {kind}.{key}")
    return getattr(entries[key], stage)
