"""Clause windows: harm buried between harmless sentences is scored on its own."""

from __future__ import annotations

import re

MAX_WINDOWS = 12
_CLAUSE = re.compile(r"[^.!?;:\n。！？]{1,400}(?:[.!?;:\n。！？]+|(?=\s)|$)|[^.!?;:\n。！？]{1,400}")
_MIN_WORDS = 4
_STOPS = ".!?,;: 。！？"


def windows(text: str) -> tuple[str, ...]:
    """Split a text into itself and its sentences, at most 13 in all; short sentences join their neighbour.

    The sentences come without their stop: by itself it moves a score as far as a word does, and few prompts have one.
    """
    clauses = [clause.strip() for clause in _CLAUSE.findall(text) if clause.strip()]
    budget = len(text) / MAX_WINDOWS
    joined: list[str] = []
    for clause in clauses:
        if joined and (len(joined[-1].split()) < _MIN_WORDS or len(joined[-1]) < budget):
            joined[-1] = f"{joined[-1]} {clause}"
        else:
            joined.append(clause)
    bare = [clause.rstrip(_STOPS) or clause for clause in joined]
    return (text, *bare) if len(bare) > 1 else (text,)
