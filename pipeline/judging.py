"""A decision of the pack that is in force for a request now, and what the pack in the shadow would have said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from core.clock import milliseconds
from core.decision import Decision, Stage
from core.errors import PolicyError
from core.tables import Job
from pipeline import rulings
from pipeline.rulebook import InForce, differing
from pipeline.tools import Tools


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision, and how the pack in the shadow would have differed."""

    decision: Decision
    differs: dict[str, Any] | None = None


def in_force(session: Session, job: Job, tools: Tools) -> InForce:
    """Say what decides on a request now; raises `PolicyError` where it cannot be put together."""
    now_ms = milliseconds(tools.clock.now())
    return tools.book.in_force(
        session, tools.pack, partner=job.partner, territory=job.territory, now_ms=now_ms
    )


def judged(stage: Stage, force: InForce, facts: dict[str, Any]) -> Judged:
    """Decide on facts, and let the shadow decide beside."""
    decision = force.active.decide(stage, facts)
    return Judged(decision, differing(stage, force, decision))


def judge_screened(session: Session, job: Job, tools: Tools, facts: dict[str, Any]) -> Judged:
    """Decide on what was seen; a pack that cannot be put together holds it."""
    try:
        return judged("screen", in_force(session, job, tools), facts)
    except PolicyError as error:
        return Judged(rulings.fault("screen", tools.pack, error.message))
