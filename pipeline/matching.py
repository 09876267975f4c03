"""Answer where a soft binding or a file leads, in the terms of the C2PA Soft Binding Resolution API."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.errors import BadInput, BadMedia, BadQuery, UnknownType
from core.media import sandbox
from core.store import Store
from pipeline.credentials import Credential, bound
from pipeline.finder import Finder, Likeness
from pipeline.keyring import Keyring
from provenance.fingerprint import audio, video
from provenance.manifest import AUDIO_ALG, VIDEO_ALG, binding_payload, binding_value
from provenance.marks import MarkKey
from provenance.perceive import perceive
from provenance.readings import Perception

WATERMARKS = (VIDEO_ALG, AUDIO_ALG)
FINGERPRINTS = (video.ALG, audio.ALG)
MAX_RESULTS = 100


@dataclass(frozen=True, slots=True)
class Binding:
    """A soft binding to resolve: `alg` is one of ours, `value` is base64 and fits it."""

    alg: str
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest that a query leads to; `score` 0..100 says how alike the content is, if it was compared."""

    label: str
    withdrawn: bool
    score: int | None = None


def binding(alg: str, value: str) -> Binding:
    """Check a soft binding; raises `BadQuery` for an algorithm or a value that is none of ours."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadQuery("The value is not base64.") from error
    if known(alg) in WATERMARKS and binding_payload(value) is None:
        raise BadQuery("The value of a watermark of ours has 8 bytes.")
    try:
        _ = _READ[alg](raw) if alg in _READ else None
    except BadInput as error:
        raise BadQuery(error.message) from error
    # one way of writing each value, whatever bits a lax writer left in the last character
    return Binding(alg, base64.b64encode(raw).decode())


def known(alg: str) -> str:
    """Give an algorithm's name back; raises `BadQuery` for one that is not supported."""
    if alg not in (*WATERMARKS, *FINGERPRINTS):
        raise BadQuery("This algorithm is not supported; see services/supportedAlgorithms.")
    return alg


@dataclass(frozen=True, slots=True)
class Matcher:
    """Resolves soft bindings and files to the manifests of released clips; threads may share it."""

    store: Store
    finder: Finder
    perceive: Callable[[Path], Perception]
    """Look at a stranger's file in the sandbox."""

    def by_binding(self, asked: Binding, limit: int) -> list[Found]:
        """Find what a soft binding leads to, best first."""
        if asked.alg in WATERMARKS:
            with self.store.reading() as session:
                return _unique(map(_exact, bound(session, asked.alg, asked.value, limit)), limit)
        return _unique(map(_alike, self._likenesses(asked.alg, base64.b64decode(asked.value), limit)), limit)

    def by_content(
        self, path: Path, limit: int, *, alg: str | None = None, hint: Binding | None = None
    ) -> list[Found]:
        """Find what the marks and fingerprints of a file lead to, by one algorithm or by all.

        Where nothing is found in the file, the hint is asked. Raises `UnknownType` for a file that is none
        of ours to decode and `BadQuery` for one that cannot be decoded.
        """
        seen = self.perceive(path)
        if seen.trouble is not None:
            raise BadQuery(seen.trouble) if seen.media else UnknownType(seen.trouble)
        asked = [one for one in _bindings(seen) if alg in (None, one.alg)]
        found = _unique((one for each in asked for one in self.by_binding(each, limit)), limit)
        return found or (self.by_binding(hint, limit) if hint else [])

    def _likenesses(self, alg: str, raw: bytes, limit: int) -> list[Likeness]:
        if alg == video.ALG:
            return self.finder.pictures(video.decode(raw), limit)
        return self.finder.sounds(audio.decode(raw), limit)


def onlooker(ring: Keyring, cage: sandbox.Cage) -> Callable[[Path], Perception]:
    """Make the function that looks at a stranger's file in a child process."""

    def perceived(path: Path) -> Perception:
        keys = [[key.id, key.secret.hex()] for key in ring.detecting()]
        arguments = {"path": str(path.resolve()), "keys": keys}
        found = sandbox.run("pipeline.matching:looked_at", arguments, cage=cage, readable=[path.resolve()])
        try:
            return _PERCEPTION.validate_python(found)
        except ValidationError as error:
            raise BadMedia("The reader of the file did not answer as it must.") from error

    return perceived


def looked_at(path: str, keys: list[list[str]]) -> dict[str, Any]:
    """Look at a file, in the child: plain JSON goes back, since the child may have been taken over."""
    marks = tuple(MarkKey(name, bytes.fromhex(secret)) for name, secret in keys)
    return dict(_PERCEPTION.dump_python(perceive(Path(path), marks), mode="json"))


_PERCEPTION = TypeAdapter(Perception)
_READ: dict[str, Callable[[bytes], object]] = {video.ALG: video.decode, audio.ALG: audio.decode}


def _bindings(seen: Perception) -> Iterator[Binding]:
    """Give the soft bindings that were found in a file, the surest first."""
    for alg, mark in ((VIDEO_ALG, seen.video), (AUDIO_ALG, seen.audio)):
        if mark is not None and mark.payload is not None:
            yield Binding(alg, binding_value(mark.payload))
    for alg, text in ((video.ALG, seen.video_print), (audio.ALG, seen.audio_print)):
        if text:
            yield binding(alg, _base64(text))


def _base64(text: str) -> str:
    # The child may have been taken over, so what it says is checked like anybody's query.
    try:
        return base64.b64encode(bytes.fromhex(text)).decode()
    except ValueError as error:
        raise BadQuery("The reader of the file did not answer as it must.") from error


def _exact(one: Credential) -> Found:
    return Found(one.label, one.withdrawn)


def _alike(one: Likeness) -> Found:
    return Found(one.credential.label, one.credential.withdrawn, round(100 * one.match.score))


def _unique(found: Iterator[Found], limit: int) -> list[Found]:
    """Keep one entry a manifest, with the best score it got, in the order in which they were first named."""
    kept: dict[str, Found] = {}
    for one in found:
        before = kept.get(one.label)
        if before is None or (before.score or 0) < (one.score or 0):
            kept[one.label] = one
    return list(kept.values())[:limit]
