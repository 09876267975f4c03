"""Enrol a protected person from references that were taken in through the sandbox.

The references are deleted with the enrolment, whether they were accepted or not. Whoever wants reviewers to be able to
compare says so: then what a person needs for that is kept, reduced and sealed under the protected person's key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sqlmodel import Session

from audits.erasure import drop_uploads, finish
from audits.holds import under_hold
from core.clock import milliseconds
from core.errors import BadEnrolment, BadInput, Unavailable
from core.media import sandbox
from core.tables import Identity, KeptReference, Upload
from pipeline import people
from pipeline.consents import Kind
from pipeline.screening import Detector
from pipeline.tools import Tools
from safety.gallery import Enrolment

_REDUCED = {
    "likeness": "core.media.exhibit:reference_picture",
    "voice": "core.media.exhibit:reference_voice",
}
Whom = Callable[[Session], Identity]
"""Find or register the person, in the transaction that stores what was made of the references."""


def enrol(
    tools: Tools,
    whom: Whom,
    kind: Kind,
    references: Sequence[tuple[str, Path]],
    *,
    uploads: Sequence[str],
    actor: str,
    keep: bool = False,
) -> tuple[str, Enrolment]:
    """Make and store a person's templates from (name, file) pairs; answer who that is, and what was taken.

    `uploads` are the references' ids, which are deleted. With `keep`, reduced copies of the accepted ones stay,
    sealed. Raises `BadEnrolment` with the reasons when none is good enough; then nobody is registered or changed.
    """
    if not references:
        raise BadInput("Give at least one reference.")
    detector = detector_of(tools, kind)
    try:
        made = detector.enrol([path for _, path in references])
    except BadEnrolment as error:
        error.refused = tuple((_named(references, file), why) for file, why in error.refused)
        _dropped(tools, uploads)
        raise
    taken = replace(
        made,
        accepted=tuple(_named(references, file) for file in made.accepted),
        refused=tuple((_named(references, file), why) for file, why in made.refused),
    )
    copies = [_reduced(tools, kind, path) for name, path in references if keep and name in taken.accepted]
    with tools.store.session() as session:
        person = whom(session).id
        people.enrol(session, tools.vault, person, kind, detector.tier, made, actor=actor, clock=tools.clock)
        session.add_all(_kept(tools, person, kind, copy) for copy in copies)
        _drop(session, uploads)
        session.commit()
    # If we crash here the files are written down as left over, and the sweeper deletes them.
    finish(tools)
    return person, taken


def detector_of(tools: Tools, kind: Kind) -> Detector:
    """Find the detector of a kind, or raise `Unavailable`."""
    found = next((detector for detector in tools.detectors if detector.name == kind), None)
    if found is None:
        raise Unavailable(f"There is no {kind} detector here.")
    return found


def _dropped(tools: Tools, uploads: Sequence[str]) -> None:
    with tools.store.session() as session:
        _drop(session, uploads)
        session.commit()
    finish(tools)


def _drop(session: Session, uploads: Sequence[str]) -> None:
    rows = [row for name in uploads if (row := session.get(Upload, name)) is not None]
    drop_uploads(session, [row.id for row in rows if not under_hold(session, row.partner)])


def _reduced(tools: Tools, kind: Kind, path: Path) -> bytes:
    """Reduce a reference in the sandbox, whose answer comes through a pipe: no copy of it touches a disk."""
    settings = tools.settings
    cage = sandbox.Cage(memory_mib=settings.sandbox_memory_mib, seconds=settings.sandbox_seconds)
    source = path.resolve()
    return base64.b64decode(
        sandbox.run(_REDUCED[kind], {"source": str(source)}, cage=cage, readable=[source])
    )


def _kept(tools: Tools, identity: str, kind: Kind, content: bytes) -> KeptReference:
    now_ms = milliseconds(tools.clock.now())
    sealed = tools.vault.seal(identity, content, about=f"reference|{kind}", kind="person", now_ms=now_ms)
    return KeptReference(identity=identity, kind=kind, sealed=sealed, created_ms=now_ms)


def _named(references: Sequence[tuple[str, Path]], file: str) -> str:
    """Give the caller's name for a file that the detector calls by its path or its last part."""
    exact = (name for name, path in references if str(path) == file)
    return next(exact, None) or next((name for name, path in references if path.name == file), file)
