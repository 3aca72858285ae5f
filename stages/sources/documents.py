"""Text and Markdown: a row a file, a paragraph or a line."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.common.schema_sources import Text
from stages.sources import SourceFile
from stages.sources.encodings import open_text, undecodable

MARKDOWN = (".md", ".markdown", ".mdown", ".mkd")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")


def read_text(file: SourceFile, params: Text) -> Iterator[dict]:
    """Rows `text, heading, file`. Paragraphs are parted by empty lines; empty ones are no rows.

    In Markdown `heading` is the one above, headings are no rows of their own, and code between fences stays whole.
    """
    name = PurePosixPath(file.name)
    markdown, heading = name.suffix.lower() in MARKDOWN, ""
    try:
        with open_text(file) as stream:
            if params.rows == "file":
                text = re.sub(r"\r\n?", "\n", stream.read())
                first = next(filter(None, map(_HEADING.match, text.split("\n"))), None) if markdown else None
                if text.strip():
                    yield {"text": text.strip(), "heading": first[1] if first else "", "file": name.stem}
                return
            paragraph, fence = [], ""
            for line in stream:
                line = line.rstrip("\r\n")
                mark = _FENCE.match(line) if markdown else None
                if mark and (not fence or mark[1].startswith(fence)):
                    fence = "" if fence else mark[1]
                title = _HEADING.match(line) if markdown and not fence and not mark else None
                if paragraph and (title or params.rows == "line" or not (line.strip() or fence)):
                    yield {"text": "\n".join(paragraph).strip(), "heading": heading, "file": name.stem}
                    paragraph = []
                if title:
                    heading = title[1]
                elif line.strip() or (paragraph and fence):
                    paragraph.append(line)
            if paragraph:
                yield {"text": "\n".join(paragraph).strip(), "heading": heading, "file": name.stem}
    except UnicodeError as error:
        raise undecodable(file, error) from None
