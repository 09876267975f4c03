"""The log's side of witnessing: ask every witness for its cosignature, and publish only with a quorum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import httpx

from audits.log.format import (
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    parse_checkpoint,
    parse_decimal,
    parse_note,
)
from audits.log.signing import LogKey
from audits.log.tree import Roots, consistency_proof
from audits.log.trust import Policy
from audits.log.witness import SIZE_TYPE, Answer, Request, Seen
from core.errors import LogCorrupt, Unavailable

PATIENCE_SECONDS = 3.0
_MAX_ANSWER = 64 * 1024


class Cosigner(Protocol):
    """A witness as the log sees it: in this process or behind a URL."""

    @property
    def vkey(self) -> VerifierKey:
        """The key that verifies its cosignatures."""
        ...

    def latest(self, origin: str) -> Seen | None:
        """Give the last checkpoint it cosigned, or None where nothing is known here."""
        ...

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer an add-checkpoint request; Unavailable when it does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteWitness:
    """A witness that somebody else runs, at its submission prefix."""

    vkey: VerifierKey
    url: str

    def latest(self, origin: str) -> Seen | None:  # noqa: ARG002 - the protocol has no call that only asks
        """Know nothing."""
        return None

    def add_checkpoint(self, body: bytes) -> Answer:
        """Send the request; Unavailable when no whole answer comes in time."""
        try:
            with (
                httpx.Client(timeout=PATIENCE_SECONDS) as client,
                client.stream("POST", f"{self.url.rstrip('/')}/add-checkpoint", content=body) as answer,
            ):
                data = b""
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _MAX_ANSWER:
                        raise Unavailable("its answer is too long")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"it does not answer ({type(error).__name__})") from error
        type_ = answer.headers.get("content-type", "")
        return Answer(answer.status_code, data.decode(errors="replace"), type_)


@dataclass(frozen=True, slots=True)
class Quorum:
    """The witnesses of a log, and how many of them must have cosigned what is published."""

    witnesses: tuple[Cosigner, ...] = ()
    needed: int = 0

    def policy(self, key: LogKey) -> Policy:
        """Give what a reader of this log is to believe."""
        return Policy(key.vkeys, tuple(witness.vkey for witness in self.witnesses), self.needed)

    def met(self, note: str, key: LogKey) -> bool:
        """Tell whether a note carries all that a reader needs."""
        try:
            return bool(self.policy(key).verify(note))
        except LogCorrupt:
            return False

    def memory(self, origin: str) -> dict[str, Seen]:
        """Give what the witnesses that can be asked for nothing saw last, by name."""
        found = {witness.vkey.name: witness.latest(origin) for witness in self.witnesses}
        return {name: seen for name, seen in found.items() if seen is not None}

    def cosign(self, note: str, roots: Roots, public: str | None) -> str:
        """Return the note with the cosignatures under it; raise unless they are a quorum.

        `roots` sees the tree of the note's checkpoint; `public` is the note published last, which tells
        what the witnesses know. A witness that has seen more than this raises LogCorrupt, one that does
        not answer counts as absent, and Unavailable says who is missing and why.
        """
        ask = _Asking(note, parse_checkpoint(parse_note(note).text), roots, public)
        found = _all(ask, self.witnesses)
        lines = [answer for answer in found if isinstance(answer, Signature)]
        if len(lines) >= self.needed:
            return note + "".join(line.line for line in lines)
        problems = [answer for answer in found if isinstance(answer, Exception)]
        why = f"the checkpoint of {ask.head.size} entries has {len(lines)} of the {self.needed} cosignatures it needs"
        reasons = "; ".join(str(problem) for problem in problems)
        for problem in problems:
            if isinstance(problem, LogCorrupt):
                raise LogCorrupt(f"{why}: {reasons}") from problem
        raise Unavailable(f"{why}: {reasons}")


def _all(
    ask: Callable[[Cosigner], Signature | Exception], witnesses: Sequence[Cosigner]
) -> list[Signature | Exception]:
    if len(witnesses) < 2:
        return [ask(witness) for witness in witnesses]
    with ThreadPoolExecutor(len(witnesses)) as pool:
        return list(pool.map(ask, witnesses))


@dataclass(frozen=True, slots=True)
class _Asking:
    """One checkpoint that is carried to one witness after the other."""

    note: str
    head: Checkpoint
    roots: Roots
    public: str | None

    def __call__(self, witness: Cosigner) -> Signature | Exception:
        """Give the cosignature, or the error that says why there is none."""
        try:
            old = self._known_to(witness)
            answer = self._sent(witness, old)
            if answer.status == 409 and answer.type.startswith(SIZE_TYPE):
                known = parse_decimal(answer.body.removesuffix("\n"))
                if known > self.head.size:
                    return LogCorrupt(_ahead(witness.vkey.name, known, self.head.size))
                answer = self._sent(witness, known)
            return self._accepted(witness.vkey, answer)
        except (LogCorrupt, Unavailable) as error:
            return type(error)(f"{witness.vkey.name}: {error.message}")

    def _known_to(self, witness: Cosigner) -> int:
        seen = witness.latest(self.head.origin)
        if seen is not None:
            return min(seen.size, self.head.size)
        if self.public is None:
            return 0
        published = parse_note(self.public)
        return parse_checkpoint(published.text).size if witness.vkey.signed(published) else 0

    def _sent(self, witness: Cosigner, old: int) -> Answer:
        proof = consistency_proof(old, self.head.size, self.roots) if 0 < old < self.head.size else []
        return witness.add_checkpoint(Request(old, tuple(proof), self.note).render().encode())

    def _accepted(self, key: VerifierKey, answer: Answer) -> Signature:
        forked = answer.status == 422 or (answer.status == 409 and not answer.type.startswith(SIZE_TYPE))
        if forked or answer.status != 200:
            error = LogCorrupt if forked else Unavailable
            raise error(f"it answered {answer.status}: {answer.body.strip()[:200]}")
        try:
            signatures = parse_note(f"{self.head.text}\n{answer.body}").signatures
            return next(s for s in signatures if key.signed(Note(self.head.text, (s,))))
        except (LogCorrupt, StopIteration):
            raise Unavailable("its answer holds no cosignature of its key") from None


def check_memory(memory: Mapping[str, Seen], size: int, root: bytes) -> None:
    """Raise LogCorrupt when a witness saw a log that this one, of `size` entries, cannot extend.

    Asked before anything new is signed: a database restored from an older backup must not grow a fork.
    """
    for name, seen in memory.items():
        if seen.size > size or (seen.size == size and seen.root != root):
            raise LogCorrupt(_ahead(name, seen.size, size))


def _ahead(witness: str, seen: int, size: int) -> str:
    return (
        f"{witness} has cosigned a log of {seen} entries that this one of {size} does not extend: "
        "the database was restored from an older backup, or the log was rewritten"
    )
