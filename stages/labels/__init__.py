"""Label methods: each takes `(raw, params)` and gives `Labelled`."""

from collections.abc import Callable, Iterator

# every row with the reason to drop it ("; " before what is said of it alone) or None to keep it; and further metrics, to be
# asked for after the last row
Labelled = tuple[Iterator[tuple[dict, str | None]], Callable[[], dict]]


def method(name: str) -> Callable[..., Labelled]:
    """The function of a method."""
    if name == "accounts":
        from stages.labels.accounts import label_accounts

        return label_accounts
    if name == "parts":
        from stages.labels.reviews import label_parts

        return label_parts
    from stages.labels.clean import label_clean

    return label_clean
