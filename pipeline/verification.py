"""Verify files: our own before release, and anybody's in the sandbox. Both ask the same two functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from core.media import sandbox
from core.store import Store
from pipeline.keyring import Keyring
from pipeline.records import Books
from provenance.marks import MarkKey
from provenance.verdict import Examination, LogProof
from provenance.verify import Report, conclude, examine, verify

_EXAMINATION = TypeAdapter(Examination)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What verification needs to know: whom we believe now, our books, the log's prover."""

    ring: Keyring
    tsa_roots_pem: str
    store: Store
    prove: Callable[[int], LogProof]
    cage: sandbox.Cage

    def own(self, path: Path, job_id: str) -> Report:
        """Verify a finished file of ours whose release is being decided."""
        books = Books(self.store, releasing=job_id)
        return verify(
            path,
            roots_pem=self.ring.roots_pem(),
            tsa_roots_pem=self.tsa_roots_pem,
            mark_keys=self.ring.detecting(),
            records=books,
            prove=self.prove,
        )

    def untrusted(self, path: Path) -> Report:
        """Verify a stranger's file: its bytes are read in a child process, our books stay here."""
        arguments = {
            "path": str(path.resolve()),
            "roots_pem": self.ring.roots_pem(),
            "tsa_roots_pem": self.tsa_roots_pem,
            "keys": [[key.id, key.secret.hex()] for key in self.ring.detecting()],
        }
        found = sandbox.run(
            "pipeline.verification:examined", arguments, cage=self.cage, readable=[path.resolve()]
        )
        return conclude(_EXAMINATION.validate_python(found), Books(self.store), self.prove)


def examined(path: str, roots_pem: str, tsa_roots_pem: str, keys: list[list[str]]) -> dict[str, Any]:
    """Examine a file, in the child: plain JSON goes back, since the child may have been taken over."""
    marks = tuple(MarkKey(name, bytes.fromhex(secret)) for name, secret in keys)
    found = _EXAMINATION.dump_python(
        examine(Path(path), roots_pem=roots_pem, tsa_roots_pem=tsa_roots_pem, mark_keys=marks), mode="json"
    )
    return dict(found)


def report_json(report: Report) -> dict[str, Any]:
    """Write a report as its public JSON."""
    return asdict(report)
