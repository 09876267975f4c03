"""The states of a request and the only ways between them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a request stands."""

    RECEIVED = "received"
    ADMITTED = "admitted"
    GENERATED = "generated"
    HELD = "held"
    CLEARED = "cleared"
    MARKED = "marked"
    SIGNED = "signed"
    RECORDED = "recorded"
    RELEASED = "released"
    REFUSED = "refused"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"


S = State

TRANSITIONS: dict[State, frozenset[State]] = {
    S.RECEIVED: frozenset({S.ADMITTED, S.HELD, S.REFUSED, S.FAILED, S.CANCELLED}),
    S.ADMITTED: frozenset({S.GENERATED, S.FAILED, S.CANCELLED, S.HELD}),
    S.GENERATED: frozenset({S.CLEARED, S.HELD, S.REJECTED, S.FAILED, S.CANCELLED}),
    S.HELD: frozenset({S.RECEIVED, S.GENERATED, S.ADMITTED, S.CLEARED, S.REJECTED, S.CANCELLED}),
    S.CLEARED: frozenset({S.MARKED, S.FAILED, S.CANCELLED, S.HELD}),
    S.MARKED: frozenset({S.SIGNED, S.FAILED, S.CANCELLED, S.HELD}),
    S.SIGNED: frozenset({S.RECORDED, S.FAILED, S.HELD, S.MARKED}),
    S.RECORDED: frozenset({S.RELEASED, S.FAILED}),
    S.RELEASED: frozenset({S.WITHDRAWN}),
    S.REFUSED: frozenset({S.HELD}),
    S.REJECTED: frozenset({S.HELD}),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.WITHDRAWN: frozenset(),
}
"""ADMITTED to SIGNED go back to HELD when a consent they rest on is revoked. HELD goes back to RECEIVED or
GENERATED when a person asks for the check to be made again, say after a detector was mended. SIGNED goes back to MARKED when its key
was revoked. REFUSED and
REJECTED go to HELD once, by an appeal of whoever asked."""

RUNNABLE = frozenset({S.RECEIVED, S.ADMITTED, S.GENERATED, S.CLEARED, S.MARKED, S.SIGNED, S.RECORDED})
"""States from which a worker can take the next step."""

FINAL = frozenset({S.RELEASED, S.REFUSED, S.REJECTED, S.FAILED, S.CANCELLED, S.WITHDRAWN})

CANCELLABLE = frozenset(state for state, ways in TRANSITIONS.items() if S.CANCELLED in ways)
"""Cancelling is honest up to `signed`: from there the file is about to become a matter of record."""
