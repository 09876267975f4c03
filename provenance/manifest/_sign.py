"""Sign a finished file: nothing may touch its bytes afterwards."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2pa import Builder, C2paError, C2paSigningAlg, Context, Reader, Signer

from core.errors import BadMedia, GreenlightError, KeyMissing, Unavailable
from provenance.keys import SigningKeys
from provenance.manifest._read import read
from provenance.manifest._settings import settings
from provenance.manifest._shape import Claim, Parent, definition, ingredient


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The manifest store that was embedded: `label` names the active manifest, `bytes` is the JUMBF."""

    label: str
    bytes: bytes


@dataclass(slots=True)
class _Callback:
    """Calls the signer and keeps its exception, which the SDK would replace by an opaque one."""

    sign: Callable[[bytes], bytes]
    error: Exception | None = field(default=None)

    def __call__(self, data: bytes) -> bytes:
        try:
            return self.sign(data)
        except Exception as error:  # noqa: BLE001  whatever a KMS raises must not cross the C border
            self.error = error
            return b""


def sign(src: Path, dst: Path, claim: Claim, keys: SigningKeys) -> SignedManifest:
    """Embed a signed manifest into a copy of `src` and put it at `dst`, whole or not at all.

    Raises `BadMedia` for a file that cannot carry a manifest or an input whose history cannot be kept,
    `KeyMissing` when the signer or its certificates fail, `Unavailable` for anything else.
    """
    callback = _Callback(keys.sign)
    try:
        # the SDK leaves an empty destination behind when it fails, and destroys a file signed onto itself
        with tempfile.TemporaryDirectory(prefix=".sign.", dir=dst.parent) as scratch:
            target = Path(scratch) / "signed"
            manifest = _embed(src, target, claim, keys, callback)
            store = _store(manifest)
            if claim.parent is not None:
                _check_history(claim.parent, keys, store)
            target.replace(dst)
    except (C2paError, OSError) as error:
        raise _mapped(error, callback) from (callback.error or error)
    return SignedManifest(str(store["active_manifest"]), manifest)


def _embed(src: Path, target: Path, claim: Claim, keys: SigningKeys, callback: _Callback) -> bytes:
    # built per call: a Context or Signer from before a fork is not valid in the child
    with Context.from_dict(settings(keys.claim_roots_pem)) as context:
        signer = Signer.from_callback(callback, C2paSigningAlg.ES256, keys.chain_pem, None)
        with signer, Builder(definition(claim), context=context) as builder:
            if claim.parent is not None:
                _add_parent(builder, claim.parent)
            with src.open("rb") as source, target.open("w+b") as sink:
                return bytes(builder.sign(signer, claim.mime, source, sink))


def _add_parent(builder: Builder, parent: Parent) -> None:
    with parent.path.open("rb") as file:
        try:
            builder.add_ingredient(ingredient(), parent.mime, file)
        except C2paError as error:
            raise BadMedia(f"The input's own manifest cannot be kept: {error}") from error


def _check_history(parent: Parent, keys: SigningKeys, store: dict[str, Any]) -> None:
    """Refuse a manifest that lost the input's own: the SDK drops it silently under a wrong media type."""
    label = read(parent.path, keys.claim_roots_pem).label
    if label is not None and label not in store["manifests"]:
        raise BadMedia(f"The input's own manifest would be lost; its media type is not {parent.mime}")


def _store(manifest: bytes) -> dict[str, Any]:
    with (
        Context.from_dict(settings("")) as context,
        Reader("application/c2pa", io.BytesIO(manifest), context=context) as reader,
    ):
        return dict(json.loads(reader.json()))


def _mapped(error: Exception, callback: _Callback) -> GreenlightError:
    if callback.error is not None:
        return KeyMissing(f"The signing key did not sign: {callback.error}")
    if isinstance(error, C2paError.Signature) or "certificate" in str(error):
        return KeyMissing(f"The signing key or its certificates were refused: {error}")
    if isinstance(error, C2paError.NotSupported | FileNotFoundError) or "could not be parsed" in str(error):
        return BadMedia(f"The file cannot carry a manifest: {error}")
    return Unavailable(f"The manifest could not be signed: {error}")
