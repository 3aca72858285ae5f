"""Label methods: each takes `(raw, params)`, the folder of raw rows and its section of params.yaml, and gives `Labelled`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.common.schema_data import Accounts, Clean, Parts

# every row with the reason to drop it ("; " before what is said of it alone) or None to keep it; and further metrics, to be
# asked for after the last row
Labelled = tuple[Iterator[tuple[dict, str | None]], Callable[[], dict]]


def _accounts(raw: Path, params: "Accounts") -> Labelled:
    from stages.labels.accounts import label_accounts

    return label_accounts(raw, params)


def _clean(raw: Path, params: "Clean") -> Labelled:
    from stages.labels.clean import label_clean

    return label_clean(raw, params)


def _parts(raw: Path, params: "Parts") -> Labelled:
    from stages.labels.reviews import label_parts

    return label_parts(raw, params)


METHODS: dict[str, Callable[..., Labelled]] = {"accounts": _accounts, "clean": _clean, "parts": _parts}
