"""Protected people: who they are, and what is stored of their faces and voices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlmodel import Session, col, select

from core import tables
from core.clock import Clock, milliseconds, new_id
from core.errors import NotFound
from core.events import Event, Tag, record
from core.store import change_gallery
from core.tables import Identity
from core.vault import Vault
from pipeline.consents import Kind
from pipeline.templates import packed
from safety.gallery import Enrolment


def add_identity(
    session: Session,
    name: str,
    aliases: Sequence[str],
    clock: Clock,
    *,
    registered_by: str = "",
) -> Identity:
    """Register a person under a new id."""
    person = Identity(
        id=new_id("person"),
        name=name,
        aliases=list(aliases),
        registered_by=registered_by,
        created_ms=milliseconds(clock.now()),
    )
    session.add(person)
    session.flush()
    return person


def find_identity(session: Session, name_or_id: str) -> Identity | None:
    """Find a person by id or exact name."""
    found = session.exec(
        select(Identity)
        .where((col(Identity.id) == name_or_id) | (col(Identity.name) == name_or_id))
        .where(col(Identity.erased).is_(False))
    )
    return found.first()


def enrol(
    session: Session,
    vault: Vault,
    identity: str,
    kind: Kind,
    tier: str,
    made: Enrolment,
    *,
    actor: str,
    clock: Clock,
) -> None:
    """Store templates of a person, sealed under that person's key."""
    person = session.get(Identity, identity)
    if person is None or person.erased:
        raise NotFound("There is no such identity, or it was erased.")
    now_ms = milliseconds(clock.now())
    session.add(
        tables.Template(
            identity=identity,
            kind=kind,
            tier=tier,
            sealed=vault.seal(identity, packed(made), about=kind, kind="person", now_ms=now_ms),
            created_ms=now_ms,
        )
    )
    change_gallery(session, kind, identity, templates=1)
    facts = {"kind": kind, "tier": tier, "templates": len(made.vectors)}
    record(session, Event(tag=Tag.IDENTITY_ENROLLED, actor=actor, identity=identity, facts=facts), clock)


def protected_names(session: Session, make: Callable[..., Any]) -> list[Any]:
    """List every protected person's names as `make(id=…, names=…)` values for the prompt reader."""
    people = session.exec(select(Identity).where(col(Identity.erased).is_(False)).order_by(Identity.id))
    return [make(id=person.id, names=(person.name, *person.aliases)) for person in people]
