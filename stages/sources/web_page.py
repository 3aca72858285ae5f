"""A web page without its clutter, and the text of its parts as a reader sees it."""

import itertools
import re
from collections.abc import Iterator

from lxml import etree, html

from stages.common.errors import StageError
from stages.common.text_keys import loose_key
from stages.sources import SourceFile
from stages.sources.encodings import open_text, undecodable

LISTS = {"ul", "ol", "dl", "menu", "dir"}
_DROPPED = {"head", "script", "style", "noscript", "template", "iframe", "object", "svg", "canvas", "audio", "video"}
_DROPPED |= {"nav", "footer", "aside", "select", "datalist", "button", "textarea", "dialog"}
_ROLES = {"navigation", "banner", "contentinfo", "complementary", "search", "menu", "menubar", "dialog", "alert"}
_ROLES |= {"doc-noteref", "doc-endnotes", "doc-footnote", "doc-backlink", "doc-toc", "doc-bibliography"}
# classes and ids of what surrounds an article, in wikis, blogs and documentation
_AROUND = """
nav navbar navbox navbox-styles navigation navigation-menu main-nav site-nav menu submenu breadcrumb breadcrumbs pagination
pager toc table-of-contents sidebar vertical-navbox site-header site-footer footer catlinks printfooter mw-navigation
mw-editsection mw-jump-link mw-indicators reference references mw-references-wrap reflist refbegin footnote footnotes
footnote-ref footnote-back noprint metadata hatnote ambox mbox-small sistersitebox authority-control portal shortdescription
sr-only visually-hidden screen-reader-text skip-link sortkey cookie-banner social share related-posts comments
"""
_WORDS = frozenset(_AROUND.split())
_CELLS = {"td", "th", "tr", "thead", "tbody", "tfoot"}
_KEPT = {"html", "body", "main", "article"}  # classes of these say nothing about what is in them
_HIDDEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))", re.I)
_HEADING = re.compile(r"h([1-6])")
_SECTIONS = {"section", "article", "main", "body", "td", "th", "li", "div"}
_FLOWING = """
a abbr b bdi bdo big cite code data del dfn em font i ins kbd mark nobr q s samp small span strike
strong sub sup time tt u var wbr
"""
_INLINE = frozenset(_FLOWING.split())
MARKS = re.compile(
    r"\[\s*(?:\d{1,3}|[a-z]|(?:note|n|nb|fn)\.? ?\d+|citation needed|edit|dubious[^\]]*|clarification needed)\s*\]", re.I
)
_ENDS = re.compile(r"^(?:[•·‣▪◦*†‡§¶]|[-–—](?=\s)|\s)+|[*†‡§¶:;,\s]+$")
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # lxml reads them and then refuses to move them
_NUMBER = re.compile(r"[+\-−]?[0-9]+")
_RAISED, _LOWERED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻"), str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"))


def load(file: SourceFile, without: list[str], keep_cells: bool = False) -> html.HtmlElement:
    """The page's root, cleared of navigation, references, footnote marks, what is hidden, and the sections `without`.

    With `keep_cells` cells and rows of tables stay whatever is said of them, for without one the others would move to other
    columns; what is clutter inside them goes.

    Raises:
        StageError: for what is no HTML at all, or not in its encoding.
    """
    try:
        with open_text(file) as stream:
            text = stream.read()
    except UnicodeError as error:
        raise undecodable(file, error) from None
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True)
    try:
        root = html.document_fromstring(text.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise StageError(file.place, message, "an HTML page", "check datasets.<name>.scrape.sources.<source>.reader") from None
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):  # it would end there without a word
        raise StageError(file.place, "tags in more than 2,000 tags", "a page that can be read whole", "edit the page")
    _without_control(root)
    kept = _CELLS if keep_cells else set()
    _drop([e for e in root.iter() if e is not root and e.tag not in kept and (_clutter(e) or _footnote_mark(e))])
    _raise_digits(root)
    _drop_sections(root, {loose_key(title) for title in without})
    return root


def _without_control(root: html.HtmlElement) -> None:
    """White space for characters that XML forbids; they also come as `&#11;`."""
    for element in root.iter():
        for part in ("text", "tail"):
            if (text := getattr(element, part)) and _CONTROL.search(text):
                setattr(element, part, _CONTROL.sub(" ", text))


def _drop(elements: list[html.HtmlElement]) -> None:
    for element in elements:  # an ancestor may have taken it along: then this does no harm
        if element.getparent() is not None:
            element.drop_tree()


def _clutter(element: html.HtmlElement) -> bool:
    tag, words = element.tag, f"{element.get('class', '')} {element.get('id', '')}".lower().split()
    return (
        tag in _DROPPED
        or tag == "header"
        and not any(parent.tag in ("article", "main") for parent in element.iterancestors())
        or element.get("role", "").lower() in _ROLES
        or tag not in _KEPT
        and not _WORDS.isdisjoint(words)
        or _says_hidden(element)
    )


def _says_hidden(element: html.HtmlElement) -> bool:
    return (
        "hidden" in element.attrib
        or element.get("aria-hidden", "").lower() == "true"
        or _HIDDEN.search(element.get("style", "")) is not None
    )


def is_hidden(cell: html.HtmlElement) -> bool:
    """Whether a cell, its row or its rows' group is not shown."""
    around = (parent for parent in cell.iterancestors() if parent.tag in _CELLS)
    return _says_hidden(cell) or any(
        map(_says_hidden, itertools.takewhile(lambda parent: parent.tag not in ("td", "th"), around))
    )


def _footnote_mark(element: html.HtmlElement) -> bool:
    """Whether it is a raised mark and no part of the text: a link within the page, brackets, a symbol, a number after a word.

    A number after at most two letters is a unit's (m², cm³), one after a digit is a power (10³).
    """
    if element.tag != "sup":
        return False
    text = " ".join(element.text_content().split())
    if any((link.get("href") or "").startswith("#") for link in element.iter("a")) or re.fullmatch(r"[\[(*†‡§¶].*", text):
        return True
    before = element.getprevious().tail if element.getprevious() is not None else getattr(element.getparent(), "text", "")
    return text.isdecimal() and re.search(r"\w{2}[^\W\d]\W*$", before or "") is not None


def _raise_digits(root: html.HtmlElement) -> None:
    """Write raised numbers as such (10³, and not 103), and lowered ones that a digit touches (log₂8; H2O stays)."""
    for element in root.iter("sup", "sub"):
        text = (element.text or "").strip()
        if len(element) or not _NUMBER.fullmatch(text):
            continue
        before = element.getprevious().tail if element.getprevious() is not None else element.getparent().text
        if element.tag == "sup":
            element.text = text.translate(_RAISED)
        elif (before or "")[-1:].isdigit() or (element.tail or "")[:1].isdigit():
            element.text = text.translate(_LOWERED)


def _drop_sections(root: html.HtmlElement, titles: set[str]) -> None:
    """Drop each heading among `titles` with what follows: up to a heading of its level or above, or its section's end."""
    if not titles:
        return
    level, scope, skipped, kept = 0, None, [], {root}
    for element in root.iter():
        heading = _HEADING.fullmatch(element.tag) if isinstance(element.tag, str) else None
        if level and (heading and int(heading[1]) <= level or scope not in element.iterancestors()):
            level = 0
        if heading and not level and loose_key(clean(text_of(element))) in titles:
            level = int(heading[1])
            around = (above for above in element.iterancestors() if above.tag in _SECTIONS and not _wraps(above, element))
            scope = next(around, root)
        if level:
            skipped.append(element)
        else:
            while element is not None and element not in kept:
                kept.add(element)
                element = element.getparent()
    for element in skipped:
        if element not in kept:
            element.tail = None
            if element.getparent() is not None:
                element.getparent().remove(element)


def _wraps(parent: html.HtmlElement, heading: html.HtmlElement) -> bool:
    """Whether a `div` is only there for the heading."""
    return parent.tag == "div" and all(child is heading or not text_of(child) for child in parent)


def text_of(element: html.HtmlElement, stop: set[str] = frozenset()) -> str:
    """All text below an element, white space folded, blocks apart, without what lies in elements of the tags `stop`."""
    pieces = []
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, node in walk:
        block = node.tag not in _INLINE
        if event == "start":
            inside = node is element or node.tag not in stop
            pieces += [" " * block, (node.text or "") if inside else ""]
            if not inside:
                walk.skip_subtree()
        else:
            pieces += [" " * block, (node.tail or "") if node is not element else ""]
    return " ".join("".join(pieces).translate(_UNSEEN).split())


def clean(text: str) -> str:
    """Without footnote marks and without bullets, colons and the like at its ends; "" for what has no letter or digit."""
    text = _ENDS.sub("", " ".join(MARKS.sub("", text).split()))
    return text if any(map(str.isalnum, text)) else ""


def entries(element: html.HtmlElement) -> Iterator[str]:
    """The element's own text, then that of each item of the lists in it."""
    stop = LISTS | {"table"}
    yield text_of(element, stop)
    yield from (text_of(item, stop) for item in element.iter("li") if item is not element)
