"""The answers to take away: JSON lines with the exact leaves, and tables for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from audits.queries import Entry

_COLUMNS = ("index", "at", "tag", "actor", "partner", "job", "identity", "rule")


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Write one object a line: the index, and the leaf exactly as it was hashed."""
    for entry in entries:
        yield f'{{"index":{entry.index},"leaf":{entry.leaf.decode()}}}\n'


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Write a table with a heading; a cell that a spreadsheet would run as a formula is quoted with '."""
    yield _csv_line(_COLUMNS)
    for entry in entries:
        yield _csv_line([_harmless(getattr(entry, name)) for name in _COLUMNS])


def _harmless(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
