"""Fast stand-ins for the heavy rooms, so that the gate's order and its guards can be tested by the thousand.

The database, the steps, the policies and the log are the real ones; rendering, detection, marking, signing
and verification write small text files.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from audits.log.format import VerifierKey
from audits.log.trust import Policy
from audits.log.witness import Answer
from core.blobs import LocalBlobs
from core.clock import Clock
from core.finding import Comparison, Finding, Model, Screening
from core.media.clip import AudioTrack, Clip, VideoTrack
from core.media.write import Mezzanine
from core.settings import Settings
from core.shot import Checkpoint, Limits, Shot, Tick
from core.store import Store, open_store
from core.tables import Partner
from core.vault import Vault
from pipeline.consents import Kind
from pipeline.finder import Finder
from pipeline.keyring import Keyring
from pipeline.matching import Matcher
from pipeline.tools import Tools
from policies.engine import Pack, default_pack, load
from provenance.labels import Plan
from provenance.manifest import SignedManifest
from provenance.mark import Marked
from provenance.readings import Perception

GREEN = (10, 200, 30)
UNSEEN = Perception(media=False, trouble="Nothing is looked at here.", seconds=None)


def reading(text: str, **changes: Any) -> dict[str, Any]:
    """The facts of a harmless English prompt, with changes."""
    from core.decision import CATEGORIES

    facts = {
        "text": {"length": len(text), "obfuscated": False, "views": [text]},
        "language": {"code": "en", "scored": True},
        "scores": dict.fromkeys(CATEGORIES, 0.0),
        "hits": [],
        "entities": [],
        "guards": [],
    }
    return facts | changes


@dataclass
class TinyEngine:
    """Writes a real but minute clip."""

    name: str = "tiny"
    limits: Limits = field(
        default_factory=lambda: Limits(max_seconds=16, picture=True, sound=True, fps=(24,))
    )
    rendered: int = 0

    def identity(self) -> Checkpoint:
        return Checkpoint(self.name, "1", "00" * 32, "Apache-2.0")

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        self.rendered += 1
        tick(0.1)
        with Mezzanine(into, width=64, height=64, fps=4, rate=8000, channels=1) as writer:
            writer.sound(np.zeros((2000, 1), np.float32))
            writer.frame(np.zeros((64, 64, 3), np.uint8))
        return _clip(into)


def _clip(path: Path) -> Clip:
    return Clip(
        path=path,
        container="matroska",
        video=VideoTrack(codec="ffv1", width=64, height=64, fps=Fraction(4), frames=1),
        audio=AudioTrack(codec="pcm_f32le", rate=8000, channels=1, samples=2000),
    )


def reference_file(kind: str, into: Path) -> Path:
    """Write a small green picture, or half a second of silence, as an upload is kept."""
    if kind == "picture":
        coded = cv2.imencode(".png", np.full((90, 70, 3), GREEN[::-1], np.uint8))[1]
        into.write_bytes(coded.tobytes())
        return into
    with Mezzanine(into, rate=8000, channels=1) as writer:
        writer.sound(np.zeros((4000, 1), np.float32))
    return into


@dataclass
class Eyes:
    """A detector that sees what it is told to see."""

    name: Kind
    tier: str = "embedded"
    findings: tuple[Finding, ...] = ()
    fails: Exception | None = None

    def look(self, clip: Clip) -> Future[Screening]:
        if self.fails is not None:
            raise self.fails
        future: Future[Screening] = Future()
        model = Model("eyes", "00" * 32)
        future.set_result(
            Screening(detector=self.name, tier=self.tier, models=(model,), findings=self.findings)
        )
        return future


@dataclass
class Ears(Eyes):
    """Hears one voice, and words where there is a recogniser."""

    words: str | None = None
    asked: str | None = None

    def compare(self, recording: Path, identity: str) -> Future[Comparison]:
        self.asked = identity
        if self.fails is not None:
            raise self.fails
        assert recording.is_file()
        same = identity in {finding.identity for finding in self.findings}
        future: Future[Comparison] = Future()
        future.set_result(Comparison(same, 4.0 if same else 1.0, 3.0, 0.9 if same else 0.1, self.words))
        return future


def sighting_of(identity: str, kind: Kind = "likeness") -> Finding:
    """A clear match."""
    return Finding(
        kind=kind,
        identity=identity,
        score=0.9,
        threshold=0.5,
        start=0.1,
        end=0.2,
        track="video" if kind == "likeness" else "audio",
        box=(1, 2, 30, 40) if kind == "likeness" else None,
        frame=0 if kind == "likeness" else None,
    )


def mark(clip: Clip, into: Path, payload: int, labels: Plan) -> Marked:
    into.write_bytes(clip.path.read_bytes() + f"|mark {payload:016x}".encode())
    prints = {"org.greenlight.fingerprint.video.1": f"print {payload:016x}".encode()}
    return Marked(clip=replace(clip, path=into), video=True, audio=True, notes=(), prints=prints)


def sign(source: Path, target: Path, claim: Any) -> SignedManifest:
    target.write_bytes(source.read_bytes() + b"|signed")
    return SignedManifest(label=f"urn:c2pa:{claim.record}", bytes=b"manifest")


@cache
def pack() -> Pack:
    """The default pack, loaded once: it is frozen, and trying it takes longer than most tests."""
    return load(default_pack())


def make_tools(folder: Path, clock: Clock, *, store: Store | None = None, **changes: Any) -> Tools:
    """Tools over a real SQLite database in `folder`, with doubles for the heavy rooms."""
    settings = Settings(data_dir=folder, models_dir=folder / "models", engine="tiny", _env_file=None)
    store = store or open_store(settings.database)
    engine = TinyEngine()
    tools = Tools(
        settings=settings,
        store=store,
        blobs=LocalBlobs(folder / "blobs"),
        clock=clock,
        vault=Vault(b"k" * 32, settings.keys_database),
        pack=pack(),
        read_prompt=lambda _session, text, _modality: reading(text),
        engine=lambda _name: engine,
        detectors=(Eyes("likeness"), Eyes("voice")),
        mark=mark,
        sign=sign,
        stamp=None,
        ring=Keyring(store, folder / "keys", clock),
        integrate=lambda: 0,
        witness=lambda _body: Answer(404, ""),
        trust=Policy((VerifierKey(settings.log_origin, bytes(32)),)),
        verify=lambda _path, _job: SimpleNamespace(verdict="verified", reasons=[]),
        matcher=Matcher(store, Finder(store), lambda _path: UNSEEN),
        verify_untrusted=lambda _path: SimpleNamespace(verdict="unknown", reasons=[]),
        version="0",
        doubles={"engine": "tiny"},
    )
    return replace(tools, **changes)


def add_partner(store: Store, partner: str = "acme") -> None:
    with store.session() as session:
        session.add(Partner(id=partner, name=partner, per_minute=10_000, at_once=10_000, created_ms=0))
        session.commit()
