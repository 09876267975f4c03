"""Find released clips by what they look and sound like: an index in memory, filled from the database.

The database has every print; the index is only ever behind it, never ahead. It is brought up to date before
each question, so a process that starts, or lost everything, needs no more than its first question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from sqlmodel import Session, col, select

from core.errors import BadInput
from core.store import Store
from core.tables import Fingerprint
from pipeline.credentials import Credential, credentials
from provenance.fingerprint import Match, audio, video
from provenance.fingerprint.index import AudioIndex, VideoIndex

_log = structlog.get_logger("finder")
_AT_ONCE = 2000
_CLOSER_LOOKS = 48
"""Candidates that are compared in full; a clip that was re-encoded is among the first."""
_LATE = 4096
"""On a database with several writers a lower number may be committed after a higher one, by this many at most."""

P = TypeVar("P", video.VideoPrint, audio.AudioPrint)


@dataclass(frozen=True, slots=True)
class Likeness:
    """A released clip that a query agrees with, and how."""

    credential: Credential
    match: Match


@dataclass(slots=True)
class _Kind(Generic[P]):
    """One kind of print: how it is indexed, read and compared, and which rows the index has."""

    alg: str
    index: Any
    decode: Callable[[bytes], P]
    similarity: Callable[[P, P], Match]
    newest: int = 0
    recent: frozenset[int] = frozenset()


class Finder:
    """Answers which released clips a fingerprint agrees with; threads may share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._video = _Kind(video.ALG, VideoIndex(), video.decode, video.similarity)
        self._audio = _Kind(audio.ALG, AudioIndex(), audio.decode, audio.similarity)

    def pictures(self, query: video.VideoPrint, limit: int) -> list[Likeness]:
        """Find clips whose picture agrees, closest first."""
        return self._found(self._video, query, limit)

    def sounds(self, query: audio.AudioPrint, limit: int) -> list[Likeness]:
        """Find clips whose sound agrees, closest first."""
        return self._found(self._audio, query, limit)

    def _found(self, kind: _Kind[P], query: P, limit: int) -> list[Likeness]:
        with self._lock:
            self._catch_up(kind)
        candidates = kind.index.candidates(query, _CLOSER_LOOKS)
        with self._store.reading() as session:
            rows = session.exec(select(Fingerprint).where(col(Fingerprint.id).in_(candidates))).all()
            matches = {row.job: kind.similarity(query, kind.decode(row.data)) for row in rows}
            best = sorted((job for job in matches if matches[job].found), key=lambda job: -matches[job].score)
            public = credentials(session, best)
        return [Likeness(one, matches[one.job]) for one in public[:limit]]

    def _catch_up(self, kind: _Kind[P]) -> None:
        """Add the rows committed since the last question: the late ones first, then the new ones."""
        of_kind = select(Fingerprint.id, Fingerprint.data).where(col(Fingerprint.alg) == kind.alg)
        number = col(Fingerprint.id)
        with self._store.reading() as session:
            late = self._late(session, kind)
            added: list[int] = []
            if late:
                added += self._add(kind, session.exec(of_kind.where(number.in_(late))).all())
            after = of_kind.order_by(number).limit(_AT_ONCE)
            while rows := session.exec(after.where(number > kind.newest)).all():
                added += self._add(kind, rows)
                kind.newest = added[-1]
        kind.recent = frozenset(n for n in (*kind.recent, *added) if n > kind.newest - _LATE)

    @staticmethod
    def _late(session: Session, kind: _Kind[P]) -> list[int]:
        number = col(Fingerprint.id)
        passed = number.between(kind.newest - _LATE + 1, kind.newest)
        rows = session.exec(select(number).where(col(Fingerprint.alg) == kind.alg, passed))
        return [row for row in rows if row is not None and row not in kind.recent]

    @staticmethod
    def _add(kind: _Kind[P], rows: Sequence[tuple[int | None, bytes]]) -> list[int]:
        numbers = [number or 0 for number, _ in rows]
        for number, (_, data) in zip(numbers, rows, strict=True):
            try:
                kind.index.add(number, kind.decode(data))
            except BadInput:
                _log.error("a stored fingerprint cannot be read", number=number)
        return numbers
