"""The entries that are to be written into params.yaml, and the files that they need below data/sources/."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from affinage.adding import account_roles
from affinage.adding.deciding import Decision
from affinage.adding.dividing import Division
from affinage.adding.material import PUBLIC, SOURCES, Material
from stages.common.errors import StageError
from stages.sources.columns import column
from stages.sources.local import find

STYLES = {"instructions": "alpaca", "chat": "chat", "completion": "completion"}
STYLES |= dict.fromkeys(("classification", "accounts"), "classification")
MARKS = {"prompt_ending": " ->", "completion_start": " ", "completion_ending": " END"}
LICENCE = "not stated"  # of rows that are added; a person who knows it writes it
SHIPPED = Path("data/sources/car_reviews")  # reviews and names of parts that come with this repository
DICTIONARIES = {
    "parts_list": {"files": "parts/list.html", "reader": {"kind": "html_list"}, "columns": {"name": "name"}},
    "parts_table": {
        "files": "parts/table.html",
        "reader": {"kind": "html_table", "column": "Part"},
        "columns": {"name": "name"},
    },
}
SYNONYMS = {"files": "synonyms.csv", "reader": "csv", "columns": {"name": "name", "means": "means", "within": "within"}}
REVIEWS = {"files": "reviews/*.csv", "reader": "reviews_csv", "columns": {"review": "review", "problem": "problem"}}


@dataclass
class Plan:
    """What is to be written.

    Args:
        name: of the dataset.
        entry: of the dataset.
        rows: its source that is labelled.
        origins: by source, where its files lie now; None for what is fetched.
        copies: files to copy, from and to.
    """

    name: str
    entry: dict
    rows: str = "rows"
    origins: dict[str, Path | None] = field(default_factory=dict)
    copies: list[tuple[Path, Path]] = field(default_factory=list)


def plan(material: Material, decision: Decision, division: Division, encoding: str, defaults: dict, in_place: bool) -> Plan:
    """The entry of a dataset.

    Raises:
        StageError: where its files cannot lie where the entry needs them.
    """
    section = _section(material, decision, encoding, defaults)
    planned = Plan(material.name, {})
    sources, label = {"rows": section}, {"method": "clean"}
    planned.origins = {"rows": material.path}
    task = decision.roles.task
    if task == "parts":
        sources, label = _parts(planned, section, "name" in decision.roles.columns)
    elif task == "accounts":
        sources, label = _accounts(planned, section)
    elif task == "classification":
        label["required"] = ["text", "label"]
    elif decision.way.kind == "medquad":
        label["conflicts"] = "keep"  # several institutes answer one question
    elif "messages" in decision.roles.columns:
        label["required"] = ["messages"]
    source = _place(material, planned, sources, in_place)
    planned.entry = {
        "source": source,
        "scrape": {"sources": sources},
        "label": label,
        "split": _split(decision, division, defaults),
        "format": {"style": "completion", **MARKS} if task in ("parts", "completion") else {"style": STYLES[task]},
    }
    return planned


def _section(material: Material, decision: Decision, encoding: str, defaults: dict) -> dict:
    """What `scrape.sources` says of the rows; what the defaults say alike is left out."""
    usual = (defaults.get("scrape", {}).get("sources", {}).get("all") or {}).get("encoding", "")
    section = {key: value for key, value in material.section.items() if (key, value) != ("kind", "local")}
    members = {"members": section.pop("members")} if "members" in section else {}
    section["reader"] = decision.way.reader
    if encoding and encoding != usual:
        section["encoding"] = encoding
    section["columns"] = decision.roles.columns
    if decision.roles.keep:
        section["keep"] = decision.roles.keep
    return section | members | {"licence": LICENCE}


def _split(decision: Decision, division: Division, defaults: dict) -> dict:
    usual, roles = defaults.get("split", {}), decision.roles
    group = {"group": roles.group} if roles.group else {}
    if roles.task in ("parts", "accounts"):
        group = {"group": "group"}
    elif decision.way.kind == "medquad":
        group = {"group": ["focus", "document"]}
    classes = roles.task in ("classification", "accounts") and (isinstance(division.preset, dict) or not division.preset)
    stratify = {"stratify": "label"} if classes else {}
    held_back = {part: usual.get(part, 0.1) for part in ("validation", "test")}
    if roles.task == "classification" and _rows_of_the_largest(decision) < 3:
        held_back["validation"] = 0.0  # a row to train on and one to test by is all that a class has
    if division.preset:
        held_back |= dict.fromkeys(division.preset if isinstance(division.preset, dict) else held_back, 0.0)
    preset = {"given": division.preset} if division.preset else {}
    train = {} if usual.get("train") == "rest" else {"train": round(1 - sum(held_back.values()), 9)}
    return preset | group | stratify | train | {part: share for part, share in held_back.items() if usual.get(part) != share}


def _rows_of_the_largest(decision: Decision) -> int:
    """How many rows the largest class has, among those looked at."""
    value_of, classes = column(decision.roles.columns["label"], "label"), Counter()
    for row in decision.way.rows:
        with suppress(KeyError):  # a row without: `scrape` says so
            classes[str(value_of(row))] += 1
    return max(classes.values(), default=0)


def _parts(planned: Plan, section: dict, names: bool) -> tuple[dict, dict]:
    """Sources and label of reviews with the shipped names of parts, or of the shipped reviews with one's own names."""
    if names:
        sources = {"reviews": dict(REVIEWS), "names": section}
        planned.origins = {"reviews": SHIPPED, "names": planned.origins["rows"]}
    else:
        sources = {"reviews": section, **DICTIONARIES, "synonyms": SYNONYMS}
        planned.origins = {"reviews": planned.origins["rows"], **dict.fromkeys((*DICTIONARIES, "synonyms"), SHIPPED)}
    planned.rows = "reviews"
    label = {"method": "parts", "reviews": "reviews", "text": "review", "mixed": 0}
    label |= {"dictionaries": ["names"] if names else list(DICTIONARIES), "synonyms": "" if names else "synonyms"}
    return sources, label | {"gold": "", "target": "parts", "none": "none"}


def _accounts(planned: Plan, section: dict) -> tuple[dict, dict]:
    """Sources and label of the shipped invoice lines with one's own chart, or of one's own lines with the shipped chart."""
    own, ours = planned.origins["rows"], section["columns"]
    planned.rows, label = "lines", {"method": "accounts", "lines": "lines", "chart": "chart", **account_roles.LABEL}
    if "number" in ours:
        planned.origins = {"lines": account_roles.SHIPPED, "chart": own}
        return {"lines": dict(account_roles.LINES), "chart": section}, label
    planned.origins = {"lines": own, "chart": account_roles.SHIPPED}
    texts = [name for name in ours if name != "account"]
    return {"lines": section, "chart": dict(account_roles.CHART)}, label | {"text": texts, "group": texts}


def _place(material: Material, planned: Plan, sources: dict, in_place: bool) -> str:
    """The dataset's `source`, and the copies that it needs."""
    shipped = not {SHIPPED, account_roles.SHIPPED}.isdisjoint(planned.origins.values())
    if material.path is None and not shipped:
        return PUBLIC
    where = _relative(material.path) if material.path is not None else ""
    if not shipped and (in_place or Path(where).is_relative_to(SOURCES)):
        return where
    if in_place:
        raise StageError(
            f"--in-place {where}",
            "a dataset of parts or accounts, whose files come from two folders",
            f"all of them below {SOURCES}/{planned.name}",
            "leave --in-place out",
        )
    target = SOURCES / planned.name
    for key, origin in planned.origins.items():
        if origin is None:
            continue
        for path in find(origin, sources[key]["files"], material.left_out):
            planned.copies.append((path, target / (path.name if path == origin else path.relative_to(origin))))
    return target.as_posix()


def _relative(path: Path) -> str:
    """The path from the repository's root where it lies below, else the whole one."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()).as_posix() if whole.is_relative_to(Path.cwd()) else whole.as_posix()


def model_entry(base: str, task: str, bases: dict) -> dict:
    """The entry of a model that learns the dataset, but for `dataset`.

    Raises:
        StageError: for a base that is not there, or cannot learn this.
    """
    if base not in bases:
        expected = f"one of {', '.join(bases)}"
        raise StageError(
            f"--model {base}", "no such base", expected, "affinage recipe --list shows more bases; or add it under bases"
        )
    architecture = (bases[base].get("base") or {}).get("architecture")
    classes = task in ("classification", "accounts")
    if architecture is None or (architecture == "encoder" and not classes):
        fit = [name for name, section in bases.items() if (section.get("base") or {}).get("architecture") == "causal"]
        kind = f"a base of architecture {architecture}" if architecture else "a hosted base, which needs parameters of its own"
        raise StageError(f"--model {base}", kind, f"one that can learn {task} here: {', '.join(fit)}", "name another base")
    method = "classifier" if classes else "causal"
    judge = {} if method == "classifier" else {"judges": {"content": {}}}
    judge = {"measures": ["parts"], **judge} if task == "parts" else judge
    return {"shards": "train", "base": base, "root": base, "train": {"method": method}, "generate": {}, "judge": judge}
