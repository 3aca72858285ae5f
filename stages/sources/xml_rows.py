"""XML documents: an element is a row, its fields are XPaths from it."""

from collections.abc import Iterator

from lxml import etree

from stages.common.errors import StageError
from stages.common.schema_sources import Xml
from stages.common.text_keys import shorten
from stages.sources import SourceFile

READER = "datasets.<name>.scrape.sources.<source>.reader"


def load(file: SourceFile) -> etree._Element:
    """The root of a document.

    Entities are not resolved, DTDs and the network are not loaded and huge trees are refused, so that an XML bomb or an
    external entity is an error. The file's `encoding` plays no part: XML declares its own.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True)
    try:
        root = etree.parse(str(file.path), parser).getroot()
    except etree.XMLSyntaxError as error:
        where = f"{file.place} line {error.lineno}"
        raise StageError(where, f"broken XML: {error.msg}", "an XML document", "edit the file") from None
    except OSError as error:  # bytes that are not in the declared encoding, among others
        expected = "XML in the encoding that it declares"
        message = str(error).replace(str(file.path), file.name)
        raise StageError(file.place, message, expected, "edit the file or its declaration") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise StageError(
            file.place,
            "a document type definition",
            "plain XML: definitions can hide entity bombs",
            "remove the <!DOCTYPE …> from the file",
        )
    return root


def read_xml(file: SourceFile, params: Xml) -> Iterator[dict]:
    """A row for each element of the XPath `rows`. A document without such an element has no rows.

    White space is folded. What an XPath finds more than once is joined by a line end. Prefixes of namespaces are left out of
    all names.
    """
    root = load(file)
    for element in root.iter(etree.Element):
        element.tag = etree.QName(element).localname
        for name in [name for name in element.attrib if name.startswith("{")]:
            if (local := etree.QName(name).localname) not in element.attrib:  # xml:id beside id keeps its long name
                element.attrib[local] = element.attrib.pop(name)
    elements = [node for node in _select(root, params.rows, file.place, "rows") if isinstance(node, etree._Element)]
    for element in elements:
        if params.fields:
            nodes_of = {ours: _select(element, xpath, file.place, f"fields.{ours}") for ours, xpath in params.fields.items()}
            yield {ours: "\n".join(filter(None, map(_text, nodes))) for ours, nodes in nodes_of.items()}
        else:
            yield _all_fields(element)


def _all_fields(element: etree._Element) -> dict:
    """Attributes as `@name`, children as `name` and their attributes as `name/@name`; without children its text as `text`.

    What several children have is joined by a line end. Text beside children is kept too: `text` is then all of it.
    """
    row = {f"@{name}": value for name, value in element.attrib.items()}
    children = list(element.iterchildren(etree.Element))
    if not children or any(map(str.strip, element.xpath("text()"))):
        row["text"] = _text(element)
    for child in children:
        fields = {child.tag: _text(child)} | {f"{child.tag}/@{name}": value for name, value in child.attrib.items()}
        row |= {name: "\n".join(filter(None, [row.get(name, ""), value])) for name, value in fields.items()}
    return row


def _select(element: etree._Element, xpath: str, place: str, leaf: str) -> list:
    try:
        selected = element.xpath(xpath)
    except (etree.XPathError, ValueError, TypeError) as error:
        raise StageError(f"{place}: XPath {shorten(xpath)}", str(error), "XPath 1.0", f"edit {READER}.{leaf}") from None
    return selected if isinstance(selected, list) else [str(selected)]


def _text(node: object) -> str:
    """All text below an element, or an attribute's, white space folded."""
    return " ".join(("".join(node.itertext()) if isinstance(node, etree._Element) else str(node)).split())
