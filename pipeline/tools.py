"""What the steps work with. Everything a step touches is here, so a test can hold every part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlmodel import Session

from audits.log.trust import Policy
from audits.log.witness import Answer
from core.blobs import Blobs
from core.clock import Clock
from core.media.clip import Clip
from core.settings import Settings
from core.store import Store
from core.vault import Vault
from generation.engines import Engine
from pipeline.keyring import Keyring
from pipeline.matching import Matcher
from pipeline.rulebook import Rulebook
from pipeline.screening import Detector
from policies.engine import Pack
from provenance.labels import Plan
from provenance.manifest import Claim, SignedManifest
from provenance.mark import Marked
from provenance.verify import Report

Stamp = Callable[[Path, Path], SignedManifest]
"""Add a time stamp to a copy of a signed file; raises `Unavailable` when the authority does not give one."""


class ReadPrompt(Protocol):
    """Read a prompt: the facts part of `safety.prompt`, with the names of protected people considered."""

    def __call__(self, session: Session, text: str, modality: str) -> dict[str, Any]:
        """Read `text`; raises `Unavailable` when a model is missing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The parts of the gate, put together for one process."""

    settings: Settings
    store: Store
    blobs: Blobs
    clock: Clock
    vault: Vault
    pack: Pack
    """The installation's own, which decides until another one is activated."""
    read_prompt: ReadPrompt
    engine: Callable[[str], Engine]
    detectors: Sequence[Detector]
    mark: Callable[[Clip, Path, int, Plan], Marked]
    sign: Callable[[Path, Path, Claim], SignedManifest]
    stamp: Stamp | None
    """None where no authority is configured."""
    ring: Keyring
    """The keys that sign, mark and are believed, as they are now."""
    integrate: Callable[[], int]
    """Bring the audit log up to date with the events committed so far; answers its size."""
    witness: Callable[[bytes], Answer]
    """The built-in witness, which answers whoever asks it to cosign our log."""
    trust: Policy
    """Whom a reader of our log is to believe."""
    verify: Callable[[Path, str], Report]
    """Our public verifier, told which unreleased request may count as a record."""
    verify_untrusted: Callable[[Path], Report]
    """The same for a stranger's file, which is read in the sandbox."""
    matcher: Matcher
    """Where a soft binding or a file leads."""
    version: str
    """Of Greenlight, for manifests and receipts."""
    doubles: Mapping[str, str]
    """Development doubles of this installation and what they stand for; a request adds its engine."""
    book: Rulebook = field(default_factory=Rulebook)
    """The packs that were activated, what is laid over them, and what decides in the shadow."""
