"""Protected people: enrolment, and the galleries that detectors search."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from core import tables
from core.clock import Clock, milliseconds, new_id
from core.errors import ModelMissing, NotFound
from core.events import Event, Tag, record
from core.tables import Identity
from core.vault import Vault
from pipeline.consents import Kind
from safety.gallery import Template, Vectors


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
    vectors: Vectors,
    *,
    uploads: Sequence[str] = (),
    actor: str,
    clock: Clock,
) -> None:
    """Store templates of a person, sealed under that person's key, and which uploads they were made of."""
    person = session.get(Identity, identity)
    if person is None or person.erased:
        raise NotFound("There is no such identity, or it was erased.")
    content, now_ms = io.BytesIO(), milliseconds(clock.now())
    np.save(content, vectors.astype(np.float32), allow_pickle=False)
    session.add(
        tables.Template(
            identity=identity,
            kind=kind,
            tier=tier,
            sealed=vault.seal(identity, content.getvalue(), about=kind, kind="person", now_ms=now_ms),
            uploads=list(uploads),
            created_ms=now_ms,
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
    return [Template(row.identity, _vectors(vault, row)) for row in usable]


def protected_names(session: Session, make: Callable[..., Any]) -> list[Any]:
    """List every protected person's names as `make(id=…, names=…)` values for the prompt reader."""
    people = session.exec(select(Identity).where(col(Identity.erased).is_(False)).order_by(Identity.id))
    return [make(id=person.id, names=(person.name, *person.aliases)) for person in people]


def _vectors(vault: Vault, row: tables.Template) -> Vectors:
    plain = vault.open(row.identity, row.sealed, about=row.kind)
    vectors: Vectors = np.load(io.BytesIO(plain), allow_pickle=False)
    return vectors
