"""A newcomer finds every page: docs/index.md names it by its question, and every link leads somewhere."""

import re

import pytest

from tests.figures import PAGES
from tests.imports import ROOT

DOCS = [page for page in PAGES if page.parent.name == "docs"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def links(text: str) -> list[str]:
    """The files that a page leads to, without places inside them; blocks of code are none of it."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    return [target.split("#")[0] for target in LINK.findall(prose) if "://" not in target and not target.startswith("#")]


def test_links_are_found():
    text = "[a](b.md#c) ![d](e.svg) [f](https://g) `[h](i)`\n```\n[j](k)\n```\n"
    assert links(text) == ["b.md", "e.svg"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    missing = [target for target in links(page.read_text(encoding="utf-8")) if not (page.parent / target).exists()]
    assert missing == []


def test_the_index_names_every_page_by_its_question():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| \[([^\]]+)\]\([^)]+\) \| (.+?) \|$", index, re.MULTILINE))
    titles = {page.name: page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for page in DOCS}
    del titles["index.md"]
    assert named == titles
    assert [name for name, title in titles.items() if not title.endswith("?")] == []


def test_the_readme_leads_to_the_index_and_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"docs/index.md", "docs/tutorial.md", "docs/troubleshooting.md"} <= {*links(text)}
    words = re.sub(r"<!--.*?-->", "", text).split()
    assert len(words) < 1400
