"""`params.yaml`, checked as a whole, handed out by section.

The file is read by the parser that DVC itself uses (YAML 1.2: `1e-5` is a number, `no` is text), so that a stage and
DVC never see different values. Its entries are filled in from its own `defaults` and from nowhere else: every number that
shapes a result is written in `params.yaml`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

from stages.common.errors import StageError

if TYPE_CHECKING:
    from stages.common.schema import Params

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


def load(path: Path = FILE) -> "Params":
    """The file with every entry filled in, typed.

    Raises:
        StageError: naming every problem of the whole file at once.
    """
    from stages.common.check_params import check  # pydantic is loaded here, and only here
    from stages.common.defaults import resolve
    from stages.common.schema import Params

    written = read(path)
    check(written, path)
    return Params.model_validate(resolve(written)[0])


def section(kind: str, key: str, stage: str, path: Path = FILE):
    """The checked section `<kind>.<key>.<stage>`, filled in from the defaults, and nothing else.

    Raises:
        StageError: naming every problem of the whole file at once.
    """
    entries = getattr(load(path), kind)
    if key not in entries:
        raise StageError(f"{path}: {kind}", f"no {key!r}", f"one of: {', '.join(entries)}", f"add {kind}.{key}")
    return getattr(entries[key], stage)
