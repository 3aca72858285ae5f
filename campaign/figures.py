"""What a part of the campaign found: lines of the table, and what broke a promise."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """Lines (promise, how it was tested, figure) and problems, each in a sentence."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def line(self, promise: str, how: str, figure: str) -> None:
        self.lines.append((promise, how, figure))

    def expect(self, holds: bool, otherwise: str) -> bool:
        """Note a problem unless the promise was `kept`."""
        if not holds:
            self.problems.append(otherwise)
        return holds


def table(findings: list[Findings]) -> str:
    """The lines as a Markdown table."""
    rows = [line for part in findings for line in part.lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in [("promise", "how it is tested", "figure"), ("---",) * 3, *rows])
