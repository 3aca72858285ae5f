"""How the pages are made of their templates: everything is escaped, and a page loads nothing.

A browser is told so too: each page's content security policy names the hashes of its own style and script, and allows
nothing else. All that comes from data is escaped by the template engine; no markup is ever made from it.
"""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from affinage.reports import figures
from affinage.reports.outputs import WORKSPACE, Revision
from stages.common.files import clean_text

TEMPLATES = Path(__file__).parent / "templates"
READ_AS = {figures.DIFFERS: "different", figures.NOISE: "no different, beyond noise,"}  # within a sentence


def series(names: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def environment() -> Environment:
    """The template engine: everything is escaped, and numbers are shown by the filters of figures.py."""
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.filters |= {
        "show": figures.show,
        "interval": figures.interval,
        "percent": figures.percent,
        "contestant": figures.contestant,
        "series": series,
        "read_as": lambda reading: READ_AS.get(reading, reading),
        "begin": lambda text: text[:1].upper() + text[1:],
    }
    return engine


def source_in_words(revision: Revision) -> str:
    """`the work tree, based on commit 0123456789`, or `my-experiment (commit 0123456789)`."""
    name, commit = revision.name, (revision.commit or "")[:10]
    if name == WORKSPACE:
        return f"the work tree{f', based on commit {commit}' if commit else ''}"
    return f"commit {commit}" if commit == name[:10] else f"{name} (commit {commit})"


def policy_hash(text: str) -> str:
    """How a content security policy names a style or a script of the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def render_template(name: str, styles: tuple[str, ...], scripts: tuple[str, ...] = (), **values: object) -> str:
    """A page.

    Args:
        name: the template.
        styles, scripts: files of `templates/` that the page holds, one after the other.
        values: what the template names.
    """
    style, script = ("".join((TEMPLATES / file).read_text(encoding="utf-8") for file in files) for files in (styles, scripts))
    page = (
        environment()
        .get_template(name)
        .render(
            style=Markup(style),  # our own files; an escaped style or script would not be one
            script=Markup(script),
            style_hash=policy_hash(style),
            script_hash=policy_hash(script),
            **values,
        )
    )
    return clean_text(page)
