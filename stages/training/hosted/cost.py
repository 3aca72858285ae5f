"""What a job costs: an upper bound before anything is sent, the billed tokens afterwards. In US dollars."""

import re
from dataclasses import dataclass

from stages.common.errors import StageError
from stages.common.schema_models import HostedTraining, Price

MOST_EPOCHS = 50  # that the protocol allows
DATED = r"(-\d{4}(-?\d\d){0,2})?"  # what a version adds to a model's name


def price_of(model: str, prices: list[Price], parameter: str) -> float:
    """Dollars for a million trained tokens, by the entry named `model`, or else by the entry that a dated name begins with.

    Raises:
        StageError: if no entry fits, for nothing is spent at an unknown price.
    """
    for dated in ("", DATED):
        for entry in prices:
            if re.fullmatch(re.escape(entry.model) + dated, model):
                return entry.dollars_per_million_tokens
    raise StageError(parameter, f"no price for {model}", "an entry for it", "look it up at the provider and add it")


def auto_epochs(rows: int) -> int:
    """The epochs that `auto` stands for by OpenAI's cookbook: 3, more for under 34 rows, fewer for over 8,333.

    The service may choose otherwise. The job says what it chose (see `Estimate.exceeds`).
    """
    if rows * 3 < 100:
        return min(25, 100 // max(rows, 1))
    return max(1, 25_000 // rows) if rows * 3 > 25_000 else 3


@dataclass(frozen=True)
class Estimate:
    """What a job may cost at most.

    `tokens` is a bound for one epoch: a token a byte (stages/training/hosted/rules.py). English text has about a third of it.
    """

    rows: int
    tokens: int
    epochs: int
    dollars_per_million: float
    limit: float

    @property
    def dollars(self) -> float:
        """The most that the job may cost."""
        return self.tokens * self.epochs * self.dollars_per_million / 1e6

    def exceeds(self, epochs: object) -> bool:
        """Whether that many epochs, chosen by the service, may cost more than the limit."""
        return isinstance(epochs, int) and epochs > self.epochs and self.dollars * epochs / self.epochs > self.limit

    def __str__(self) -> str:
        return (
            f"{self.rows} rows, at most {self.tokens} tokens x {self.epochs} epochs x ${self.dollars_per_million:g} a million"
            f" = at most ${self.dollars:.4g} (limit ${self.limit:g})"
        )


def estimate(name: str, params: HostedTraining, model: str, rows: int, tokens: int) -> Estimate:
    """The bound for one job. Where the service shall choose the epochs, they are guessed by its documentation."""
    epochs = auto_epochs(rows) if params.n_epochs == "auto" else params.n_epochs
    price = price_of(model, params.prices, f"models.{name}.train.prices")
    return Estimate(rows, tokens, epochs, price, params.limit_dollars)


def within_limit(name: str, bound: Estimate) -> None:
    """Check, before anything is sent, that a job costs no more than the limit.

    Raises:
        StageError: if it may cost more.
    """
    if bound.dollars > bound.limit:
        raise StageError(
            f"models.{name}.train.limit_dollars",
            str(bound),
            f"at most ${bound.limit:g}",
            "raise the limit, or take fewer rows or epochs; nothing was uploaded or paid",
        )
