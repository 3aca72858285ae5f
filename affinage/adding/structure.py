"""Where the rows lie in a JSON or XML document."""

import json
import re
from collections import Counter
from itertools import islice

from lxml import etree

from stages.common.conversations import CALLS, ROLE_KEYS, ROLES, TEXT_KEYS, TOOLS, role_of
from stages.sources import SourceFile
from stages.sources.encodings import open_text
from stages.sources.xml_rows import load

WHOLE = 1 << 24  # bytes of a JSON document that is parsed whole; of a larger one the first EVENTS are looked at
EVENTS = 100_000
MOST = 12  # paths that are tried
ITEMS = 50  # of a list that are looked at


def json_paths(file: SourceFile) -> list[str]:
    """The paths of all that may be rows in a document; "" is the document itself."""
    return record_paths(_start(file))


def jsonl_paths(file: SourceFile) -> list[str]:
    """The paths of lists in the lines of JSON Lines; "" is the line itself."""
    with open_text(file) as lines:
        some = islice((line for line in lines if line.strip()), ITEMS)
        values = []
        for line in some:
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                break
    return [path.removeprefix("[*].").removeprefix("*.") for path in record_paths(values)]


def _start(file: SourceFile) -> object:
    """A document, or as much of it as its first EVENTS tell."""
    with open_text(file) as text:
        if file.path.stat().st_size <= WHOLE:
            try:
                return json.load(text)
            except (ValueError, RecursionError):
                return []  # its reader names the place
        from ijson.backends import python
        from ijson.common import IncompleteJSONError, JSONError, ObjectBuilder

        builder, source = ObjectBuilder(), _Bytes(text)
        try:
            for event in islice(python.basic_parse(source, use_float=True), EVENTS):
                builder.event(*event)
        except (IncompleteJSONError, JSONError):
            pass  # NaN and the like: what came before it is enough to see the structure
        return builder.value if hasattr(builder, "value") else []


class _Bytes:
    """Text as bytes in UTF-8, for ijson."""

    def __init__(self, text):
        self.text = text

    def read(self, size: int = -1) -> bytes:
        return self.text.read(size).encode("utf-8", "surrogatepass") if size else b""


def record_paths(value: object) -> list[str]:
    """The paths to lists of objects, objects of objects, and lists of texts inside of rows; the outermost first."""
    paths, waiting = [], [(value, "")]
    while waiting and len(paths) < MOST:
        inner, path = waiting.pop(0)
        if isinstance(inner, list):
            rows = [item for item in inner[:ITEMS] if isinstance(item, dict)]
            if rows and not all(map(is_turn, rows)) or (path and inner and isinstance(inner[0], str)):
                paths.append(path)
            waiting += [(values, _joined(path + "[*]", key)) for key, values in _lists(rows).items()]
        elif isinstance(inner, dict):
            if len(inner) > 1 and all(isinstance(item, dict) for item in inner.values()):
                paths.append(f"{path}.*" if path else "")
                every = [item for item in islice(inner.values(), ITEMS) if isinstance(item, dict)]
                waiting += [(values, _joined(f"{path}.*".lstrip("."), key)) for key, values in _lists(every).items()]
            else:
                waiting += [(item, _joined(path, key)) for key, item in inner.items() if isinstance(item, list | dict)]
    return paths


def is_turn(value: object) -> bool:
    """Whether this is a turn of a conversation."""
    if not isinstance(value, dict) or not {*TEXT_KEYS, *CALLS} & value.keys():
        return False
    return any(role_of(value.get(key)) in (*ROLES, *TOOLS) for key in ROLE_KEYS)


def _lists(rows: list[dict]) -> dict[str, list]:
    """By key the items of all lists that rows hold under it."""
    lists: dict[str, list] = {}
    for row in rows:
        for key, inner in row.items():
            if isinstance(inner, list) and inner:
                lists.setdefault(str(key), []).extend(inner[:ITEMS])
    return lists


def _joined(path: str, key: str) -> str:
    step = key if re.fullmatch(r"[^.\[\]\"*]+", key) else f'["{key}"]'
    return f"{path}{'.' if path and not step.startswith('[') else ''}{step}"


def xml_readers(file: SourceFile) -> list[dict | str]:
    """Readers for the elements of a document that may be rows; those with most fields first."""
    root = load(file)
    tags: dict[str, list[etree._Element]] = {}
    for element in root.iter(etree.Element):
        tags.setdefault(etree.QName(element).localname, []).append(element)
    if "QAPair" in tags:
        return ["medquad"]
    counted = []
    for tag, elements in tags.items():
        children = (child for node in elements[:ITEMS] for child in node.iterchildren(etree.Element))
        names = Counter(etree.QName(child).localname for child in children)
        plain = sum(1 for name in names if not any(len(child) for child in tags[name][:ITEMS]))
        attributes = len({key for node in elements[:ITEMS] for key in node.attrib})
        leaf = not names
        bare = leaf and any(not (node.text or "").strip() for node in elements[:3])
        if elements == [root] or (leaf and not attributes) or (bare and len(elements) == 1):
            continue
        counted.append(((len(elements) > 1) * (plain + attributes), len(elements), tag))
    ordered = [tag for _, _, tag in sorted(counted, key=lambda entry: (-entry[0], -entry[1]))]
    if not ordered:  # leaves alone: a list of names
        ordered = [max((tag for tag in tags if tags[tag] != [root]), key=lambda tag: len(tags[tag]), default="")]
    return [_xml_reader(tag, tags[tag]) for tag in ordered[:4] if tag]


def _xml_reader(tag: str, elements: list[etree._Element]) -> dict:
    """A reader of elements with all their fields; where the element around says something too, with that."""
    around = [node.getparent() for node in elements[:ITEMS] if node.getparent() is not None]
    outer = {
        **{
            f"{etree.QName(parent).localname}_{_local(key)}": f"../@{_local(key)}" for parent in around for key in parent.attrib
        },
        **{
            f"{etree.QName(parent).localname}_{etree.QName(child).localname}": f"../{etree.QName(child).localname}"
            for parent in around[:ITEMS]
            for child in parent.iterchildren(etree.Element)
            if not len(child) and etree.QName(child).localname != tag and parent is not elements[0].getroottree().getroot()
        },
    }
    if not outer:
        return {"kind": "xml", "rows": f"//{tag}", "fields": {}}
    own: dict[str, str] = {}
    for node in elements[:ITEMS]:
        own |= {_local(key): f"@{_local(key)}" for key in node.attrib}
        own |= {etree.QName(child).localname: etree.QName(child).localname for child in node.iterchildren(etree.Element)}
    if not any(len(node) for node in elements[:ITEMS]):
        own["text"] = "."
    return {"kind": "xml", "rows": f"//{tag}", "fields": own | {key: path for key, path in outer.items() if key not in own}}


def _local(key: str) -> str:
    return etree.QName(key).localname
