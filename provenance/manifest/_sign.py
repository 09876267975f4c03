"""Sign a finished file: nothing may touch its bytes afterwards."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from c2pa import Builder, C2paError, C2paSigningAlg, Context, Reader, Signer

from core.errors import BadMedia, GreenlightError, KeyMissing, Unavailable
from provenance.keys import SigningKeys
from provenance.manifest._settings import settings
from provenance.manifest._shape import Claim, definition, ingredient


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

    Raises `BadMedia` for a file that cannot carry a manifest, `KeyMissing` when the signer or its
    certificates fail, `Unavailable` for anything else the SDK refuses.
    """
    callback = _Callback(keys.sign)
    try:
        # the SDK leaves an empty destination behind when it fails, and destroys a file signed onto itself
        with tempfile.TemporaryDirectory(prefix=".sign.", dir=dst.parent) as scratch:
            target = Path(scratch) / "signed"
            manifest = _embed(src, target, claim, keys, callback)
            label = _label(manifest)
            target.replace(dst)
    except (C2paError, OSError) as error:
        raise _mapped(error, callback) from (callback.error or error)
    return SignedManifest(label, manifest)


def _embed(src: Path, target: Path, claim: Claim, keys: SigningKeys, callback: _Callback) -> bytes:
    # built per call: a Context or Signer from before a fork is not valid in the child
    with Context.from_dict(settings(keys.claim_roots_pem)) as context:
        signer = Signer.from_callback(callback, C2paSigningAlg.ES256, keys.chain_pem, None)
        with signer, Builder(definition(claim), context=context) as builder:
            if claim.parent is not None:
                with claim.parent.path.open("rb") as file:
                    builder.add_ingredient(ingredient(), claim.parent.mime, file)
            with src.open("rb") as source, target.open("w+b") as sink:
                return bytes(builder.sign(signer, claim.mime, source, sink))


def _label(manifest: bytes) -> str:
    with (
        Context.from_dict(settings("")) as context,
        Reader("application/c2pa", io.BytesIO(manifest), context=context) as reader,
    ):
        return str(json.loads(reader.json())["active_manifest"])


def _mapped(error: Exception, callback: _Callback) -> GreenlightError:
    if callback.error is not None:
        return KeyMissing(f"The signing key did not sign: {callback.error}")
    if isinstance(error, C2paError.Signature) or "certificate" in str(error):
        return KeyMissing(f"The signing key or its certificates were refused: {error}")
    if isinstance(error, C2paError.NotSupported | FileNotFoundError) or "could not be parsed" in str(error):
        return BadMedia(f"The file cannot carry a manifest: {error}")
    return Unavailable(f"The manifest could not be signed: {error}")
