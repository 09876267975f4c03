"""The rules of the default pack without which no pack loads, as they would be written."""

from __future__ import annotations

from typing import Any

from policies.engine import default_pack
from policies.pack import parse

_RULES = {rule.id: rule for rule in parse(default_pack().read_bytes()).rules}


def _written(name: str) -> dict[str, Any]:
    return _RULES[name].model_dump(exclude_defaults=True, exclude={"level"})


MINORS = [_written(f"minors_sexual_{how}") for how in ("asked", "composed", "scored")]
FIGURES = [
    _written(name)
    for name in ("person_sexualised", "person_voiced", "voters_misled_about_person", "person_in_politics")
]
FLOOR = [*MINORS, *FIGURES]
