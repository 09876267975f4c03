"""Put the gate together from its settings: the one place where the rooms meet."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlmodel import Session

from core.blobs import LocalBlobs
from core.clock import Clock, SystemClock, milliseconds
from core.errors import KeyMissing
from core.media import sandbox
from core.settings import Settings
from core.store import open_store
from core.vault import Vault, secret_file
from generation.engines import open_engine
from pipeline import people
from pipeline.consents import Kind
from pipeline.finder import Finder
from pipeline.keyring import Keyring, first_keys
from pipeline.ledger import open_ledger
from pipeline.matching import Matcher, onlooker
from pipeline.records import prover
from pipeline.rulebook import Rulebook, candidates, keep
from pipeline.screening import ChildDetector, child_pool
from pipeline.shelf import Shelf
from pipeline.tools import Stamp, Tools
from pipeline.verification import Verifier
from policies.engine import default_pack, load
from provenance.manifest import sign, stamp
from provenance.mark import mark
from provenance.timestamp import DEVELOPMENT, Authority, dev_authority, http_authority, read_roots
from safety.prompt import PromptReader, ProtectedName


def assemble(settings: Settings) -> Tools:
    """Open database, keys, policies and models; raises `Unavailable` when a key or the pack is broken."""
    clock = SystemClock()
    store = open_store(settings.database)
    keys_dir = settings.data_dir / "keys"
    first_keys(store, settings, keys_dir, clock)
    ring = Keyring(store, keys_dir, clock)
    ledger = open_ledger(settings, store, clock)
    vault_key = keys_dir / "vault"
    vault = Vault(secret_file(vault_key, 32), settings.keys_database)
    vault.adopt(store)
    authority, tsa_roots = _authority(settings, keys_dir, clock)
    finder = Finder(store)
    cage = sandbox.Cage(memory_mib=settings.sandbox_memory_mib, seconds=settings.sandbox_seconds)
    verifier = Verifier(
        ring=ring,
        tsa_roots_pem=tsa_roots,
        store=store,
        finder=finder,
        prove=prover(ledger.folder, ledger.policy),
        cage=cage,
    )
    detector = partial(_detector, settings, vault_key)
    pack, book = load(settings.policy_pack or default_pack()), Rulebook()
    keep(store, pack, milliseconds(clock.now()))
    return Tools(
        settings=settings,
        store=store,
        blobs=LocalBlobs(settings.data_dir / "blobs"),
        clock=clock,
        vault=vault,
        pack=pack,
        book=book,
        read_prompt=_PromptDesk(settings, clock, book),
        engine=cache(lambda name: open_engine(name, settings.checkpoints_dir)),
        detectors=(
            detector(name="likeness", tier=settings.likeness_tier, target="safety.likeness:Likeness"),
            detector(name="voice", tier=settings.voice_tier, target="safety.voice:Voice"),
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
        sign=lambda source, target, claim: sign(source, target, claim, ring.signer(), authority),
        stamp=_stamping(ring, authority),
        ring=ring,
        integrate=ledger.integrate,
        witness=ledger.witness.add_checkpoint,
        trust=ledger.policy,
        verify=verifier.own,
        verify_untrusted=verifier.untrusted,
        matcher=Matcher(store, finder, onlooker(ring, cage)),
        version=version("greenlight"),
        doubles=ring.doubles() | _time_doubles(settings),
    )


def _detector(settings: Settings, vault_key: Path, *, name: Kind, tier: str, target: str) -> ChildDetector:
    return ChildDetector(
        name=name,
        tier=tier,
        target=target,
        models_dir=settings.models_dir,
        pool=child_pool(),
        seconds=settings.screen_seconds,
        shelf=Shelf(settings.database, settings.keys_database, vault_key, name, tier),
    )


def _authority(settings: Settings, keys_dir: Path, clock: Clock) -> tuple[Authority | None, str]:
    """Give the time-stamp authority to ask, if any, and the roots under which a time stamp is believed.

    The development authority is made in any case, apart from the development CA, and used where it is asked for.
    """
    ours = dev_authority(keys_dir, clock)
    if settings.tsa_url in ("", DEVELOPMENT):
        roots = ours.roots_pem if settings.tsa_roots is None else read_roots(settings.tsa_roots)
        return (ours if settings.tsa_url else None), roots
    if settings.tsa_roots is None:
        raise KeyMissing("tsa_url and tsa_roots must be set together.")
    roots = read_roots(settings.tsa_roots)
    return http_authority(settings.tsa_url, roots, settings.tsa_seconds), roots


def _stamping(ring: Keyring, authority: Authority | None) -> Stamp | None:
    if authority is None:
        return None
    return lambda source, target: stamp(source, target, version("greenlight"), ring.signer(), authority)


def _time_doubles(settings: Settings) -> dict[str, str]:
    if settings.tsa_url != DEVELOPMENT:
        return {}
    return {"time": "a development time-stamp authority with this machine's clock"}


class _PromptDesk:
    """Reads prompts with the names of the people protected now; the models load once."""

    def __init__(self, settings: Settings, clock: Clock, book: Rulebook) -> None:
        self.settings, self.clock, self.book = settings, clock, book
        self.reader: PromptReader | None = None

    def __call__(self, session: Session, text: str, modality: str) -> dict[str, Any]:
        if self.reader is None:
            self.reader = PromptReader.load(
                self.settings.models_dir,
                names_dir=self.settings.names_dir,
                trusted=[key.strip() for key in self.settings.names_keys.split(",") if key.strip()],
                guards=self.settings.prompt_guards,
            )
        names = people.protected_names(session, ProtectedName)
        for election in self.book.standing(session, milliseconds(self.clock.now())):
            names += [ProtectedName(id=name, names=called) for name, called in candidates(election)]
        models = [asdict(model) for model in self.reader.models]
        return self.reader.read(text, modality=modality, protected=names) | {"models": models}
