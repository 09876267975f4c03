"""A witness: it cosigns a checkpoint once it verified, and wrote down, that it extends the last one it saw.

C2SP tlog-witness, with one function behind both ways in: the log of this installation calls it directly, and
anybody may over HTTP. The witness has its own key and its own database. Who restores the log's database from
an older backup, or rewrites it, meets a witness that remembers more; who can also roll back the witness's
database, or sign with its key, is stopped only by witnesses that somebody else runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from audits.log.format import (
    HASH_SIZE,
    Checkpoint,
    Verifier,
    VerifierKey,
    decode64,
    encode64,
    parse_checkpoint,
    parse_decimal,
    parse_note,
)
from audits.log.signing import SigningKey
from audits.log.tree import EMPTY_ROOT, verify_consistency
from core.clock import Clock
from core.errors import LogCorrupt
from core.store import Store

MAX_REQUEST = 64 * 1024
MAX_PROOF = 63
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"

_SEEN = sa.Table(
    "witnessed",
    sa.MetaData(),
    sa.Column("origin", sa.String, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("at_s", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a log asks: to cosign this note, which extends the `old` entries the witness knows."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def render(self) -> str:
        """Give the body of an add-checkpoint request."""
        return "\n".join([f"old {self.old}", *map(encode64, self.proof), "", self.note])


def parse_request(body: bytes) -> Request:
    """Read an add-checkpoint request without believing it; LogCorrupt when malformed."""
    if len(body) > MAX_REQUEST:
        raise LogCorrupt(f"an add-checkpoint request has {MAX_REQUEST} bytes at most")
    try:
        head, gap, note = body.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise LogCorrupt("the request is not UTF-8") from error
    first, *lines = head.split("\n")
    if not gap or not first.startswith("old ") or len(lines) > MAX_PROOF:
        raise LogCorrupt("a request has a line `old SIZE`, 63 hashes at most, an empty line and a checkpoint")
    parse_checkpoint(parse_note(note).text)
    old = parse_decimal(first.removeprefix("old "))
    return Request(old, tuple(decode64(line, HASH_SIZE) for line in lines), note)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers: an HTTP status, a body and its type."""

    status: int
    body: str
    type: str = TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint of a log that a witness cosigned, and when (seconds since 1970)."""

    size: int
    root: bytes
    at_s: int


class Witness:
    """Cosign checkpoints of `logs`, by origin, and remember them in `store`, which is its own database."""

    def __init__(self, key: SigningKey, store: Store, logs: Mapping[str, Verifier], clock: Clock) -> None:
        self._key, self._store, self._logs, self._clock = key, store, logs, clock
        with store.session() as session:
            _SEEN.create(session.connection(), checkfirst=True)
            session.commit()

    @property
    def vkey(self) -> VerifierKey:
        """The key that verifies its cosignatures."""
        return self._key.vkey

    def latest(self, origin: str) -> Seen | None:
        """Give the last checkpoint of a log that was cosigned here."""
        with self._store.reading() as session:
            row = session.execute(sa.select(_SEEN).where(_SEEN.c.origin == origin)).one_or_none()
        return Seen(row.size, row.root, row.at_s) if row else None

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer an add-checkpoint request (tlog-witness, "add-checkpoint"), in the order of its rules."""
        try:
            request = parse_request(body)
            head = parse_checkpoint(parse_note(request.note).text)
        except LogCorrupt as error:
            return Answer(400, f"{error.message}\n")
        trusted = self._logs.get(head.origin)
        if trusted is None:
            return Answer(404, "This log is not known here.\n")
        try:
            trusted.verify(request.note)
        except LogCorrupt as error:
            return Answer(403, f"{error.message}\n")
        if request.old > head.size:
            return Answer(400, "The old size is larger than the checkpoint's.\n")
        return self._considered(request, head)

    def _considered(self, request: Request, head: Checkpoint) -> Answer:
        last = self.latest(head.origin)
        if request.old != (last.size if last else 0):
            return _conflict(last)
        if last and last.size == head.size and last.root != head.root:
            return Answer(409, f"Another tree of {head.size} entries was cosigned before.\n")
        try:
            _verify_extension(request, head, last)
        except LogCorrupt as error:
            return Answer(422, f"{error.message}\n")
        at_s = max(int(self._clock.now().timestamp()), last.at_s if last else 1)
        if not self._remembered(head, last, at_s):
            return _conflict(self.latest(head.origin))
        # It is on the disk that this tree was seen. Crashing before this line costs the log one more request.
        return Answer(200, self._key.signature(head.text, at_s).line)

    def _remembered(self, head: Checkpoint, last: Seen | None, at_s: int) -> bool:
        """Write a checkpoint down in the place of `last`; False when another request was faster."""
        values = {"size": head.size, "root": head.root, "at_s": at_s}
        with self._store.session() as session:
            if last is None:
                try:
                    session.execute(sa.insert(_SEEN).values(origin=head.origin, **values))
                except IntegrityError:
                    return False
            else:
                # The old size is compared by the statement that replaces it, so that no later checkpoint
                # is ever overwritten by an earlier one.
                mine = sa.and_(_SEEN.c.origin == head.origin, _SEEN.c.size == last.size)
                changed = session.execute(sa.update(_SEEN).where(mine).values(**values))
                if changed.rowcount != 1:  # type: ignore[attr-defined]  # Result of an UPDATE is a CursorResult
                    return False
            session.commit()
        return True


def _conflict(last: Seen | None) -> Answer:
    return Answer(409, f"{last.size if last else 0}\n", SIZE_TYPE)


def _verify_extension(request: Request, head: Checkpoint, last: Seen | None) -> None:
    """Raise LogCorrupt unless the checkpoint is shown to extend the last one."""
    if last and last.size and last.size < head.size:
        verify_consistency(last.size, head.size, last.root, head.root, request.proof)
        return
    if request.proof:
        raise LogCorrupt("there is nothing to prove, so the proof must be empty")
    if not head.size and head.root != EMPTY_ROOT:
        raise LogCorrupt("the empty log has another root")
