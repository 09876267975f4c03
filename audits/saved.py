"""Questions to the log that are kept under a name, to be asked again or to choose the entries of a case."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, func, select

from audits.filters import Filter, parse_filter
from core.clock import Clock, milliseconds, new_id
from core.errors import BadInput, Conflict, NotFound
from core.tables import SavedQuery

MAX_SAVED = 200
_NAME_LIMIT = 80


def save(session: Session, owner: str, name: str, wanted: Filter, clock: Clock) -> SavedQuery:
    """Keep a question; Conflict when its owner has one of that name, BadInput when they keep too many."""
    if not name.strip() or len(name) > _NAME_LIMIT or not name.isprintable():
        raise BadInput(f"A name has 1 to {_NAME_LIMIT} printable characters.")
    mine = select(func.count()).select_from(SavedQuery).where(SavedQuery.owner == owner)
    if session.exec(mine).one() >= MAX_SAVED:
        raise BadInput(f"At most {MAX_SAVED} questions are kept.")
    now_ms = milliseconds(clock.now())
    row = SavedQuery(id=new_id("query"), owner=owner, name=name, filter=wanted.json(), created_ms=now_ms)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict("You keep a question of this name already.") from error
    return row


def kept(session: Session, owner: str) -> list[SavedQuery]:
    """List what somebody keeps, by name."""
    return list(session.exec(select(SavedQuery).where(SavedQuery.owner == owner).order_by(SavedQuery.name)))


def one_kept(session: Session, owner: str, name: str) -> SavedQuery:
    """Find a question by its name or id among its owner's; NotFound for anybody else's."""
    either = (SavedQuery.id == name) | (SavedQuery.name == name)
    row = session.exec(select(SavedQuery).where(SavedQuery.owner == owner, either)).first()
    if row is None:
        raise NotFound("There is no such saved question.")
    return row


def question(row: SavedQuery) -> Filter:
    """Read the filter, which is checked again: what was valid when it was kept may not be any more."""
    said: Any = row.filter
    return parse_filter(said)


def forget(session: Session, owner: str, name: str) -> None:
    """Keep a question no longer."""
    session.delete(one_kept(session, owner, name))
    session.flush()
