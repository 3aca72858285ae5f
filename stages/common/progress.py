"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Counts units of work; `note(...)` shows figures beside the count. Writes to stderr only."""

    def __init__(
        self, total: int | None, work: str, unit: str = "row", done: int = 0, every: float = 15.0, quiet: bool = False
    ):
        self.total, self.work, self.unit, self.every = total, work, unit, float("inf") if quiet else every
        self.done, self.first, self.start, self.last, self.figures = done, done, time.monotonic(), time.monotonic(), ""
        self.bar = (
            tqdm(
                total=total,
                desc=work,
                unit=unit,
                initial=done,
                file=sys.stderr,
                dynamic_ncols=True,
            )
            if sys.stderr.isatty() and not quiet
            else None
        )

    def add(self, count: int = 1, **figures: object) -> None:
        self.done += count
        self.figures = " ".join(f"{name}={value}" for name, value in figures.items())
        if self.bar is not None:
            self.bar.set_postfix_str(self.figures, refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.last >= self.every:
            self._line()

    def _line(self) -> None:
        self.last = time.monotonic()
        rate = (self.done - self.first) / max(self.last - self.start, 1e-9)
        of = f"/{self.total}" if self.total is not None else ""
        left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
        print(f"{self.work}: {self.done}{of} {self.unit}s{left} {self.figures}".rstrip(), file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, *_) -> None:
        if self.bar is not None:
            self.bar.close()
        elif kind is None and self.every < float("inf"):
            self._line()
