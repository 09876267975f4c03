"""The keys of this installation as the database has them: who signs, who marks, whom we believe.

Every use asks the database, so that a key that was rotated or revoked is rotated or revoked for every
process at once, without a restart. What was opened (a file, a session with an HSM) is kept.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from core.clock import Clock, milliseconds
from core.errors import KeyMissing
from core.events import Event, Tag, record
from core.settings import Settings
from core.store import Store
from core.tables import GateKey
from provenance.keys import (
    Credential,
    Custody,
    PemKey,
    ProgramKey,
    SigningKeys,
    TokenKey,
    certificates_of,
    check_time,
    custody_from,
    custody_json,
    dev_credential,
    mark_keys,
    open_keys,
    read_certificates,
)
from provenance.marks import MarkKey
from provenance.readings import Standing

Kind = Literal["claim", "mark"]
FIRST = "the first start"
_log = structlog.get_logger("keys")


class Keyring:
    """Open the keys that the database calls active, and name those that count when a file is verified.

    `folder` holds the development CA and the secrets of the watermarks.
    """

    def __init__(self, store: Store, folder: Path, clock: Clock) -> None:
        self._store, self._folder, self._clock = store, folder, clock
        self._opened: dict[str, SigningKeys] = {}

    def signer(self) -> SigningKeys:
        """Give the claim signer in use; raises `KeyMissing` when there is none or it cannot sign now."""
        row = self._active("claim")
        if row.id not in self._opened:
            self._opened[row.id] = open_keys(credential_of(row), self._clock)
        check_time(certificates_of(row.chain_pem, row.roots_pem), self._clock.now())
        return self._opened[row.id]

    def marking(self) -> MarkKey:
        """Give the key that marks; raises `KeyMissing` when there is none."""
        active = self._active("mark").id
        return next(key for key in self.detecting() if key.id == active)

    def detecting(self) -> tuple[MarkKey, ...]:
        """Give every key whose marks may be out there, newest first; raises `KeyMissing` when one is lost.

        A lost key is an error and not a shorter answer: without it clips of ours would look tampered with.
        """
        known = {key.id: key for key in mark_keys(self._folder)}
        rows = self._used("mark")
        for row in rows:
            if row.id not in known:
                raise KeyMissing(f"The secret of watermark key {row.id} is missing.")
        return tuple(known[row.id] for row in rows)

    def roots_pem(self) -> str:
        """Give the claim roots of every signer that was ever active, as PEM.

        Those of revoked signers too: what they signed before is judged by our records.
        """
        return "\n".join(dict.fromkeys(row.roots_pem.strip() for row in self._used("claim"))) + "\n"

    def standing(self, name: str) -> Standing | None:
        """Find a key that ever was active, by its certificate's serial number or its id as a watermark key."""
        called = (col(GateKey.serial) == name) | ((col(GateKey.id) == name) & (col(GateKey.kind) == "mark"))
        ours = select(GateKey).where(called, col(GateKey.active_ms).is_not(None))
        with self._store.reading() as session:
            row = session.exec(ours).first() if name else None
        return None if row is None else Standing(key=row.id, revoked_ms=row.revoked_ms)

    def is_revoked(self, signer: str) -> bool:
        """Tell whether a claim signer, named by the SHA-256 of its certificate, was revoked."""
        with self._store.reading() as session:
            row = session.get(GateKey, signer)
        return row is not None and row.revoked_ms is not None

    def doubles(self) -> dict[str, str]:
        """Say so when what signs is the development CA."""
        row = self._first_active("claim")
        if row is None or not row.development:
            return {}
        return {"signing": "a development certificate authority that nobody else trusts"}

    def _active(self, kind: Kind) -> GateKey:
        row = self._first_active(kind)
        if row is None:
            raise KeyMissing(f"There is no active {kind} key; propose and approve one (`greenlight keys`).")
        return row

    def _first_active(self, kind: Kind) -> GateKey | None:
        active = select(GateKey).where(GateKey.kind == kind, GateKey.state == "active")
        with self._store.reading() as session:
            return session.exec(active).first()

    def _used(self, kind: Kind) -> Sequence[GateKey]:
        used = select(GateKey).where(GateKey.kind == kind, col(GateKey.active_ms).is_not(None))
        with self._store.reading() as session:
            return session.exec(used.order_by(col(GateKey.active_ms).desc(), col(GateKey.id))).all()


def credential_of(row: GateKey) -> Credential:
    """Read a claim signer's row; raises `KeyMissing` when it cannot be read."""
    return Credential(certificates_of(row.chain_pem, row.roots_pem), custody_from(row.custody))


def claim_row(credential: Credential, clock: Clock, *, proposed_by: str) -> GateKey:
    """Write a claim signer as a row that nobody has approved yet."""
    certificates = credential.certificates
    return GateKey(
        id=certificates.fingerprint,
        kind="claim",
        state="proposed",
        serial=certificates.serial,
        chain_pem=certificates.chain_pem,
        roots_pem=certificates.roots_pem,
        custody=custody_json(credential.custody),
        expires_ms=milliseconds(certificates.expires),
        proposed_by=proposed_by,
        created_ms=milliseconds(clock.now()),
    )


def configured(settings: Settings) -> Credential | None:
    """Give the claim signer that the settings name, if any; raises `KeyMissing` when they name half of one."""
    custody = _custody(settings)
    given = (settings.signing_chain, settings.signing_roots, custody)
    if not any(given):
        return None
    chain, roots = settings.signing_chain, settings.signing_roots
    if chain is None or roots is None or custody is None:
        raise KeyMissing("signing_chain, signing_roots and where the key is kept must be set together.")
    return Credential(read_certificates(chain, roots), custody)


def _custody(settings: Settings) -> Custody | None:
    token = (settings.signing_token, settings.signing_token_key, settings.signing_secret)
    kept = [settings.signing_key, settings.signing_module, settings.signing_program or None]
    if sum(one is not None for one in kept) > 1:
        raise KeyMissing("Set one of signing_key, signing_module and signing_program, not several.")
    if settings.signing_key is not None:
        return PemKey(settings.signing_key, settings.signing_secret)
    if settings.signing_program:
        return ProgramKey(tuple(shlex.split(settings.signing_program)), settings.signing_seconds)
    if settings.signing_module is None:
        return None
    if not all(token) or settings.signing_secret is None:
        raise KeyMissing("signing_module needs signing_token, signing_token_key and signing_secret.")
    return TokenKey(
        settings.signing_module, settings.signing_token, settings.signing_token_key, settings.signing_secret
    )


def first_keys(store: Store, settings: Settings, folder: Path, clock: Clock) -> None:
    """Let the first start's keys in without two people, since nothing was signed or marked before them.

    Later starts change nothing: a signer newly named by the settings waits for `keys propose` and
    `keys approve`. Only the development CA, which protects nothing, gives way to it at once.
    """
    signer = configured(settings)
    first = signer or dev_credential(folder, clock)
    marks = mark_keys(folder)
    try:
        with store.session() as session:
            _first_claim(session, first, clock, development=signer is None)
            _first_marks(session, marks, clock)
            session.commit()
    except IntegrityError:
        _log.info("another process let the first keys in")


def _first_claim(session: Session, first: Credential, clock: Clock, *, development: bool) -> None:
    rows = session.exec(select(GateKey).where(GateKey.kind == "claim")).all()
    if any(row.id == first.certificates.fingerprint for row in rows):
        return
    if development:
        _log.warning("SIGNING WITH A DEVELOPMENT CA that nobody else trusts; set GREENLIGHT_SIGNING_CHAIN")
    if any(row.active_ms is not None and not row.development for row in rows):
        if not development:
            _log.error("the configured signer is not approved and does not sign: `greenlight keys propose`")
        return
    for row in rows:
        row.state = "retired" if row.state == "active" else row.state
    session.flush()
    if not development:
        open_keys(first, clock)  # what cannot sign does not get in
    _let_in(session, claim_row(first, clock, proposed_by=FIRST), clock, development=development)


def _first_marks(session: Session, keys: Sequence[MarkKey], clock: Clock) -> None:
    if session.exec(select(GateKey).where(GateKey.kind == "mark")).first() is not None:
        return
    now_ms = milliseconds(clock.now())
    for age, key in enumerate(keys):
        row = GateKey(id=key.id, kind="mark", state="proposed", proposed_by=FIRST, created_ms=now_ms - age)
        _let_in(session, row, clock)
        row.state = "active" if age == 0 else "retired"


def _let_in(session: Session, row: GateKey, clock: Clock, *, development: bool = False) -> None:
    row.state, row.first, row.active_ms, row.development = "active", True, row.created_ms, development
    session.add(row)
    record(
        session, Event(tag=Tag.KEY_CREATED, actor="system", facts={"key": row.id, "kind": row.kind}), clock
    )
