"""How the rows are to be divided: a split that the files or a column give already, and rows that belong together."""

import re
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from itertools import islice
from pathlib import PurePosixPath

from affinage.adding.deciding import Decision
from affinage.adding.material import Material
from affinage.adding.reading import rows_of_all
from stages.common.errors import StageError
from stages.common.text_keys import folded_key
from stages.splits import PARTS

WORDS = {  # words of the names of files
    "train": {"train", "training", "trn"},
    "validation": {"validation", "valid", "val", "dev", "devel", "development"},
    "test": {"test", "testing", "tst", "heldout", "holdout"},
    "eval": {"eval", "evaluation"},  # test rows where no file is called test, else validation rows
}
SAYS_PART = ("split", "part", "partition", "fold", "set", "subset")  # names of columns
# columns whose rows belong together: by their names alone, or where no value has many rows
_SURE = """
group focus document documentid docid doc article articleid passageid contextid conversationid dialogid dialogueid threadid
thread sessionid ticketid pageid storyid paragraphid sourceid questionid parentid
"""
_LIKELY = """topic subject theme title page url chapter section entity disease passage context"""
SURE_GROUPS, LIKELY_GROUPS = map(str.split, (_SURE, _LIKELY))
SURE_SHARE, LIKELY_SHARE, LIKELY_LEAST = 0.25, 0.1, 20  # of the rows at most in one group; groups at least
LOOKED_AT, CHARACTERS = 50_000, 1 << 25  # rows whose values are counted, and characters in them, at most


@dataclass
class Division:
    """How rows are divided.

    Args:
        preset: a split that is given, as `split.given` takes it; "" for by hash.
        notes: lines that say what was seen and done.
    """

    preset: str | dict[str, str | list[str]] = ""
    notes: list[str] = field(default_factory=list)


def division(new: Material, decision: Decision, defaults: dict, by: str = "", group: str = "") -> Division:
    """What is given and what belongs together; the decision's group is set, and its column kept.

    Args:
        by: `given` or `hash` where options say so; "" keeps a given split.
        group: a column that options name; `none` for none.

    Raises:
        StageError: for a split that is not there, or a group that is no column.
    """
    if by not in ("", "given", "hash"):
        raise StageError(f"--split {by}", "no such way to divide", "given or hash", "edit --split")
    roles, divided = decision.roles, Division()
    values = _values(new, decision, defaults)
    divided.preset = _given_files(new.names, divided.notes) or _given_column(decision, values, divided.notes)
    if by == "hash" and divided.preset:
        divided.notes.append("--split hash: rows are divided by hash all the same; rows of the given test may be trained on")
        divided.preset = ""
    if by == "given" and not divided.preset:
        expected = "files called train and test, or a column split with train, validation and test"
        raise StageError("--split given", "; ".join(divided.notes) or "no split in files or columns", expected, "--split hash")
    if isinstance(divided.preset, str) and divided.preset:
        roles.keep.append(divided.preset)
    if decision.way.kind == "medquad":
        divided.notes.append("group focus, else document: rows that share it stay in one part")
    if roles.task in ("parts", "accounts") or decision.way.kind == "medquad":
        return divided
    if group and group != "none" and group not in values and group not in decision.way.shared:
        raise StageError(f"--group {group}", "no such column", f"one of {', '.join(decision.way.shared)}", "edit --group")
    before = roles.group
    roles.group = "" if group == "none" else group or ("" if divided.preset else _group(decision, values, divided.notes))
    if divided.preset and before and not group:
        divided.notes.append(f"{before}: no group, for the split is given")
    if before and before != roles.group and before in roles.keep:
        roles.keep.remove(before)
    if roles.group in roles.columns.values():
        roles.group = next(ours for ours, theirs in roles.columns.items() if theirs == roles.group)
    elif roles.group and roles.group not in roles.keep:
        roles.keep.append(roles.group)
    return divided


def parts_of(names: list[str]) -> dict[str, list[str]]:
    """The files by the part that their names say, or the folders that they are in; "" for those that say none."""
    part_of = {name: _part(name) for name in names}
    has_test = "test" in part_of.values()
    parts: dict[str, list[str]] = {}
    for name, part in part_of.items():
        parts.setdefault("validation" if part == "eval" and has_test else "test" if part == "eval" else part, []).append(name)
    return parts


def _part(name: str) -> str:
    for piece in reversed(PurePosixPath(name).parts):
        words = set(re.findall("[a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", piece.partition(".")[0]).lower()))
        parts = [part for part, some in WORDS.items() if words & some]
        if parts:
            return parts[0] if len(parts) == 1 else ""
    return ""


def _given_files(names: list[str], notes: list[str]) -> dict[str, str | list[str]]:
    parts = parts_of(names)
    held_back = {part: parts[part] for part in ("validation", "test") if part in parts}
    others = len(names) - sum(map(len, held_back.values()))
    if not held_back or not others or ("train" not in parts and others > 2):
        if held_back and len(names) > 1:
            notes.append(f"{len(names) - others} of {len(names)} files are called test or the like: no given split")
        return {}
    listing = [
        f"{len(some)} files of {part}" if len(some) > 2 else f"{' and '.join(some)}: {part}"
        for part, some in parts.items()
        if part
    ]
    notes.append(f"given split: {'; '.join(listing)}")
    if unsaid := parts.get("", []):
        notes.append(f"{', '.join(unsaid[:4])}{', …' * (len(unsaid) > 4)}: no part in the name, divided like the train rows")
    kept = " and ".join(held_back)
    notes.append(
        f"kept: {kept} stay as they are, the rest is {'divided' if len(held_back) == 1 else 'train'}; --split hash mixes all"
    )
    return {part: _glob(some, names, part) for part, some in held_back.items()}


def _glob(some: list[str], names: list[str], part: str) -> str | list[str]:
    """A glob that fits these names and no others of all; the names themselves where there is none."""
    if len(some) == 1:
        return escape(some[0])
    folders = {PurePosixPath(name).parent.as_posix() for name in some}
    candidates = [f"{escape(folder)}/*" for folder in folders if len(folders) == 1 and folder != "."]
    for word in sorted(WORDS[part] | WORDS["eval"]):
        candidates += [f"{word}*", f"*/{word}*", f"*{word}.*", f"*{word}*"]
    for glob in candidates:
        if [name for name in names if fnmatchcase(name, glob)] == some:
            return glob
    return list(map(escape, some))


def _values(new: Material, decision: Decision, defaults: dict) -> dict[str, Counter]:
    """By column that may say a part or a group its values, and how many rows have each; of what is fetched, the first rows."""
    names = {name for name in decision.way.shared if _plain(name) in {*SAYS_PART, *SURE_GROUPS, *LIKELY_GROUPS}}
    counts: dict[str, Counter] = {name: Counter() for name in names}
    if not names:
        return counts

    characters = 0
    for row in islice(rows_of_all(new, decision.way, defaults), LOOKED_AT):
        characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if characters > CHARACTERS:
            break
        for name in names:
            value = row.get(name)
            if isinstance(value, str | int | float):
                counts[name][folded_key(value)] += 1
            elif value:
                counts[name][""] += 0  # a list or an object: no group
    return counts


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _given_column(decision: Decision, values: dict[str, Counter], notes: list[str]) -> str:
    used = set(decision.roles.columns.values())
    for name in values:
        named_parts = {value for value in values[name] if value}
        if _plain(name) not in SAYS_PART or name in used or not {"train", "test"} & named_parts or len(named_parts) > 6:
            continue
        if {"train", "test"} <= named_parts <= set(PARTS):
            counts = ", ".join(f"{values[name][part]} {part}" for part in PARTS if part in named_parts)
            looked_at = values[name].total()
            notes.append(f"given split: column {name} says {counts} (of {looked_at} rows looked at); --split hash mixes all")
            return name
        listing = ", ".join(sorted(named_parts))
        notes.append(f"column {name} says {listing}: not kept, for split.given knows train, validation and test alone")
    return ""


def _group(decision: Decision, values: dict[str, Counter], notes: list[str]) -> str:
    """The column whose rows belong together: one of telling name, with many values of few rows."""
    used = {theirs: ours for ours, theirs in decision.roles.columns.items()}
    for names, share, least in ((SURE_GROUPS, SURE_SHARE, 3), (LIKELY_GROUPS, LIKELY_SHARE, LIKELY_LEAST)):
        for name in sorted(values, key=lambda name: names.index(_plain(name)) if _plain(name) in names else len(names)):
            counts = Counter({value: count for value, count in values[name].items() if value and count})
            rows = counts.total()
            if _plain(name) not in names or used.get(name, "input") != "input" or not rows or len(counts) == rows:
                continue
            largest = max(counts.values())
            about = f"{name} has {len(counts)} values in {rows} rows looked at, the most frequent {largest} times"
            if len(counts) >= least and largest <= share * rows and rows > 0.5 * sum(values[name].values()):
                notes.append(f"group {about}: rows that share it stay in one part; --group none divides them")
                return name
            notes.append(f"{about}: a category, no group; --group {name} would keep its rows in one part")
    return ""
