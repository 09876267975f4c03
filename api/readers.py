"""Who reads the audit log: auditors and regulators, by bearer token or signed in to the console."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel import Session

from api.auth import GateTools, KnownPerson, key_hash, key_matches, split_key
from audits.grants import Asker, asker, standing
from core.clock import Clock
from core.errors import Forbidden, Unauthenticated
from core.tables import AuditGrant

_PREFIX = "gla"


def new_token(session: Session, person: str, clock: Clock) -> str:
    """Make the bearer token of a person's standing grant; the one before ends, and this one is seen only now."""
    grant = standing(session, person, clock)
    secret = secrets.token_urlsafe(24)
    grant.secret_hash = key_hash(secret)
    session.add(grant)
    return f"{_PREFIX}_{grant.id.removeprefix('grant_')}_{secret}"


def asking(request: Request, tools: GateTools) -> Asker:
    """Find whose token came with the request; raises Unauthenticated, or Forbidden when their term is over."""
    public, secret = split_key(request, _PREFIX)
    with tools.store.reading() as session:
        grant = session.get(AuditGrant, f"grant_{public}")
        if grant is None or grant.secret_hash is None or not key_matches(grant.secret_hash, secret):
            raise Unauthenticated
        now = standing(session, grant.person, tools.clock)
    if now.id != grant.id:
        raise Forbidden("Your grant to read the audit log has been replaced.")
    return asker(grant)


def asking_page(tools: GateTools, person: KnownPerson) -> Asker:
    """Find the grant of the person who is signed in, or raise Forbidden."""
    with tools.store.reading() as session:
        return asker(standing(session, person.name, tools.clock))


Asking = Annotated[Asker, Depends(asking)]
AskingPage = Annotated[Asker, Depends(asking_page)]
