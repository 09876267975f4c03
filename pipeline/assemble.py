"""Put the gate together from its settings: the one place where the rooms meet."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlmodel import Session

from core.blobs import LocalBlobs
from core.clock import SystemClock
from core.media import sandbox
from core.settings import Settings
from core.store import open_store
from core.vault import Vault, secret_file
from generation.engines import open_engine
from pipeline import people
from pipeline.keyring import Keyring, first_keys
from pipeline.ledger import open_ledger
from pipeline.records import prover
from pipeline.screening import ChildDetector, child_pool
from pipeline.tools import Tools
from pipeline.verification import Verifier
from policies.engine import default_pack, load
from provenance.manifest import sign
from provenance.mark import mark
from safety.prompt import PromptReader, ProtectedName


def assemble(settings: Settings) -> Tools:
    """Open database, keys, policies and models; raises `Unavailable` when a key or the pack is broken."""
    clock = SystemClock()
    store = open_store(settings.database)
    keys_dir = settings.data_dir / "keys"
    first_keys(store, settings, keys_dir, clock)
    ring = Keyring(store, keys_dir, clock)
    ledger = open_ledger(settings, store, clock)
    vault = Vault(secret_file(keys_dir / "vault", 32), settings.keys_database)
    vault.adopt(store)
    pool = child_pool()
    verifier = Verifier(
        ring=ring,
        store=store,
        prove=prover(ledger.folder, ledger.policy),
        cage=sandbox.Cage(memory_mib=settings.sandbox_memory_mib, seconds=settings.sandbox_seconds),
    )
    detector = partial(
        ChildDetector, models_dir=settings.models_dir, pool=pool, seconds=settings.screen_seconds
    )
    return Tools(
        settings=settings,
        store=store,
        blobs=LocalBlobs(settings.data_dir / "blobs"),
        clock=clock,
        vault=vault,
        pack=load(settings.policy_pack or default_pack()),
        read_prompt=_PromptDesk(settings.models_dir),
        engine=cache(lambda name: open_engine(name, settings.checkpoints_dir)),
        detectors=(
            detector(name="likeness", tier=settings.likeness_tier, target="safety.likeness:Likeness"),
            detector(name="voice", tier="embedded", target="safety.voice:Voice"),
        ),
        mark=lambda clip, into, payload, labels: mark(
            clip,
            into,
            payload,
            ring.marking(),
            labels,
            crf=settings.delivery_crf,
            preset=settings.delivery_preset,
        ),
        sign=lambda source, target, claim: sign(source, target, claim, ring.signer()),
        ring=ring,
        integrate=ledger.integrate,
        witness=ledger.witness.add_checkpoint,
        trust=ledger.policy,
        verify=verifier.own,
        verify_untrusted=verifier.untrusted,
        version=version("greenlight"),
        doubles=ring.doubles(),
    )


class _PromptDesk:
    """Reads prompts with the names of the people protected now; the models load once."""

    def __init__(self, models_dir: Path) -> None:
        self.models_dir = models_dir
        self.reader: PromptReader | None = None

    def __call__(self, session: Session, text: str, modality: str) -> dict[str, Any]:
        if self.reader is None:
            self.reader = PromptReader.load(self.models_dir)
        names = people.protected_names(session, ProtectedName)
        models = [asdict(model) for model in self.reader.models]
        return self.reader.read(text, modality=modality, protected=names) | {"models": models}
