"""What makes two texts the same to us."""

import unicodedata


def normal(text: object) -> str:
    """Unicode NFKC, lower case, white space folded: what makes two texts the same to us."""
    return " ".join(unicodedata.normalize("NFKC", "" if text is None else str(text)).casefold().split())


def question(row: dict) -> str:
    """What is asked, normalized: instruction and input."""
    return f"{normal(row.get('instruction'))}\n{normal(row.get('input'))}"
