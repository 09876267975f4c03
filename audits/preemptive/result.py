"""What a preemptive suite hands back: dated, with its environment, for machines and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

Cell = str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The result of one run; every row of `rows` has the same columns, with `passed` among them."""

    name: str
    dated: str
    environment: Mapping[str, str]
    rows: tuple[Mapping[str, Cell], ...]

    @property
    def passed(self) -> bool:
        """Whether there are rows and all of them reached what they must."""
        return bool(self.rows) and all(row["passed"] for row in self.rows)

    def json(self) -> str:
        """Render for machines."""
        return json.dumps(asdict(self) | {"passed": self.passed}, indent=2, sort_keys=True) + "\n"

    def markdown(self) -> str:
        """Render for people."""
        columns = list(self.rows[0]) if self.rows else []
        about = [f"- {name}: {value}" for name, value in sorted(self.environment.items())]
        verdict = "passed" if self.passed else "FAILED"
        table = [columns, ["---"] * len(columns), *([str(row[c]) for c in columns] for row in self.rows)]
        lines = [f"| {' | '.join(cells)} |" for cells in table]
        return "\n".join([f"# {self.name}: {verdict}", "", f"- dated: {self.dated}", *about, "", *lines, ""])
