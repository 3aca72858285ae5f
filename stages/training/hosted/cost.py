"""What a job costs: an upper bound before anything is sent, the billed tokens afterwards. In US dollars."""

import re
from dataclasses import dataclass

from stages.common.errors import StageError
from stages.common.schema_models import HostedTraining, Price

MOST_EPOCHS = 50  # that the protocol allows
DATED = r"(-\d{4}(-?\d\d){0,2})?"  # what a version adds to a model's name


def price_of(model: str, prices: list[Price], where: str) -> float:
    """Dollars for a million trained tokens: of the entry named `model`, else of the one that a dated name begins with.

    Raises:
        StageError: if no entry fits; nothing is spent at an unknown price.
    """
    for dated in ("", DATED):
        for entry in prices:
            if re.fullmatch(re.escape(entry.model) + dated, model):
                return entry.dollars_per_million_tokens
    raise StageError(where, f"no price for {model}", "an entry for it", "look it up at the provider and add it")


def auto_epochs(rows: int) -> int:
    """The epochs that `auto` stands for by OpenAI's cookbook: 3, more for under 34 rows, fewer for over 8,333.

    The service may choose otherwise; what it chose is known once a job is there (see `Estimate.exceeds`).
    """
    if rows * 3 < 100:
        return min(25, 100 // max(rows, 1))
    return max(1, 25_000 // rows) if rows * 3 > 25_000 else 3


@dataclass(frozen=True)
class Estimate:
    """`tokens` is a bound an epoch (stages/training/hosted/rules.py): one a byte. English text has about a third of it."""

    rows: int
    tokens: int
    epochs: int
    dollars_per_million: float
    limit: float

    @property
    def dollars(self) -> float:
        """At most this."""
        return self.tokens * self.epochs * self.dollars_per_million / 1e6

    def exceeds(self, epochs: object) -> bool:
        """Whether that many epochs, as the service chose them, may cost more than was let pass."""
        return isinstance(epochs, int) and epochs > self.epochs and self.dollars * epochs / self.epochs > self.limit

    def __str__(self) -> str:
        return (
            f"{self.rows} rows, at most {self.tokens} tokens x {self.epochs} epochs x ${self.dollars_per_million:g} a million"
            f" = at most ${self.dollars:.4g} (limit ${self.limit:g})"
        )


def estimate(name: str, params: HostedTraining, model: str, rows: int, tokens: int) -> Estimate:
    """The bound for one job; epochs that the service shall choose are guessed as it documents its choice."""
    epochs = auto_epochs(rows) if params.n_epochs == "auto" else params.n_epochs
    price = price_of(model, params.prices, f"models.{name}.train.prices")
    return Estimate(rows, tokens, epochs, price, params.limit_dollars)


def within_limit(name: str, bound: Estimate) -> None:
    """Stop before anything is sent.

    Raises:
        StageError: if the job may cost more than the limit.
    """
    if bound.dollars > bound.limit:
        raise StageError(
            f"models.{name}.train.limit_dollars",
            str(bound),
            f"at most ${bound.limit:g}",
            "raise the limit, or take fewer rows or epochs; nothing was uploaded or paid",
        )
