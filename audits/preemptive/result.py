"""What a preemptive suite hands back: dated, with data and environment, for machines and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from core.errors import BadInput

Cell = str | int | float | bool
Row = Mapping[str, Cell]
Better = Literal["high", "low"]


def counted(case: str, hits: int, trials: int, *, reach: float, better: Better = "high") -> Row:
    """Make the row of a rate: `hits` of `trials`, its 95 % Wilson score interval, and whether it reached `reach`.

    With `better="low"` the rate counts errors, and must be at most `reach`. Zero trials never pass.
    """
    low, high = wilson(hits, trials)
    rate = hits / trials if trials else 0.0
    passed = trials > 0 and (rate >= reach if better == "high" else rate <= reach)
    measured: Row = {"case": case, "hits": hits, "trials": trials, "rate": round(rate, 6)}
    return {**measured, "low": low, "high": high, "reach": reach, "better": better, "passed": passed}


def untested(case: str, why: str) -> Row:
    """Make the row of something that could not be tried: it never passes, and does not decide whether the run does."""
    return {"case": case, "untested": why, "passed": False}


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Give the 95 % Wilson score interval of a proportion; (0, 1) where nothing was tried."""
    from scipy.stats import binomtest

    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return round(float(interval.low), 6), round(float(interval.high), 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The result of one run.

    Every row has a name in its first column and `passed` among the others; rows made by `counted` can be
    compared with those of another run. `data` names what was tested: SHA-256 by name, or "made by the suite".
    """

    name: str
    dated: str
    quick: bool
    seed: int
    environment: Mapping[str, str]
    rows: tuple[Row, ...]
    data: Mapping[str, str] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether something was tested and all of it reached what it must."""
        tested = [row for row in self.rows if "untested" not in row]
        return bool(tested) and all(row["passed"] for row in tested)

    def json(self) -> str:
        """Render for machines."""
        return json.dumps(asdict(self) | {"passed": self.passed}, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `json` wrote; raises `BadInput` for anything else."""
        try:
            value: dict[str, Any] = json.loads(text)
            del value["passed"]
            return cls(**value | {"rows": tuple(value["rows"])})
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput("This is not the result of a preemptive suite.") from error

    def markdown(self) -> str:
        """Render for people; rows with different columns become tables of their own."""
        about = {**self.environment, "seed": str(self.seed), "quick": str(self.quick)}
        lines = [f"- {name}: {value}" for name, value in sorted(about.items())]
        lines += [f"- data {name}: {digest}" for name, digest in sorted(self.data.items())]
        head = [f"# {self.name}: {'passed' if self.passed else 'FAILED'}", "", f"- dated: {self.dated}"]
        return "\n".join([*head, *lines, *self._tables(), ""])

    def _tables(self) -> list[str]:
        lines: list[str] = []
        columns: tuple[str, ...] = ()
        for row in self.rows:
            if tuple(row) != columns:
                columns = tuple(row)
                lines += ["", _line(columns), _line("---" for _ in columns)]
            lines.append(_line(_shown(row[column]) for column in columns))
        return lines


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(cell: Cell) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
