"""Files that nobody meant as data: what systems, editors and version control leave beside the files that one sees."""

from collections import Counter
from fnmatch import fnmatchcase

# names of files and folders, in lower case, the narrower ones first: the first that fits is counted
UNMEANT = (
    ".ipynb_checkpoints",
    "._*",  # macOS: attributes of the file of that name
    ".ds_store",
    "__macosx",
    "thumbs.db",
    "ehthumbs*.db",
    "desktop.ini",
    "icon\r",
    "$recycle.bin",
    "system volume information",
    "@eadir",  # thumbnails of network storage
    "lost+found",
    "~$*",  # Office: who has the file open
    ".~lock.*",
    "~*.tmp",
    "*~",  # backups and swap files of editors
    "#*#",
    "*.swp",
    "*.swo",
    "*.bak",
    "*.old",
    "*.save",
    "*.orig",
    "*.rej",
    "*.tmp",
    "*.part",  # downloads that did not end
    "*.partial",
    "*.crdownload",
    "*.lock",
    "*conflicted copy*",  # stale copies that file sharing leaves
    "*.sync-conflict-*",
    "_success",  # what Spark and Delta leave beside their files
    "_committed_*",
    "_started_*",
    "_temporary",
    "_metadata",
    "_common_metadata",
    "_delta_log",
    "*.crc",
    "*.lnk",  # shortcuts of Windows
    "*.url",
    "node_modules",
    "site-packages",
    "*.dvc",
    "__pycache__",
    ".*",  # whatever else is hidden
)


def is_meant(path: str, pattern: str, left_out: Counter) -> bool:
    """Whether a file behind a glob is one that a person would have meant; if not, it is counted under the name of its kind.

    A name that the glob itself spells is meant: `*.bak` asks for backups, `.config/*.json` for files of a hidden folder.

    Args:
        path: relative, with `/`.
        pattern: the glob that it fits.
        left_out: counts of files by the entry of UNMEANT that fits.
    """
    spelled = pattern.lower().split("/")
    for part in path.lower().split("/"):
        kind = next((kind for kind in UNMEANT if fnmatchcase(part, kind)), None)
        if kind and not any(fnmatchcase(piece, kind) for piece in spelled):
            left_out[kind] += 1
            return False
    return True
