"""Leaves of every kind put straight into the table of events, and a plain answer to compare a search with."""

from __future__ import annotations

import json
import random
from typing import Any

from audits.filters import EVERYTHING, Filter
from audits.queries import Page, events
from audits.terms import terms
from core.clock import milliseconds
from core.events import canonical
from core.tables import AuditEvent

PACK, MODEL, CHECKPOINT = "a" * 64, "b" * 64, "c" * 64
RULES = [
    {"id": "hate", "outcome": "refuse", "code": "hate", "category": "hate", "grave": 0},
    {"id": "slur", "outcome": "hold", "code": "slur", "category": "hate_speech", "grave": 0},
]
DECIDED = {"stage": "prompt", "outcome": "refuse", "pack": PACK, "rules": RULES, "consents": []}
DECIDED |= {"models": [{"name": "minilm", "sha256": MODEL}], "matches": []}


def put(log: Any, *leaves: dict[str, Any]) -> None:
    """Commit events with these leaves; what is left out is filled in."""
    with log.store.session() as session:
        for given in leaves:
            said = {"v": 1, "at_ms": milliseconds(log.clock.now()), "actor": "system"} | given
            columns = {name: said.get(name) for name in ("partner", "job", "identity", "rule")}
            session.add(
                AuditEvent(
                    at_ms=said["at_ms"], tag=said["tag"], actor=said["actor"], leaf=canonical(said), **columns
                )
            )
            session.flush()
        session.commit()


def first_leaves() -> list[dict[str, Any]]:
    """Let twelve requests begin, as every request does, with the leaf that names its territory."""
    return [
        {
            "tag": "request:received",
            "partner": f"p_{number % 3}",
            "job": f"clip_{number}",
            "at_ms": 1_000_000 + number,
            "facts": {"territory": "EU" if number % 2 else "US", "identities": ["person_1"]},
        }
        for number in range(12)
    ]


def some_leaf(rng: random.Random) -> dict[str, Any]:
    """Make a leaf that many filters can hit, at a time that is not in order."""
    tag = rng.choice(["policy:decided", "clip:held", "clip:released", "review:decided", "key:rotated"])
    number = rng.randrange(12)
    leaf: dict[str, Any] = {"tag": tag, "at_ms": 1_000_000 + rng.randrange(100_000)}
    leaf["actor"] = rng.choice(["system", "reviewer:ann", "reviewer:bob", "worker:w"])
    if tag != "key:rotated":
        leaf |= {"partner": f"p_{number % 3}", "job": f"clip_{number}"}
    if tag == "policy:decided":
        leaf["facts"] = DECIDED | {"outcome": rng.choice(["allow", "hold"])}
        leaf["rule"] = rng.choice(["hate", "slur"])
    return leaf


def search(log: Any, wanted: Filter = EVERYTHING, **more: Any) -> Page:
    with log.store.reading() as session:
        return events(session, wanted, **more)


def indexes(page: Page) -> list[int]:
    return [entry.index for entry in page.entries]


def plainly(leaves: list[bytes], *filters: Filter) -> list[int]:
    """Filter every leaf, one after the other, with nothing but the definition."""
    places: dict[str, str] = {}
    found = []
    for index, leaf in enumerate(leaves):
        said = json.loads(leaf)
        if said["tag"] == "request:received":
            places[said["job"]] = said["facts"]["territory"]
        known = terms(said, places.get(said.get("job", "")))
        if all(wanted.matches(said["at_ms"], known) for wanted in filters):
            found.append(index)
    return found
