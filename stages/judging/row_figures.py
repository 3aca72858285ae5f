"""What the verdicts keep of each row's figures, so that reports compare two revisions row by row and judge nothing again."""

from collections.abc import Sequence

from stages.judging.controls import FLAGS
from stages.judging.directions import FLAGGED
from stages.judging.intervals import mean
from stages.judging.metrics import Figure
from stages.judging.scoring import OF_TASK

Figures = dict[str, dict[str, Figure]]  # by contestant and name


def of_row(figures: Figures, measures: Sequence[str], row: int) -> dict:
    """The keys of a row of the verdicts file that come from figures.

    `likelihood`, of the expected answer by contestant: nats, tokens and tokens predicted right. Hosted models have none, and
    the key is left out where no contestant has one.

    `figures`, by contestant and name: flags of form, and measures of the task that are means over rows.
    """
    sums = {
        contestant: named["perplexity"][0][row, :3].tolist() for contestant, named in figures.items() if "perplexity" in named
    }
    likelihood = {contestant: [round(nats, 4), int(tokens), int(right)] for contestant, (nats, tokens, right) in sums.items()}
    names = [FLAGGED, *FLAGS, *(name for measure in measures for name in OF_TASK[measure])]
    values = {
        contestant: {name: round(float(named[name][0][row, 0]), 4) for name in names if _is_mean_of_rows(named.get(name), row)}
        for contestant, named in figures.items()
    }
    return ({"likelihood": likelihood} if likelihood else {}) | {"figures": values}


def _is_mean_of_rows(figure: Figure | None, row: int) -> bool:
    """Whether a figure is a mean in which this row counts once."""
    return figure is not None and figure[1] is mean and figure[0][row, 1] == 1
