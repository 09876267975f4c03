"""Enrol a protected person from references that were taken in through the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.errors import BadInput, Unavailable
from pipeline import people
from pipeline.consents import Kind
from pipeline.tools import Tools
from safety.gallery import Enrolment


def enrol(
    tools: Tools,
    identity: str,
    kind: Kind,
    references: Sequence[tuple[str, Path]],
    *,
    uploads: Sequence[str],
    actor: str,
) -> Enrolment:
    """Make and store a person's templates from (name, file) pairs; answers say which names were refused and why.

    `uploads` are the references' ids, to be deleted with the person.
    """
    if not references:
        raise BadInput("Give at least one reference.")
    detector = next((detector for detector in tools.detectors if detector.name == kind), None)
    if detector is None:
        raise Unavailable(f"There is no {kind} detector here.")
    made = detector.enrol([path for _, path in references])
    with tools.store.session() as session:
        people.enrol(
            session,
            tools.vault,
            identity,
            kind,
            detector.tier,
            made,
            uploads=uploads,
            actor=actor,
            clock=tools.clock,
        )
        session.commit()
    names = {str(path): name for name, path in references}
    return replace(
        made,
        accepted=tuple(_named(names, path) for path in made.accepted),
        refused=tuple((_named(names, path), why) for path, why in made.refused),
    )


def _named(names: dict[str, str], path: str) -> str:
    return names.get(path) or next((name for full, name in names.items() if Path(full).name == path), path)
