"""Who is calling: partners by API key, people by password. Only argon2 hashes are kept."""

from __future__ import annotations

import secrets
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from fastapi import Depends, Form, Request
from sqlmodel import Session

from api.uploads import Decoders
from audits.grants import standing
from core.clock import Clock, milliseconds, new_id
from core.errors import BadInput, Forbidden, NotFound, Unauthenticated
from core.tables import ApiKey, Partner, Reviewer
from pipeline.tools import Tools

# API keys carry 192 random bits, so a light hash suffices; passwords get argon2's full default.
_KEYS = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
_PASSWORDS = PasswordHasher()
MIN_PASSWORD = 12


def tools_of(request: Request) -> Tools:
    """Give the parts of the gate that this application was made with."""
    tools: Tools = request.app.state.tools
    return tools


def new_key(session: Session, partner: str, clock: Clock) -> str:
    """Make an API key for a partner; this is the only time it can be seen."""
    if session.get(Partner, partner) is None:
        raise NotFound("There is no such partner.")
    public, secret = secrets.token_hex(6), secrets.token_urlsafe(24)
    row = ApiKey(
        id=public, partner=partner, secret_hash=key_hash(secret), created_ms=milliseconds(clock.now())
    )
    session.add(row)
    return f"glk_{public}_{secret}"


def add_partner(session: Session, name: str, clock: Clock) -> Partner:
    """Register a studio."""
    partner = Partner(id=new_id("partner"), name=name, created_ms=milliseconds(clock.now()))
    session.add(partner)
    return partner


def add_reviewer(session: Session, name: str, password: str, role: str = "reviewer") -> None:
    """Register a person who decides on held clips, or change their password."""
    if len(password) < MIN_PASSWORD:
        raise BadInput(f"A password needs at least {MIN_PASSWORD} characters.")
    session.merge(Reviewer(name=name, password_hash=_PASSWORDS.hash(password), role=role))


def checked_reviewer(session: Session, name: str, password: str) -> Reviewer:
    """Find a reviewer by name and password, or raise `Unauthenticated`, taking as long either way."""
    found = session.get(Reviewer, name)
    stored = found.password_hash if found else _PASSWORDS.hash("nobody has this password")
    if not _matches(_PASSWORDS, stored, password) or found is None:
        raise Unauthenticated("The name or the password is wrong.")
    return found


def calling_partner(request: Request) -> str:
    """Find the partner whose key came with the request, or raise `Unauthenticated`."""
    public, secret = split_key(request, "glk")
    with tools_of(request).store.reading() as session:
        row = session.get(ApiKey, public)
    if row is None or row.revoked or not key_matches(row.secret_hash, secret):
        raise Unauthenticated
    return row.partner


def split_key(request: Request, prefix: str) -> tuple[str, str]:
    """Give the public and the secret half of the bearer key `PREFIX_…_…`, or raise `Unauthenticated`."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    parts = key.split("_", 2)
    if scheme.lower() != "bearer" or len(parts) != 3 or parts[0] != prefix or not parts[1].isalnum():
        raise Unauthenticated
    return parts[1], parts[2]


def key_hash(secret: str) -> str:
    """Hash the secret half of a key, as it is kept."""
    return _KEYS.hash(secret)


def key_matches(stored: str, secret: str) -> bool:
    """Tell whether this is the secret half that was hashed."""
    return _matches(_KEYS, stored, secret)


def known_person(request: Request) -> Reviewer:
    """Find the person of any role who is signed in to the console, or raise `Unauthenticated`."""
    name = request.session.get("reviewer")
    if name:
        with tools_of(request).store.reading() as session:
            found = session.get(Reviewer, name)
        if found is not None:
            return found
    raise Unauthenticated("Sign in first.")


def signed_in(request: Request, person: Annotated[Reviewer, Depends(known_person)]) -> Reviewer:
    """Find the person who is signed in, or raise `Forbidden` when held clips are not theirs to see.

    An auditor sees them while their grant stands; a regulator sees the audit log only, within its scope.
    """
    if person.role == "regulator":
        raise Forbidden("Regulators read the audit log.")
    if person.role == "auditor":
        tools = tools_of(request)
        with tools.store.reading() as session:
            standing(session, person.name, tools.clock)
    return person


def deciding(reviewer: Annotated[Reviewer, Depends(signed_in)]) -> Reviewer:
    """Find the person who is signed in, or raise `Forbidden` when they may only look."""
    if reviewer.role == "auditor":
        raise Forbidden("Auditors look; they do not decide.")
    return reviewer


def administering(reviewer: Annotated[Reviewer, Depends(signed_in)]) -> Reviewer:
    """Find the person who is signed in, or raise `Forbidden` when they are no admin."""
    return checked_admin(reviewer)


def checked_admin(reviewer: Reviewer) -> Reviewer:
    """Give the person back if they are an admin, or raise `Forbidden`."""
    if reviewer.role != "admin":
        raise Forbidden("Only admins change keys and grants.")
    return reviewer


FormToken = Annotated[str, Form()]


def checked_form(request: Request, token: str) -> None:
    """Refuse a form that did not come from our own page (CSRF)."""
    ours = request.session.get("form_token") or secrets.token_hex()
    # Bytes, since text that is not ASCII cannot be compared in constant time.
    if not secrets.compare_digest(token.encode(errors="replace"), ours.encode()):
        raise Forbidden("This form is stale; load the page again.")


def _matches(hasher: PasswordHasher, stored: str, given: str) -> bool:
    try:
        return hasher.verify(stored, given)
    except (Argon2Error, InvalidHashError):
        return False


def decoders_of(request: Request) -> Decoders:
    """Give the places of this application in which untrusted files are decoded."""
    decoders: Decoders = request.app.state.decoders
    return decoders


def fetchers_of(request: Request) -> Decoders:
    """Give the places of this application in which files that strangers name are fetched."""
    fetchers: Decoders = request.app.state.fetchers
    return fetchers


FreeFetchers = Annotated[Decoders, Depends(fetchers_of)]
FreeDecoders = Annotated[Decoders, Depends(decoders_of)]
GateTools = Annotated[Tools, Depends(tools_of)]
CallingPartner = Annotated[str, Depends(calling_partner)]
KnownPerson = Annotated[Reviewer, Depends(known_person)]
SignedIn = Annotated[Reviewer, Depends(signed_in)]
Deciding = Annotated[Reviewer, Depends(deciding)]
Administering = Annotated[Reviewer, Depends(administering)]
