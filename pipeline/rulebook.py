"""The packs of this installation: which one decides on a request now, what is laid over it, what decides beside it.

Which rows are active is asked at every decision, so that a change holds at once in every process; what they compile
to is kept. Where a stored pack cannot be compiled nothing decides: that is a `PolicyError`, and the request is held.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlmodel import Session, col, select

from core.decision import Decision, Stage
from core.errors import PolicyError
from core.store import Store
from core.tables import PolicyFile
from policies.engine import Pack, load_bytes
from policies.overlay import Overlay, laid, read_overlay

_KEPT = 64
CANDIDATE = "candidate_"
"""How the ids of candidates begin; those of protected people begin otherwise."""
_log = structlog.get_logger("policies")


@dataclass(frozen=True, slots=True)
class InForce:
    """The pack that decides, the one in the shadow, and the elections under way where the clip will be shown."""

    active: Pack
    shadow: Pack | None = None
    elections: tuple[Overlay, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """What is active or in the shadow; the content stays in the database until it is needed."""

    sha256: str
    kind: str
    state: str


@dataclass(slots=True)
class Rulebook:
    """Compiled packs by the digests of the files they were put together from; safe to use from several threads."""

    _packs: OrderedDict[tuple[str, ...], Pack] = field(default_factory=OrderedDict)
    _overlays: dict[str, Overlay] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def base(self, session: Session, installed: Pack) -> Pack:
        """Give the active pack, without overlays: the installation's own where none was ever activated."""
        return self._base(session, _standing(session), installed)

    def in_force(
        self, session: Session, installed: Pack, *, partner: str, territory: str, now_ms: int
    ) -> InForce:
        """Say what decides on a request of this partner for this territory now."""
        rows = _standing(session)
        overlays = [one for one in self._laid_on(session, rows) if one.applies(partner, territory, now_ms)]
        active = self._whole(self._base(session, rows, installed), overlays)
        elections = tuple(one for one in overlays if one.kind == "election")
        return InForce(active, self._shadow(session, rows, overlays, installed), elections)

    def overlays(self, session: Session) -> list[Overlay]:
        """List the active overlays and elections, whether or not anybody is met by them now."""
        return self._laid_on(session, _standing(session))

    def standing(self, session: Session, now_ms: int) -> list[Overlay]:
        """List the elections that are under way anywhere."""
        going = (one for one in self.overlays(session) if one.kind == "election")
        return [one for one in going if (one.span[0] or 0) <= now_ms < (one.span[1] or 0)]

    def that_decided(self, session: Session, decision: Decision, installed: Pack) -> Pack:
        """Find the pack that made a decision; raises `PolicyError` where it is not here."""
        base, *over = decision.layers or (decision.pack_sha256,)
        made = self._pack(session, base, installed)
        return self._whole(made, [self._overlay(session, digest) for digest in over])

    def _base(self, session: Session, rows: Sequence[_Row], installed: Pack) -> Pack:
        active = [row for row in rows if (row.kind, row.state) == ("pack", "active")]
        return self._pack(session, active[0].sha256, installed) if active else installed

    def _laid_on(self, session: Session, rows: Sequence[_Row]) -> list[Overlay]:
        over = (row for row in rows if row.kind != "pack" and row.state == "active")
        return [self._overlay(session, row.sha256) for row in over]

    def _shadow(
        self, session: Session, rows: Sequence[_Row], overlays: Sequence[Overlay], installed: Pack
    ) -> Pack | None:
        shadow = [row for row in rows if row.state == "shadow"]
        if not shadow:
            return None
        try:
            return self._whole(self._pack(session, shadow[0].sha256, installed), overlays)
        except PolicyError as error:
            # What decides nothing must not keep anything from being decided.
            _log.warning("the pack in the shadow cannot decide", why=error.message)
            return None

    def _overlay(self, session: Session, digest: str) -> Overlay:
        known = self._overlays.get(digest)
        if known is None:
            known = read_overlay(_content(session, digest, "overlay", "election"))
            self._overlays[digest] = known
        return known

    def _whole(self, base: Pack, overlays: Sequence[Overlay]) -> Pack:
        if not overlays:
            return base
        names = (base.sha256, *sorted(one.sha256 for one in overlays))
        return self._found(names, lambda: laid(base, overlays))

    def _pack(self, session: Session, digest: str, installed: Pack) -> Pack:
        if digest == installed.sha256:
            return installed
        return self._found((digest,), lambda: load_bytes(_content(session, digest, "pack")))

    def _found(self, names: tuple[str, ...], make: Callable[[], Pack]) -> Pack:
        with self._lock:
            if names in self._packs:
                self._packs.move_to_end(names)
                return self._packs[names]
        made = make()
        with self._lock:
            self._packs[names] = made
            while len(self._packs) > _KEPT:
                self._packs.popitem(last=False)
        return made


def keep(store: Store, pack: Pack, now_ms: int) -> None:
    """Keep the installation's own pack, so that what it decides can be replayed when the file is another."""
    with store.session() as session:
        if session.get(PolicyFile, pack.sha256) is None:
            row = PolicyFile(
                sha256=pack.sha256,
                kind="pack",
                name=pack.name,
                version=pack.version,
                content=pack.content,
                state="kept",
                added_by="",
                created_ms=now_ms,
            )
            session.merge(row)
            session.commit()


def differing(stage: Stage, force: InForce, decision: Decision) -> dict[str, Any] | None:
    """Let the pack in the shadow decide on the same facts; give what differs as facts of an event, or None."""
    if force.shadow is None:
        return None
    try:
        other = force.shadow.replay(stage, decision.facts)
    except Exception:  # noqa: BLE001  what decides nothing must not keep anything from being decided
        _log.exception("the pack in the shadow failed")
        return None
    rules, would = _ids(decision), _ids(other)
    if (decision.outcome, rules) == (other.outcome, would):
        return None
    return {
        "stage": stage,
        "outcome": decision.outcome,
        "would": other.outcome,
        "pack": decision.pack_sha256,
        "shadow": other.pack_sha256,
        "rules": rules,
        "would_rules": would,
    }


def _ids(decision: Decision) -> list[str]:
    return list(dict.fromkeys(hit.id for hit in decision.rules))


def _standing(session: Session) -> list[_Row]:
    wanted = select(PolicyFile.sha256, PolicyFile.kind, PolicyFile.state).where(
        col(PolicyFile.state).in_(("active", "shadow"))
    )
    return [_Row(*row) for row in session.exec(wanted.order_by(col(PolicyFile.sha256)))]


def _content(session: Session, digest: str, *kinds: str) -> bytes:
    """Give a stored file; raises `PolicyError` where it is not here, or not what it was when it was approved."""
    row = session.get(PolicyFile, digest)
    if row is None or row.kind not in kinds:
        raise PolicyError("A policy that took part in this decision is not here.")
    if hashlib.sha256(row.content).hexdigest() != digest:
        raise PolicyError(f"The stored {row.kind} {row.name} is not what it was when it was approved.")
    return row.content


def candidates(election: Overlay) -> list[tuple[str, tuple[str, ...]]]:
    """List (id, names) of everybody who stands in an election."""
    return [
        (f"{CANDIDATE}{election.name}_{number}", (person.name, *person.aliases))
        for number, person in enumerate(election.candidates)
    ]
