"""Erase people and requests, then look for them: in every raw byte on the disk, and with every key there is.

Each subject carries a word of its own wherever personal data may stand: names, aliases, prompts, projects,
facts and quotations of decisions, reviewers' reasons, problems, files, biometric templates, private parts of
events. Three controls leave a part of the erasure out, and must find the words again: the keys, the columns
and files, the pages of the write-ahead log.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlmodel import Session, select

from audits.erasure import erase_person, erase_request, finish
from audits.log.cosign import Quorum
from audits.log.proof import Prover, verify_proof
from audits.log.writer import integrate, log_key
from audits.preemptive.result import Row, counted
from core.blobs import LocalBlobs
from core.clock import Clock, SystemClock
from core.decision import Decision, RuleHit, to_json
from core.errors import GreenlightError, LogCorrupt
from core.events import Event, Tag, opened, record
from core.state import State
from core.store import Store
from core.tables import (
    AuditEvent,
    IdempotencyKey,
    Identity,
    Job,
    Leftover,
    Partner,
    Review,
    Ruling,
    Template,
    Upload,
)
from core.vault import Vault

_WORD = re.compile(rb"subject-word-([0-9]{5})-[0-9a-f]{16}")
_PARTNER = "p_suite"
_ORIGIN = "suite.invalid/log"


class _KeepsKeys(Vault):
    """The control: it says that it destroyed the keys, and did not."""

    def destroy(self, subjects: Sequence[str]) -> bool:  # noqa: ARG002
        return True


class _KeepsPages(Store):
    """The control: it leaves the write-ahead log as it is."""

    def scrub(self, *tables: Any) -> bool:  # noqa: ARG002
        return True


@dataclass
class _House:
    """An installation in a folder of its own, with the subjects in it by number."""

    folder: Path
    store: Store
    vault: Vault
    blobs: LocalBlobs
    clock: Clock
    dice: random.Random
    subjects: list[str] = field(default_factory=list)
    templates: list[tuple[str, bytes]] = field(default_factory=list)
    """(person, sealed), as an old backup would have them."""

    def word(self, number: int) -> str:
        return f"subject-word-{number:05d}-{self.dice.randbytes(8).hex()}"


def erasure(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:  # noqa: ARG001  # made by the suite
    """Erase 1,000 subjects (quick: 20), half of them people and half requests; controls with 100 (quick: 10)."""
    count, few = (20, 10) if quick else (1000, 100)
    with _house(seed) as house:
        _fill(house, count)
        before = len(_found_raw(house.folder))
        proofs = _proofs(house)
        _erase_all(house)
        _integrate(house)
        rows = (
            counted("control: words on the disk before", before, count, reach=1.0),
            counted("words on the disk after", len(_found_raw(house.folder)), count, reach=0.0, better="low"),
            counted("subjects a key still opens", len(_found_open(house)), count, reach=0.0, better="low"),
            counted("subject:erased in the log", _logged(house), count, reach=1.0),
            counted("old proofs that verify", _verified(house, proofs), len(proofs), reach=1.0),
        )
    return (*rows, *_controls(seed, few))


def _controls(seed: int, count: int) -> Iterator[Row]:
    with _house(seed, vault=_KeepsKeys) as house:
        _fill(house, count)
        _erase_all(house)
        yield counted("control: keys kept, subjects opened", len(_found_open(house)), count, reach=1.0)
    with _house(seed) as house:
        _fill(house, count)
        _erase_all(house, _only_the_key)
        yield counted("control: columns and files kept", len(_found_raw(house.folder)), count, reach=1.0)
    with _house(seed, store=_KeepsPages) as house:
        _fill(house, count)
        _erase_all(house)
        yield counted("control: old pages kept", len(_found_raw(house.folder)), count, reach=0.5)


@contextmanager
def _house(seed: int, *, vault: type[Vault] = Vault, store: type[Store] = Store) -> Iterator[_House]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dice = random.Random(seed)
        opened_store = store(f"sqlite:///{folder / 'greenlight.db'}")
        opened_store.migrate()
        keys = vault(dice.randbytes(32), f"sqlite:///{folder / 'keys.db'}")
        blobs = LocalBlobs(folder / "blobs")
        with opened_store.session() as session:
            session.add(Partner(id=_PARTNER, name="suite", created_ms=0))
            session.commit()
        try:
            yield _House(folder, opened_store, keys, blobs, SystemClock(), dice)
        finally:
            keys.close()
            opened_store.close()


def _fill(house: _House, count: int) -> None:
    for number in range(count):
        with house.store.session() as session:
            make = _request if number % 2 else _person
            house.subjects.append(make(house, session, number, house.word(number)))
            session.commit()
    _integrate(house)


def _person(house: _House, session: Session, number: int, word: str) -> str:
    person, upload = f"person_{number}", f"upload_{number}"
    session.add(Identity(id=person, name=f"Iris {word}", aliases=[f"{word} Vane"], created_ms=0))
    session.flush()
    sealed = house.vault.seal(person, word.encode() * 8, about="likeness", kind="person", now_ms=0)
    house.templates.append((person, sealed))
    _upload(house, session, upload, word)
    session.add(
        Template(identity=person, kind="likeness", tier="x", sealed=sealed, uploads=[upload], created_ms=0)
    )
    facts = {"kind": "likeness", "tier": "x", "templates": 1}
    event = Event(
        tag=Tag.IDENTITY_ENROLLED,
        actor="operator",
        identity=person,
        facts=facts,
        private={"name": f"Iris {word}"},
    )
    record(session, event, house.clock, house.vault)
    return person


def _request(house: _House, session: Session, number: int, word: str) -> str:
    job, upload = f"clip_{number}", f"upload_{number}"
    _upload(house, session, upload, word)
    ask = {"engine": "sandbox", "references": [upload], "identities": []}
    session.add(
        Job(
            id=job,
            partner=_PARTNER,
            kind="generation",
            project=f"The life of {word}",
            prompt=f"{word} walks along the shore",
            ask=ask,
            state=State.REFUSED,
            payload=f"{number:016x}",
            problem=f"{word} cannot be shown",
            mezzanine=_file(house, f"jobs/{job}/1/mezzanine.mkv", word),
            created_ms=0,
            updated_ms=0,
        )
    )
    session.flush()
    _decided(session, job, word)
    event = Event(
        tag=Tag.CLIP_CANCELLED,
        actor=f"partner:{_PARTNER}",
        partner=_PARTNER,
        job=job,
        facts={"state": "received"},
        private={"prompt": f"{word} walks along the shore"},
    )
    record(session, event, house.clock, house.vault)
    return job


def _decided(session: Session, job: str, word: str) -> None:
    ruling = Ruling(job=job, stage="prompt", outcome="refuse", decision=_decision(word), at_ms=0)
    session.add(ruling)
    session.flush()
    session.add(
        Review(
            job=job,
            ruling=int(ruling.id or 0),
            reviewer="ann",
            approve=False,
            reason=f"{word} said no",
            at_ms=0,
        )
    )
    session.add(
        IdempotencyKey(partner=_PARTNER, key=f"film {word}", request_sha256="", job=job, created_ms=0)
    )


def _decision(word: str) -> dict[str, Any]:
    hit = RuleHit(
        id="hate",
        outcome="refuse",
        reason_code="hate",
        category="hate",
        message=f"The prompt says {word}.",
        advice=f"Leave {word} out.",
        view="plain",
        evidence=({"term": word},),
    )
    facts = {"text": {"views": [f"{word} walks along the shore"]}}
    decision = Decision(
        stage="prompt",
        outcome="refuse",
        rules=(hit,),
        pack="default",
        version="1",
        pack_sha256="00" * 32,
        facts=facts,
    )
    return to_json(decision)


def _upload(house: _House, session: Session, name: str, word: str) -> None:
    blob = _file(house, f"uploads/{name}.png", word)
    session.add(
        Upload(
            id=name,
            partner=_PARTNER,
            kind="picture",
            blob=blob,
            mime="image/png",
            sha256="00" * 32,
            about={"file": f"{word}.png"},
            created_ms=0,
        )
    )


def _file(house: _House, name: str, word: str) -> str:
    source = house.folder / "incoming"
    source.write_bytes(word.encode() * 16)
    return house.blobs.put("private", name, source)


def _erase_all(house: _House, erase: Callable[[_House, Session, str], None] | None = None) -> None:
    for subject in house.subjects:
        with house.store.session() as session:
            (erase or _erase)(house, session, subject)
            session.commit()
        finish(house)


def _erase(house: _House, session: Session, subject: str) -> None:
    if subject.startswith("person_"):
        erase_person(session, subject, actor="operator", clock=house.clock)
    else:
        erase_request(session, subject, actor="operator", why="demand", clock=house.clock)


def _only_the_key(_house: _House, session: Session, subject: str) -> None:
    session.add(Leftover(kind="key", name=subject))


def _found_raw(folder: Path) -> set[int]:
    """Look through every byte of every file: databases, write-ahead logs, blobs, keys, the public log."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {int(match[1]) for path in files for match in _WORD.finditer(path.read_bytes())}


def _found_open(house: _House) -> set[int]:
    """Try to open every sealed thing, in the database and in an old backup of the templates."""
    found: set[int] = set()
    for person, sealed in house.templates:
        found |= _opens(lambda p=person, s=sealed: house.vault.open(p, s, about="likeness"))  # type: ignore[misc]
    with house.store.reading() as session:
        for row in session.exec(select(AuditEvent).where(AuditEvent.sealed.is_not(None))):  # type: ignore[union-attr]
            found |= _opens(lambda r=row: str(opened(r, house.vault)).encode())  # type: ignore[misc]
    return found


def _opens(opening: Callable[[], bytes]) -> set[int]:
    try:
        return {int(match[1]) for match in _WORD.finditer(opening())}
    except GreenlightError:
        return set()


def _integrate(house: _House) -> None:
    key = log_key(house.folder / "log-key", _ORIGIN)
    integrate(house.store, house.folder / "log", key, house.clock, Quorum())


def _proofs(house: _House) -> list[str]:
    policy = Quorum().policy(log_key(house.folder / "log-key", _ORIGIN))
    with house.store.reading() as session:
        size = len(session.exec(select(AuditEvent.id)).all())
    prover = Prover(house.folder / "log", policy)
    return [prover.prove(index).render() for index in range(size)]


def _verified(house: _House, proofs: Iterable[str]) -> int:
    policy = Quorum().policy(log_key(house.folder / "log-key", _ORIGIN))
    count = 0
    for proof in proofs:
        try:
            verify_proof(proof, None, policy)
        except LogCorrupt:
            continue
        count += 1
    return count


def _logged(house: _House) -> int:
    with house.store.reading() as session:
        rows = session.exec(select(AuditEvent).where(AuditEvent.tag == Tag.SUBJECT_ERASED)).all()
    return len({row.identity or row.job for row in rows} & set(house.subjects))
