"""Whether a figure is better when it is higher, lower, or neither. Reports read it: it imports nothing that is slow to load."""

from stages.judging.controls import FLAGS

FLAGGED = "flagged"  # the share of answers that have any flag of form
LOWER_IS_BETTER = frozenset(
    {"perplexity", "bits_per_byte", "log_loss", "calibration_error", "count_error", "unreadable", FLAGGED, *FLAGS}
)
NEITHER_IS_BETTER = frozenset({"tokens", "prompt_tokens"})
