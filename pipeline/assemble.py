"""Put the gate together from its settings: the one place where the rooms meet."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlmodel import Session

from audits.log.writer import integrate, log_key
from core.blobs import LocalBlobs
from core.clock import SystemClock
from core.errors import KeyMissing
from core.media import sandbox
from core.settings import Settings
from core.store import open_store
from core.vault import Vault, secret_file
from generation.engines import open_engine
from pipeline import people
from pipeline.records import prover
from pipeline.screening import ChildDetector, child_pool
from pipeline.tools import Tools
from pipeline.verification import Verifier
from policies.engine import default_pack, load
from provenance.keys import (
    Credential,
    PemKey,
    SigningKeys,
    dev_keys,
    mark_keys,
    open_keys,
    read_certificates,
)
from provenance.manifest import sign
from provenance.mark import mark
from safety.prompt import PromptReader, ProtectedName


def assemble(settings: Settings) -> Tools:
    """Open database, keys, policies and models; raises `Unavailable` when a key or the pack is broken."""
    clock = SystemClock()
    store = open_store(settings.database)
    keys_dir = settings.data_dir / "keys"
    signing = _signing_keys(settings, keys_dir, clock)
    marking = mark_keys(keys_dir)
    log = log_key(keys_dir / "log", settings.log_origin)
    log_dir = settings.data_dir / "log"
    pool = child_pool()
    verifier = Verifier(
        roots_pem=signing.claim_roots_pem,
        keys=marking,
        store=store,
        prove=prover(log_dir, log),
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
        vault=Vault(secret_file(keys_dir / "vault", 32)),
        pack=load(settings.policy_pack or default_pack()),
        read_prompt=_PromptDesk(settings.models_dir),
        engine=cache(lambda name: open_engine(name, settings.checkpoints_dir)),
        detectors=(
            detector(name="likeness", tier=settings.likeness_tier, target="safety.likeness:Likeness"),
            detector(name="voice", tier="embedded", target="safety.voice:Voice"),
        ),
        mark=lambda clip, into, payload: mark(
            clip, into, payload, marking[0], crf=settings.delivery_crf, preset=settings.delivery_preset
        ),
        sign=lambda source, target, claim: sign(source, target, claim, signing),
        mark_keys=marking,
        integrate=lambda: integrate(store, log_dir, log, clock),
        verify=verifier.own,
        verify_untrusted=verifier.untrusted,
        version=version("greenlight"),
        doubles=_doubles(settings),
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


def _signing_keys(settings: Settings, folder: Path, clock: SystemClock) -> SigningKeys:
    given = (settings.signing_chain, settings.signing_key, settings.signing_roots)
    if not any(given):
        return dev_keys(folder, clock)
    chain, key, roots = given
    if chain is None or key is None or roots is None:
        raise KeyMissing("signing_chain, signing_key and signing_roots must be set together.")
    return open_keys(Credential(read_certificates(chain, roots), PemKey(key)), clock)


def _doubles(settings: Settings) -> dict[str, str]:
    if settings.signing_chain is not None:
        return {}
    return {"signing": "a development certificate authority that nobody else trusts"}
