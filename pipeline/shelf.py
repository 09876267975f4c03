"""The galleries as a screening worker holds them: opened once, then only what changed.

The child process in which a detector runs reads and decrypts the templates itself; they are in its memory and
nowhere else in the clear. Before each clip it compares the version in the database with its own, and reads those
people again whom the versions in between name. Whatever cannot be read fails the whole gallery, with the reason.
Between clips a thread of the child does the same every few seconds, so that whoever was erased is not kept in the
memory of a process that waits for work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, func, select

from core.errors import ModelMissing, NotFound, Unavailable
from core.store import Store
from core.tables import GalleryChange, GalleryState, Template
from core.vault import Vault, secret_file
from pipeline.templates import unpacked
from safety.gallery import Gallery, Segment, Stack

_AT_ONCE = 5000
_TRIES = 3
FOLLOW_SECONDS = 5.0
"""How long an erased template may stay in the memory of a process that waits for work."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a child process finds a gallery: the databases, the file of the vault's key, the kind and the tier."""

    database: str
    keys: str
    key_file: Path
    kind: str
    tier: str

    @contextmanager
    def lent(self) -> Iterator[Gallery]:
        """Lend everybody who is enrolled now, unchanged until it is given back; raises `Unavailable`."""
        kept = _kept(self)
        with kept.lock:
            yield kept.fresh()

    def follow(self) -> None:
        """See to it that this process forgets the erased even while no clip comes."""
        _follower(self)

    def one(self, identity: str) -> Gallery:
        """Give one person alone, without opening the others; raises `NotFound` and `Unavailable`."""
        return _kept(self).one(identity)


@cache
def _kept(shelf: Shelf) -> Kept:
    vault = Vault(secret_file(shelf.key_file, 32), shelf.keys)
    return Kept(Store(shelf.database), vault, shelf.kind, shelf.tier)


@cache
def _follower(shelf: Shelf) -> threading.Thread:
    made = threading.Thread(target=_followed, args=(_kept(shelf),), daemon=True)
    made.start()
    return made


def _followed(kept: Kept) -> None:
    while True:
        time.sleep(FOLLOW_SECONDS)
        # What cannot be read now is told to the next clip, which asks again and is held.
        with suppress(Exception):
            kept.follow()


class Kept:
    """One gallery in memory, and which version of it that is; whoever uses it holds its `lock`."""

    def __init__(self, store: Store, vault: Vault, kind: str, tier: str) -> None:
        self.lock = threading.Lock()
        self._store, self._vault = store, vault
        self._kind, self._tier = kind, tier
        self._forget()

    def fresh(self) -> Gallery:
        """Bring the gallery up to date and give it.

        A person enrolled for another tier only cannot be looked for with this one: that raises `ModelMissing`
        rather than leaving them unprotected in silence.
        """
        for attempt in range(_TRIES):
            before = self._now()
            try:
                self._catch_up()
                break
            except Unavailable:
                self._forget()
                # Whoever was erased while we read has no key any more, and that is as it should be.
                if self._now() == before or attempt + 1 == _TRIES:
                    raise
            except Exception:
                self._forget()
                raise
        if self._elsewhere:
            raise ModelMissing(
                f"{len(self._elsewhere)} people are enrolled for another {self._kind} tier than {self._tier}; "
                "enrol them again."
            )
        return self._gallery

    def follow(self) -> None:
        """Bring a gallery that was opened up to date, unless it is in use."""
        if self._version >= 0 and self.lock.acquire(blocking=False):
            try:
                self.fresh()
            finally:
                self.lock.release()

    def one(self, identity: str) -> Gallery:
        """Give one person alone; raises `NotFound` when they are not enrolled for this kind and tier."""
        with self._store.reading() as session:
            found = self._stack(session, [identity]).segment()
        if not len(found):
            raise NotFound(f"No {self._kind} of this person is enrolled.")
        return Gallery((found,))

    def _forget(self) -> None:
        self._gallery, self._version = Gallery(), -1
        self._elsewhere: set[str] = set()

    def _now(self) -> int:
        with self._store.reading() as session:
            return self._state(session).version

    def _state(self, session: Session) -> GalleryState:
        found = session.get(GalleryState, self._kind)
        if found is None:
            raise Unavailable(f"The {self._kind} gallery has no version: its table was damaged.")
        return found

    def _catch_up(self) -> None:
        with self._store.reading() as session:
            state = self._state(session)
            if state.version < self._version:
                # The database was restored from an older copy.
                self._forget()
            if state.version == self._version:
                return
            if self._version < 0:
                self._read_all(session, state)
            else:
                self._read_changes(session, state)
            self._version = state.version

    def _read_all(self, session: Session, state: GalleryState) -> None:
        there = session.exec(select(func.count()).where(col(Template.kind) == self._kind)).one()
        if there != state.templates:
            raise Unavailable(f"The {self._kind} gallery has {there} templates instead of {state.templates}.")
        self._gallery = Gallery().changed((), self._segment(session, None))

    def _read_changes(self, session: Session, state: GalleryState) -> None:
        lately = select(GalleryChange.identity).where(
            col(GalleryChange.kind) == self._kind,
            col(GalleryChange.version) > self._version,
            col(GalleryChange.version) <= state.version,
        )
        changed = sorted(set(session.exec(lately)))
        self._elsewhere -= set(changed)
        self._gallery = self._gallery.changed(changed, self._segment(session, changed))

    def _segment(self, session: Session, identities: Sequence[str] | None) -> Segment:
        """Read these people, or everybody, and note who is enrolled for another tier only."""
        elsewhere: set[str] = set()
        segment = self._stack(session, identities, elsewhere).segment()
        self._elsewhere |= elsewhere - set(segment.identities)
        return segment

    def _stack(
        self, session: Session, identities: Sequence[str] | None, elsewhere: set[str] | None = None
    ) -> Stack:
        stack = Stack()
        for rows in self._rows(session, identities):
            mine = [(row.identity, row.sealed) for row in rows if row.tier == self._tier]
            if elsewhere is not None:
                elsewhere |= {row.identity for row in rows if row.tier != self._tier}
            opened = self._vault.open_many(mine, about=self._kind)
            for (identity, _), plain in zip(mine, opened, strict=True):
                stack.add(identity, *unpacked(identity, plain))
        return stack

    def _rows(self, session: Session, identities: Sequence[str] | None) -> Iterator[Sequence[Any]]:
        """Read templates some thousands at a time, those of one person after each other."""
        wanted = select(Template.identity, Template.tier, Template.sealed).where(Template.kind == self._kind)
        wanted = wanted.order_by(col(Template.identity), col(Template.id))
        if identities is None:
            yield from session.execute(wanted.execution_options(yield_per=_AT_ONCE)).partitions()
            return
        for start in range(0, len(identities), _AT_ONCE):
            some = identities[start : start + _AT_ONCE]
            yield session.execute(wanted.where(col(Template.identity).in_(some))).all()
