"""Which territory lies within which, as far as overlays and elections need to know."""

from __future__ import annotations

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
    ]
)


def covers(place: str, other: str) -> bool:
    """Tell whether all of `other` lies within `place`: `EU` covers `DE`, `US` covers `US-NY`; "" is everywhere."""
    country = other.partition("-")[0]
    return place in {"", other, country} or (place == "EU" and country in EU)


def overlap(place: str, other: str) -> bool:
    """Tell whether what is shown in one place is seen in the other."""
    return other == "" or covers(place, other) or covers(other, place)
