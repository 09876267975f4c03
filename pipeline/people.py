"""Protected people: enrolment, the galleries that detectors search, and erasure."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlmodel import Session, col, delete, select

from core import tables
from core.clock import Clock, milliseconds, new_id
from core.errors import ModelMissing, NotFound
from core.events import Event, Tag, record
from core.tables import Identity, SubjectKey
from core.vault import Vault
from pipeline.consents import Kind
from safety.gallery import Template, Vectors


def add_identity(
    session: Session,
    vault: Vault,
    name: str,
    aliases: Sequence[str],
    clock: Clock,
    *,
    registered_by: str = "",
) -> Identity:
    """Register a person under a new id, with a key of their own."""
    person = Identity(
        id=new_id("person"),
        name=name,
        aliases=list(aliases),
        registered_by=registered_by,
        created_ms=milliseconds(clock.now()),
    )
    session.add(person)
    session.flush()
    session.add(SubjectKey(identity=person.id, wrapped=vault.new_key(person.id)))
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
    vectors: Vectors,
    *,
    actor: str,
    clock: Clock,
) -> None:
    """Store templates of a person, sealed under that person's key."""
    wrapped = _key(session, identity)
    content = io.BytesIO()
    np.save(content, vectors.astype(np.float32), allow_pickle=False)
    session.add(
        tables.Template(
            identity=identity,
            kind=kind,
            tier=tier,
            sealed=vault.seal(wrapped, content.getvalue(), identity=identity, purpose=kind),
            created_ms=milliseconds(clock.now()),
        )
    )
    facts = {"kind": kind, "tier": tier, "templates": int(vectors.shape[0])}
    record(session, Event(tag=Tag.IDENTITY_ENROLLED, actor=actor, identity=identity, facts=facts), clock)


def gallery(session: Session, vault: Vault, kind: Kind, tier: str) -> list[Template]:
    """Open every template of a kind.

    A person enrolled for another tier only cannot be looked for with this one: that raises `ModelMissing`
    rather than leaving them unprotected in silence.
    """
    rows = session.exec(select(tables.Template).where(tables.Template.kind == kind)).all()
    usable = [row for row in rows if row.tier == tier]
    lost = {row.identity for row in rows} - {row.identity for row in usable}
    if lost:
        raise ModelMissing(
            f"{len(lost)} people are enrolled for another {kind} tier than {tier}; enrol them again."
        )
    return [Template(row.identity, _vectors(session, vault, row)) for row in usable]


def erase(session: Session, identity: str, *, actor: str, clock: Clock) -> None:
    """Forget a person: the key goes, and with it everything sealed under it; the log keeps only the id."""
    person = session.get(Identity, identity)
    if person is None:
        raise NotFound("There is no such identity.")
    session.execute(delete(SubjectKey).where(col(SubjectKey.identity) == identity))
    session.execute(delete(tables.Template).where(col(tables.Template.identity) == identity))
    person.name, person.aliases, person.erased = "", [], True
    session.add(person)
    facts = {"kind": "person"}
    record(session, Event(tag=Tag.SUBJECT_ERASED, actor=actor, identity=identity, facts=facts), clock)


def protected_names(session: Session, make: Callable[..., Any]) -> list[Any]:
    """List every protected person's names as `make(id=…, names=…)` values for the prompt reader."""
    people = session.exec(select(Identity).where(col(Identity.erased).is_(False)).order_by(Identity.id))
    return [make(id=person.id, names=(person.name, *person.aliases)) for person in people]


def _key(session: Session, identity: str) -> bytes:
    key = session.get(SubjectKey, identity)
    if key is None:
        raise NotFound("There is no such identity, or it was erased.")
    return key.wrapped


def _vectors(session: Session, vault: Vault, row: tables.Template) -> Vectors:
    plain = vault.open(_key(session, row.identity), row.sealed, identity=row.identity, purpose=row.kind)
    vectors: Vectors = np.load(io.BytesIO(plain), allow_pickle=False)
    return vectors
