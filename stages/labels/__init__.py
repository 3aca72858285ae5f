"""Label methods: each takes `(rows, params, source)` and yields every row with the reason to drop it, or None to keep it."""

from collections.abc import Callable


def method(name: str) -> Callable:
    """The function of a method."""
    if name == "accounts":
        from stages.labels.accounts import accounts

        return accounts
    from stages.labels.clean import clean

    return clean
