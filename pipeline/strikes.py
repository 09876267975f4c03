"""Strikes: what refusals cost the partner's user who asked, and what follows from the sum of them.

A partner names its user by an id of its own; here only a keyed digest of it is kept. Weights, levels and terms are
those of the active pack. What holds now is always counted from the strikes that have not expired, so that a
restriction ends by itself; the row of the user only remembers what was announced last, and lets one change at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, func, select

from core.clock import Clock, milliseconds
from core.decision import Decision, RuleHit, from_json
from core.errors import BadInput, Conflict, NotFound, TooMany
from core.events import Event, Tag, record
from core.state import State
from core.tables import EndUser, Job, Strike
from core.vault import Vault
from pipeline.review import MIN_REASON, latest_ruling
from policies.pack import StrikesText

Level = Literal["none", "slow", "hold", "suspend"]
Why = Literal["staff", "appeal"]
LEVELS: tuple[Level, ...] = ("none", "slow", "hold", "suspend")
_THOUSAND, _TENTHS = 1000, 10
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
MAX_COUNTED = 1000
"""Strikes of one user that are kept at most; beyond, nothing would change any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a user stands: `total` of the strikes that count, how many, and when the next of them expires."""

    level: Level
    total: float
    strikes: int
    next_expiry_ms: int | None


def alias(vault: Vault, partner: str, end_user: str) -> str:
    """Give the id under which a partner's user is known here; nobody can get back from it to theirs."""
    return f"user_{vault.alias(f'{partner}|{end_user}')[:40]}"


def standing(session: Session, partner: str, user: str, terms: StrikesText | None, now_ms: int) -> Standing:
    """Count the strikes of a user that neither expired nor were lifted; a pack without terms restricts nobody."""
    counted = _counting(partner, user, now_ms)
    total, count, soonest = session.execute(
        select(func.coalesce(func.sum(Strike.weight), 0), func.count(), func.min(Strike.expires_ms)).where(
            *counted
        )
    ).one()
    return Standing(_level(total / _THOUSAND, terms), total / _THOUSAND, count, soonest)


def check_pace(session: Session, partner: str, user: str, terms: StrikesText | None, now_ms: int) -> None:
    """Raise `TooMany` for a user who is slowed down and asked too often within the hour."""
    if terms is None or standing(session, partner, user, terms, now_ms).level == "none":
        return
    mine = (Job.partner == partner, Job.user == user, col(Job.created_ms) > now_ms - _HOUR_MS)
    if session.exec(select(func.count()).select_from(Job).where(*mine)).one() >= terms.per_hour:
        raise TooMany(
            f"This user may ask {terms.per_hour} times an hour, since requests of theirs were refused."
        )


def strike(session: Session, job: Job, decision: Decision, terms: StrikesText | None, clock: Clock) -> bool:
    """Count a refusal against the user who asked, once for each request; tell whether it counted."""
    cost = _cost(decision, terms)
    if job.user is None or terms is None or cost is None:
        return False
    row = _locked(session, job.partner, job.user, clock)
    now_ms = milliseconds(clock.now())
    before = standing(session, job.partner, job.user, terms, now_ms)
    if session.get(Strike, job.id) is not None or before.strikes >= MAX_COUNTED:
        return False
    weight, category = cost
    expires_ms = now_ms + terms.days * _DAY_MS
    session.add(
        Strike(
            job=job.id,
            partner=job.partner,
            user=job.user,
            category=category,
            weight=round(weight * _THOUSAND),
            at_ms=now_ms,
            expires_ms=expires_ms,
        )
    )
    session.flush()
    after = standing(session, job.partner, job.user, terms, now_ms)
    facts = _facts(job.user, before.level, after)
    facts |= {"category": category, "weight": round(weight * _THOUSAND * _TENTHS), "expires": expires_ms}
    event = Event(tag=Tag.USER_STRUCK, actor="system", partner=job.partner, job=job.id, facts=facts)
    record(session, event, clock)
    _announced(session, row, after, clock)
    return True


def appeal(
    session: Session,
    partner: str,
    user: str,
    terms: StrikesText | None,
    *,
    reason: str,
    clock: Clock,
    vault: Vault,
) -> Standing:
    """Ask for people to look at a restriction; Conflict where there is none, or an appeal waits already."""
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Say why the restriction is wrong, so that another person can understand.")
    now_ms = milliseconds(clock.now())
    now = standing(session, partner, user, terms, now_ms)
    if now.level == "none":
        raise Conflict("This user is not restricted.")
    waiting = (col(EndUser.partner) == partner, col(EndUser.user) == user, col(EndUser.appealed_ms).is_(None))
    changed = session.execute(sa.update(EndUser).where(*waiting).values(appealed_ms=now_ms))
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("An appeal of this user waits already.")
    _noted(
        session, Tag.USER_APPEALED, partner, f"partner:{partner}", user, now.level, now, reason, clock, vault
    )
    return now


def lift(
    session: Session,
    partner: str,
    user: str,
    terms: StrikesText | None,
    *,
    actor: str,
    reason: str,
    clock: Clock,
    vault: Vault,
) -> Standing:
    """Lift every strike of a user, or answer an appeal so; NotFound where there is none."""
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Give a reason that another person can understand.")
    if session.get(EndUser, (partner, user)) is None:
        raise NotFound("There is no such user with strikes.")
    where = (col(Strike.partner) == partner, col(Strike.user) == user)
    return _lifted(session, partner, user, terms, where, actor, "staff", reason, clock, vault)


def uphold(
    session: Session, partner: str, user: str, terms: StrikesText | None, *, actor: str, clock: Clock
) -> Standing:
    """Let a restriction stand that was appealed against; another appeal is possible after."""
    waiting = (
        col(EndUser.partner) == partner,
        col(EndUser.user) == user,
        col(EndUser.appealed_ms).is_not(None),
    )
    changed = session.execute(sa.update(EndUser).where(*waiting).values(appealed_ms=None))
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("No appeal of this user waits.")
    now = standing(session, partner, user, terms, milliseconds(clock.now()))
    facts = _facts(user, now.level, now)
    record(session, Event(tag=Tag.USER_RESTRICTED, actor=actor, partner=partner, facts=facts), clock)
    return now


def overturned(
    session: Session, job: Job, terms: StrikesText | None, *, actor: str, clock: Clock, vault: Vault
) -> bool:
    """Lift the strike of a request that was let through after all; tell whether there was one."""
    found = session.get(Strike, job.id)
    if found is None or found.lifted_ms is not None:
        return False
    where = (col(Strike.job) == job.id,)
    reason = "The refusal was overturned."
    _lifted(session, found.partner, found.user, terms, where, actor, "appeal", reason, clock, vault)
    return True


def settle(
    session: Session, job: Job, terms: StrikesText | None, *, actor: str, clock: Clock, vault: Vault
) -> None:
    """Follow a reviewer's decision: a prompt that stays in counts, a refusal that was overturned no longer does."""
    if job.user is None or job.state == State.HELD:
        return
    if job.state != State.REJECTED:
        overturned(session, job, terms, actor=actor, clock=clock, vault=vault)
        return
    decision = from_json(latest_ruling(session, job.id).decision)
    if decision.stage == "prompt":
        strike(session, job, decision, terms, clock)


def listed(
    session: Session, terms: StrikesText | None, now_ms: int, limit: int = 200
) -> list[tuple[EndUser, Standing]]:
    """List users who are restricted or appeal, those who appeal first, then the newest."""
    wanted = (
        select(EndUser)
        .where((col(EndUser.level) != "none") | col(EndUser.appealed_ms).is_not(None))
        .order_by(col(EndUser.appealed_ms).is_(None), col(EndUser.updated_ms).desc())
        .limit(limit)
    )
    return [(row, standing(session, row.partner, row.user, terms, now_ms)) for row in session.exec(wanted)]


def strikes_of(session: Session, partner: str, user: str, limit: int = 100) -> list[Strike]:
    """List the strikes of a user, newest first."""
    mine = select(Strike).where(Strike.partner == partner, Strike.user == user)
    return list(session.exec(mine.order_by(col(Strike.at_ms).desc()).limit(limit)))


def _counting(partner: str, user: str, now_ms: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(Strike.partner) == partner,
        col(Strike.user) == user,
        col(Strike.expires_ms) > now_ms,
        col(Strike.lifted_ms).is_(None),
    )


def _level(total: float, terms: StrikesText | None) -> Level:
    if terms is None:
        return "none"
    steps: tuple[tuple[float, Level], ...] = (
        (terms.suspend, "suspend"),
        (terms.hold, "hold"),
        (terms.slow, "slow"),
    )
    return next((level for least, level in steps if total >= least), "none")


def _cost(decision: Decision, terms: StrikesText | None) -> tuple[float, str] | None:
    """Give the weight of the gravest thing that was refused and its category; what the gate itself refused is free."""
    if terms is None:
        return None
    costs = [
        (_weight(hit, terms), hit.category)
        for hit in decision.rules
        if hit.outcome == decision.outcome and hit.outcome != "allow" and hit.category != "gate"
    ]
    weight, category = max(costs, default=(0.0, ""))
    return (weight, category) if weight > 0 else None


def _weight(hit: RuleHit, terms: StrikesText) -> float:
    return terms.grave if hit.grave else terms.weights.get(hit.category, terms.other)


def _locked(session: Session, partner: str, user: str, clock: Clock) -> EndUser:
    """Take the row of a user for this transaction, making it at the first strike."""
    mine = select(EndUser).where(EndUser.partner == partner, EndUser.user == user).with_for_update()
    row = session.exec(mine).first()
    if row is not None:
        return row
    try:
        with session.begin_nested():
            session.add(EndUser(partner=partner, user=user, updated_ms=milliseconds(clock.now())))
    except IntegrityError:
        pass  # their first two strikes came at once
    return session.exec(mine.execution_options(populate_existing=True)).one()


def _announced(session: Session, row: EndUser, after: Standing, clock: Clock) -> None:
    """Say so when a level was reached that was not announced; one that expired since is no longer the last."""
    if after.level == row.level:
        return
    rises = LEVELS.index(after.level) > LEVELS.index(_known(row.level))
    if rises:
        facts = _facts(row.user, _known(row.level), after)
        event = Event(tag=Tag.USER_RESTRICTED, actor="system", partner=row.partner, facts=facts)
        record(session, event, clock)
    row.level, row.updated_ms = after.level, milliseconds(clock.now())
    session.add(row)


def _known(level: str) -> Level:
    return next((one for one in LEVELS if one == level), "none")


def _lifted(
    session: Session,
    partner: str,
    user: str,
    terms: StrikesText | None,
    where: tuple[sa.ColumnElement[bool], ...],
    actor: str,
    why: Why,
    reason: str,
    clock: Clock,
    vault: Vault,
) -> Standing:
    row = _locked(session, partner, user, clock)
    now_ms = milliseconds(clock.now())
    before = standing(session, partner, user, terms, now_ms)
    standing_ones = (*where, col(Strike.lifted_ms).is_(None), col(Strike.expires_ms) > now_ms)
    changed = session.execute(sa.update(Strike).where(*standing_ones).values(lifted_ms=now_ms))
    after = standing(session, partner, user, terms, now_ms)
    row.level, row.updated_ms = after.level, now_ms
    if why == "staff":
        row.appealed_ms = None
    session.add(row)
    more = {"why": why, "strikes": changed.rowcount}  # type: ignore[attr-defined]
    _noted(
        session, Tag.USER_RESTORED, partner, actor, user, before.level, after, reason, clock, vault, **more
    )
    return after


def _noted(
    session: Session,
    tag: Tag,
    partner: str,
    actor: str,
    user: str,
    was: Level,
    now: Standing,
    reason: str,
    clock: Clock,
    vault: Vault,
    **more: object,
) -> None:
    facts = {**_facts(user, was, now), **more}
    event = Event(tag=tag, actor=actor, partner=partner, facts=facts, private={"reason": reason.strip()})
    record(session, event, clock, vault)


def _facts(user: str, was: Level, now: Standing) -> dict[str, object]:
    return {"user": user, "level": now.level, "was": was, "sum": round(now.total * _THOUSAND * _TENTHS)}
