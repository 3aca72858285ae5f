"""Files that no reader of text can read: what they are by their first bytes, and what would help.

Read as text in an encoding that knows every byte, such as Latin-1, they would give rows of nonsense.
"""

import re

from stages.common.errors import StageError
from stages.sources import SourceFile

SECTION = "datasets.<name>.scrape.sources.<source>"
_OPEN = f'set {SECTION}.members to a glob of the files in it, such as "*"; one inside another archive is to be unpacked'
_CONVERT = "save it as text, CSV or JSON Lines"
MAGIC = {  # first bytes: what it is, and the fix
    rb"version https://git-lfs\.github\.com/spec/v1\n": (
        "a pointer of Git LFS, which stands for a file",
        "git lfs pull, or fetch the file itself",
    ),
    rb"\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\x00": ("a packed file (gz, bz2 or xz)", _OPEN),
    rb"PK\x03\x04|PK\x05\x06": (
        "a zip archive, as documents of Office are, too",
        f"{_OPEN}; for sheets of Excel set {SECTION}.reader to excel; other documents are to be saved as text",
    ),
    rb"\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07": ("a zstd, 7z or RAR archive", "unpack it, or pack it as zip or gz"),
    rb"PAR1": ("a Parquet file", f"set {SECTION}.reader to parquet"),
    rb"%PDF-": ("a PDF", _CONVERT),
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Office file, or one with a password", _CONVERT),
    rb"SQLite format 3\x00": ("an SQLite database", _CONVERT),
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a": ("an image", "choose other files: images hold no text"),
}


def refuse(file: SourceFile, text: bool) -> None:
    """Refuse a file that is not what its reader reads.

    Args:
        text: whether it is to be read as text. What is not is checked by its own reader.

    Raises:
        StageError: naming what the file is.
    """
    with open(file.path, "rb") as stream:
        start = stream.read(64)
    for number, (magic, (content, fix)) in enumerate(MAGIC.items()):
        if (text or not number) and re.match(magic, start):
            raise StageError(file.place, content, "a text file" if number else "the file itself", fix)
