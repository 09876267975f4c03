"""The report as one page that a person can read: no scripts, nothing from elsewhere, tables behind every plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audits.pages import render
from audits.report.count import Report

_HEIGHT = 160
_STEP = 22
_SERIES = ("received", "released", "held", "refused")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the daily plot, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float
    series: str
    title: str


def page(report: Report) -> str:
    """Render a report as HTML; the same report gives the same bytes."""
    width = max(1, len(report.days)) * _STEP * len(_SERIES) / 2
    return render(
        Path(__file__).with_name("page.html"),
        {"span": span, "percent": percent},
        report=report,
        bars=bars(report.days),
        series=_SERIES,
        width=round(width),
        height=_HEIGHT,
    )


def bars(days: Mapping[str, Mapping[str, int]]) -> list[Bar]:
    """Place the bars of the daily plot, scaled to the busiest."""
    busiest = max((count for counted in days.values() for count in counted.values()), default=1)
    thick = _STEP / 2 - 2
    placed = []
    for place, (day, counted) in enumerate(days.items()):
        for offset, series in enumerate(_SERIES):
            count = counted.get(series, 0)
            tall = round(count / busiest * (_HEIGHT - 10), 1)
            left = (place * len(_SERIES) + offset) * _STEP / 2
            placed.append(Bar(left, _HEIGHT - tall, thick, tall, series, f"{day}: {count} {series}"))
    return placed


def span(milliseconds: int) -> str:
    """Write a duration so that a person grasps it."""
    seconds = milliseconds / 1000
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def percent(rate: float) -> str:
    """Write a rate in percent, with the digits that small error rates need."""
    return f"{rate * 100:.4g} %"
