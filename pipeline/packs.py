"""The life of a pack: an admin adds it, it decides in the shadow, and another admin makes it the active one.

Each change is one guarded UPDATE with its event in the same transaction; the database's own constraints refuse an
approval by whoever added a file, and a second active pack. Overlays and elections go the same way without the shadow,
and it takes two admins to end one before its time. One admin may go back to the pack that was active before.
"""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from core.clock import Clock, milliseconds
from core.errors import BadInput, Conflict, NotFound, PolicyError
from core.events import Event, Tag, record
from core.tables import PolicyFile
from core.vault import Vault
from pipeline.review import MIN_REASON
from pipeline.rulebook import Rulebook
from policies.engine import Pack, load_bytes
from policies.lint import lint, run_tests
from policies.overlay import Overlay, Tightened, effects, laid, read_kind, read_overlay

_PARTS = 10_000
_SHOWN = 3


def listed(session: Session) -> list[PolicyFile]:
    """List every pack, overlay and election, newest first."""
    ordered = select(PolicyFile).order_by(col(PolicyFile.created_ms).desc(), col(PolicyFile.sha256))
    return list(session.exec(ordered))


def found(session: Session, name: str) -> PolicyFile:
    """Find a file by its digest or the beginning of it; raises `NotFound` unless exactly one is meant."""
    matching = select(PolicyFile).where(col(PolicyFile.sha256).startswith(name, autoescape=True)).limit(2)
    rows = session.exec(matching).all()
    if len(rows) != 1 or not name:
        raise NotFound("There is no such policy." if not rows else "Several policies begin like this.")
    return rows[0]


def add(
    session: Session, book: Rulebook, installed: Pack, content: bytes, *, by: str, clock: Clock
) -> PolicyFile:
    """Add a pack, an overlay or an election as a draft; raises `BadInput` for one that lint or its tests object to."""
    try:
        row = _read(session, book, installed, content, by)
    except PolicyError as error:
        raise BadInput(error.message) from error
    row.created_ms = milliseconds(clock.now())
    known = session.get(PolicyFile, row.sha256)
    if known is not None and known.state not in {"kept", "withdrawn"}:
        raise Conflict(f"This policy is known already; it is {known.state}.")
    merged = session.merge(row)
    session.flush()
    record(session, _event(Tag.POLICY_ADDED, merged, by), clock)
    return merged


def shade(session: Session, name: str, *, by: str, clock: Clock) -> PolicyFile:
    """Let a pack decide beside the active one; the one that did so until now is a draft again."""
    row = found(session, name)
    if row.kind != "pack" or row.state != "draft":
        raise Conflict(f"Only a pack that is a draft goes into the shadow; this {row.kind} is {row.state}.")
    others = (col(PolicyFile.kind) == "pack", col(PolicyFile.state) == "shadow")
    session.execute(sa.update(PolicyFile).where(*others).values(state="draft"))
    _moved(session, row, "draft", state="shadow")
    record(session, _event(Tag.POLICY_SHADOWED, row, by), clock)
    return row


def activate(
    session: Session, book: Rulebook, installed: Pack, name: str, *, by: str, clock: Clock
) -> PolicyFile:
    """Make a policy the active one; raises `Conflict` for whoever added it.

    A pack comes from the shadow, an overlay or an election from its draft. What is active then must fit together:
    every overlay is laid over the pack, alone and with all others, before anything changes.
    """
    row = found(session, name)
    needed = "shadow" if row.kind == "pack" else "draft"
    if row.state != needed:
        raise Conflict(f"A {row.kind} is made active from {needed}; this one is {row.state}.")
    if row.added_by == by:
        raise Conflict("You added this policy; another admin must activate it.")
    now_ms = milliseconds(clock.now())
    if row.ends_ms is not None and row.ends_ms <= now_ms:
        raise Conflict("This election is over.")
    changes = _fitting(session, book, installed, row)
    mine = (col(PolicyFile.kind) == row.kind, col(PolicyFile.slot) == row.slot)
    retired = sa.update(PolicyFile).where(*mine, col(PolicyFile.state) == "active").values(state="retired")
    before = session.execute(retired.returning(col(PolicyFile.sha256))).scalar_one_or_none()
    values = {"state": "active", "approved_by": by, "active_ms": now_ms, "before": before}
    _moved(session, row, needed, **values, announced="")
    more: dict[str, Any] = {"before": before} if before else {}
    more |= {"changes": told(changes)} if changes else {}
    record(session, _event(Tag.POLICY_ACTIVATED, row, by, **more), clock)
    return row


def withdraw(session: Session, name: str, *, by: str, clock: Clock) -> PolicyFile:
    """Take back a draft or a pack in the shadow; end an overlay or an election, which takes two admins."""
    row = found(session, name)
    if row.state in {"draft", "shadow"}:
        _moved(session, row, row.state, state="withdrawn")
        record(session, _event(Tag.POLICY_RETIRED, row, by, final=1), clock)
        return row
    if row.state != "active" or row.kind == "pack":
        raise Conflict(
            "An active pack ends when another one is activated." if row.kind == "pack" else "It is over."
        )
    if row.ending_by is None:
        _moved(session, row, "active", ending_by=by)
    elif row.ending_by == by:
        raise Conflict("You proposed this end; another admin must agree.")
    else:
        _moved(session, row, "active", state="retired", ended_by=by)
    record(session, _event(Tag.POLICY_RETIRED, row, by, final=int(row.state == "retired")), clock)
    return row


def roll_back(
    session: Session, book: Rulebook, installed: Pack, *, by: str, reason: str, clock: Clock, vault: Vault
) -> PolicyFile | None:
    """Go back to the pack that was active before this one; answer it, or None for the installation's own.

    Two admins had let it decide before, so one is enough to stop what went wrong since.
    """
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Give a reason that another person can understand.")
    active = session.exec(
        select(PolicyFile).where(PolicyFile.kind == "pack", PolicyFile.state == "active")
    ).first()
    if active is None:
        raise Conflict("No pack was activated here; there is nothing to go back from.")
    _moved(session, active, "active", state="retired")
    before = session.get(PolicyFile, active.before) if active.before else None
    if before is not None:
        _fitting(session, book, installed, before)
        _moved(session, before, "retired", state="active", active_ms=milliseconds(clock.now()), before=None)
    else:
        _check_overlays(book.overlays(session), installed)
    facts: dict[str, Any] = {"file": before.sha256 if before else installed.sha256, "kind": "pack"}
    facts |= {"policy": before.name if before else installed.name, "from": active.sha256}
    facts |= {"version": before.version if before else installed.version}
    event = Event(
        tag=Tag.POLICY_REVERTED, actor=f"admin:{by}", facts=facts, private={"reason": reason.strip()}
    )
    record(session, event, clock, vault)
    return before


def told(changes: list[Tightened]) -> list[dict[str, Any]]:
    """Give changes of rules as facts of an event."""
    return [
        {"rule": one.rule, "outcome": one.outcome_after, "was": one.outcome_before}
        | ({"threshold": round(one.after * _PARTS)} if one.after is not None else {})
        | ({"threshold_was": round(one.before * _PARTS)} if one.before is not None else {})
        for one in changes
    ]


def announce(session: Session, book: Rulebook, installed: Pack, clock: Clock) -> int:
    """Write into the log, once each, that elections began or are over, with all that they tighten."""
    now_ms, count = milliseconds(clock.now()), 0
    wanted = select(PolicyFile).where(PolicyFile.kind == "election", PolicyFile.state == "active")
    for row in session.exec(wanted.with_for_update(skip_locked=True)):
        if row.announced == "" and (row.starts_ms or 0) <= now_ms:
            count += _announced(session, book, installed, row, "started", clock)
        if row.announced == "started" and (row.ends_ms or 0) <= now_ms:
            count += _announced(session, book, installed, row, "ended", clock)
            _moved(session, row, "active", state="retired")
    return count


def _announced(
    session: Session, book: Rulebook, installed: Pack, row: PolicyFile, what: str, clock: Clock
) -> int:
    overlay = read_overlay(row.content)
    facts = {
        "file": row.sha256,
        "election": row.name,
        "jurisdiction": overlay.place,
        "starts": row.starts_ms,
        "ends": row.ends_ms,
        "candidates": len(overlay.candidates),
        "tightened": told(effects(book.base(session, installed).text, overlay)),
    }
    tag = Tag.ELECTION_STARTED if what == "started" else Tag.ELECTION_ENDED
    _moved(session, row, "active", announced=what)
    record(session, Event(tag=tag, actor="system", facts=facts), clock)
    return 1


def _read(session: Session, book: Rulebook, installed: Pack, content: bytes, by: str) -> PolicyFile:
    kind, digest = read_kind(content), hashlib.sha256(content).hexdigest()
    given: dict[str, Any] = {"sha256": digest, "kind": kind, "content": content, "added_by": by}
    given |= {"state": "draft", "created_ms": 0}
    if kind == "pack":
        pack = load_bytes(content)
        _check_tested(pack, lint(pack))
        return PolicyFile(name=pack.name, version=pack.version, **given)
    overlay = read_overlay(content)
    _check_tested(laid(book.base(session, installed), [overlay]), [])
    starts, ends = overlay.span
    given |= {"name": overlay.name, "version": overlay.text.version, "slot": overlay.name}
    return PolicyFile(starts_ms=starts, ends_ms=ends, **given)


def _check_tested(pack: Pack, objections: list[str]) -> None:
    wrong = objections + run_tests(pack)
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        raise BadInput("; ".join(wrong[:_SHOWN]) + more)


def _fitting(session: Session, book: Rulebook, installed: Pack, row: PolicyFile) -> list[Tightened]:
    """Check that what would be active fits together; give what an overlay changes."""
    overlays = [one for one in book.overlays(session) if row.kind == "pack" or one.name != row.name]
    try:
        if row.kind == "pack":
            _check_overlays(overlays, load_bytes(row.content))
            return []
        mine = read_overlay(row.content)
        base = book.base(session, installed)
        _check_overlays([*overlays, mine], base)
        return effects(base.text, mine)
    except PolicyError as error:
        raise Conflict(f"It does not fit what is active: {error.message}") from error


def _check_overlays(overlays: list[Overlay], base: Pack) -> None:
    for some in ([one] for one in overlays):
        laid(base, some)
    laid(base, overlays)


def _moved(session: Session, row: PolicyFile, frm: str, **values: Any) -> None:
    guard = [col(PolicyFile.sha256) == row.sha256, col(PolicyFile.state) == frm]
    if "ending_by" in values:
        guard.append(col(PolicyFile.ending_by).is_(None))
    try:
        changed = session.execute(sa.update(PolicyFile).where(*guard).values(**values))
    except IntegrityError as error:
        raise Conflict(
            "Another admin must approve this policy, or another one was activated just now."
        ) from error
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("The policy was changed at the same moment.")
    session.refresh(row)


def _event(tag: Tag, row: PolicyFile, by: str, **facts: object) -> Event:
    about = {"file": row.sha256, "kind": row.kind, "policy": row.name, "version": row.version}
    return Event(tag=tag, actor=f"admin:{by}", facts={**about, **facts})
