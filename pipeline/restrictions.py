"""Strikes by the terms of the pack that is active in this installation."""

from __future__ import annotations

from sqlmodel import Session

from core.tables import Job
from pipeline import strikes
from pipeline.tools import Tools
from policies.pack import StrikesText


def terms_of(session: Session, tools: Tools) -> StrikesText | None:
    """Give what refusals cost by the active pack."""
    return tools.book.base(session, tools.pack).text.strikes


def settled(session: Session, tools: Tools, job: Job, reviewer: str) -> None:
    """Follow a reviewer's decision on a request with strikes, in the transaction of the decision."""
    if job.user is not None:
        terms, actor = terms_of(session, tools), f"reviewer:{reviewer}"
        strikes.settle(session, job, terms, actor=actor, clock=tools.clock, vault=tools.vault)
