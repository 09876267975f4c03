"""Verify files: our own before release, and anybody's in the sandbox. Both ask the same two functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.errors import BadMedia
from core.media import sandbox
from core.store import Store
from pipeline.finder import Finder
from pipeline.keyring import Keyring
from pipeline.records import Books
from provenance.manifest import ManifestReading
from provenance.marks import MarkKey
from provenance.readings import Examination, LogProof, Perception
from provenance.verify import Report, conclude, examine, verify

_EXAMINATION = TypeAdapter(Examination)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What verification needs to know: whom we believe now, our books, the log's prover."""

    ring: Keyring
    tsa_roots_pem: str
    store: Store
    finder: Finder
    prove: Callable[[int], LogProof]
    cage: sandbox.Cage

    def own(self, path: Path, job_id: str) -> Report:
        """Verify a finished file of ours whose release is being decided."""
        books = Books(self.store, self.finder, releasing=job_id)
        return verify(
            path,
            roots_pem=self.ring.roots_pem(),
            tsa_roots_pem=self.tsa_roots_pem,
            mark_keys=self.ring.detecting(),
            records=books,
            prove=self.prove,
            keys=self.ring.standing,
        )

    def untrusted(self, path: Path) -> Report:
        """Verify a stranger's file: its bytes are read in a child process, our books stay here.

        Whatever the file does to its reader ends in a verdict. Raises `BadMedia` when there is no file, and
        `TimedOut` when reading took too long, which says nothing about the file.
        """
        if not path.is_file():
            raise BadMedia("The file is not there.")
        start = time.perf_counter()
        found = self._examined(path)
        elapsed = time.perf_counter() - start
        return conclude(
            found, Books(self.store, self.finder), self.prove, self.ring.standing, elapsed=elapsed
        )

    def _examined(self, path: Path) -> Examination:
        arguments = {
            "path": str(path.resolve()),
            "roots_pem": self.ring.roots_pem(),
            "tsa_roots_pem": self.tsa_roots_pem,
            "keys": [[key.id, key.secret.hex()] for key in self.ring.detecting()],
        }
        try:
            found = sandbox.run(
                "pipeline.verification:examined", arguments, cage=self.cage, readable=[path.resolve()]
            )
            return _EXAMINATION.validate_python(found)
        except (BadMedia, ValidationError) as error:
            # The only untrusted thing in the child was the file.
            why = error.message if isinstance(error, BadMedia) else "The reader did not answer as it must."
            return _unreadable(why)


def examined(path: str, roots_pem: str, tsa_roots_pem: str, keys: list[list[str]]) -> dict[str, Any]:
    """Examine a file, in the child: plain JSON goes back, since the child may have been taken over."""
    marks = tuple(MarkKey(name, bytes.fromhex(secret)) for name, secret in keys)
    found = _EXAMINATION.dump_python(
        examine(Path(path), roots_pem=roots_pem, tsa_roots_pem=tsa_roots_pem, mark_keys=marks), mode="json"
    )
    return dict(found)


def _unreadable(why: str) -> Examination:
    broken = ManifestReading(state="malformed", failures=("reader.failed",))
    return Examination(digest="", manifest=broken, media=Perception(media=True, trouble=why, seconds=None))


def report_json(report: Report) -> dict[str, Any]:
    """Write a report as its public JSON."""
    return asdict(report)
