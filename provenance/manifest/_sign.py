"""Sign a finished file, or add a time stamp to a signed one: nothing else may touch its bytes afterwards."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from c2pa import Builder, C2paBuilderIntent, C2paError, C2paSigningAlg, Context, Reader, Signer

from core.errors import BadMedia, GreenlightError, KeyMissing, Unavailable
from provenance.keys import SigningKeys
from provenance.manifest._lengths import overdrawn
from provenance.manifest._media import Medium, medium
from provenance.manifest._read import read, unreadable
from provenance.manifest._settings import settings, stamping
from provenance.manifest._shape import Claim, Parent, definition, ingredient, update
from provenance.timestamp import Authority, relay

_log = structlog.get_logger("manifest")
_LARGE_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The manifest store that was embedded: `label` names the active manifest, `bytes` is the JUMBF.

    `stamped` says whether it carries a time stamp, `signer` names the key by the SHA-256 of its certificate.
    """

    label: str
    bytes: bytes
    stamped: bool = False
    signer: str | None = None


@dataclass(slots=True)
class _Work:
    """One file being signed: it calls the signer and keeps its exception, which the SDK would make opaque."""

    src: Path
    target: Path
    keys: SigningKeys
    error: Exception | None = None

    def sign(self, data: bytes) -> bytes:
        try:
            return self.keys.sign(data)
        except Exception as error:  # noqa: BLE001  whatever a KMS raises must not cross the C border
            self.error = error
            return b""

    def embed(
        self,
        told: dict[str, Any],
        asked: dict[str, Any],
        authority_url: str | None,
        parent: Parent | None = None,
    ) -> bytes:
        """Write the signed copy of the file and give the manifest store; raises what the SDK raises."""
        # built per call: a Context or Signer from before a fork is not valid in the child
        with ExitStack() as stack:
            context = stack.enter_context(Context.from_dict(asked))
            chain = self.keys.chain_pem
            signer = stack.enter_context(
                Signer.from_callback(self.sign, C2paSigningAlg.ES256, chain, authority_url)
            )
            builder = stack.enter_context(Builder(told, context=context))
            if parent is not None:
                _add_parent(builder, parent)
            if "auto_timestamp_assertion" in asked["builder"]:
                builder.set_intent(C2paBuilderIntent.UPDATE)
            source = stack.enter_context(self.src.open("rb"))
            sink = stack.enter_context(self.target.open("w+b"))
            return bytes(builder.sign(signer, told["format"], source, sink))


def sign(
    src: Path, dst: Path, claim: Claim, keys: SigningKeys, authority: Authority | None = None
) -> SignedManifest:
    """Embed a signed manifest into a copy of `src` and put it at `dst`, whole or not at all.

    With an `authority` the signature is time-stamped; where it fails or is slow the file goes without.
    Raises `BadMedia` for a file that cannot carry a manifest, that is not of the claim's media type or whose
    history would be lost, `KeyMissing` when the signer or its certificates fail, `Unavailable` for anything else.
    """
    kind = medium(src)
    if kind.mime != claim.mime:
        raise BadMedia(f"The file is {kind.mime}, not {claim.mime}.")
    with _work(src, dst, keys) as work:
        manifest, stamped = _signed(work, claim, kind, authority)
        store = _store(manifest)
        _check_history(src, claim.parent, store)
    return SignedManifest(str(store["active_manifest"]), manifest, stamped, keys.fingerprint)


def stamp(src: Path, dst: Path, version: str, keys: SigningKeys, authority: Authority) -> SignedManifest:
    """Add a time stamp to a copy of a signed file by an update manifest, and put it at `dst`, whole or not at all.

    `version` is Greenlight's own. Raises `BadMedia` for a file without a manifest or of a format that cannot
    take an update (the length of the whole is hashed in WAV, MP3 and FLAC), `Unavailable` when the authority
    does not stamp, `KeyMissing` as `sign` does.
    """
    kind = medium(src)
    before = read(src, keys.claim_roots_pem)
    if before.label is None or before.state not in ("trusted", "untrusted"):
        raise BadMedia("Only a file with a manifest that holds can be given a time stamp.")
    with _work(src, dst, keys) as work, relay(authority) as through:
        asked = stamping(keys.claim_roots_pem, through.url)
        try:
            manifest = work.embed(update(kind.mime, version), asked, through.url)
        except C2paError as error:
            raise (through.error or error) from error
        after = read(work.target, keys.claim_roots_pem, tsa_roots_pem=authority.roots_pem)
        if after.state != before.state or after.signed_at is None:
            raise BadMedia(f"A {kind.mime} file cannot take an update manifest: {', '.join(after.failures)}")
    return SignedManifest(str(after.label), manifest, stamped=True, signer=keys.fingerprint)


@contextmanager
def _work(src: Path, dst: Path, keys: SigningKeys) -> Iterator[_Work]:
    """Work in a scratch folder; what is written there becomes `dst` when the body has passed."""
    work = _Work(src, dst, keys)
    try:
        # the SDK leaves an empty destination behind when it fails, and destroys a file signed onto itself
        with tempfile.TemporaryDirectory(prefix=".sign.", dir=dst.parent) as scratch:
            work.target = Path(scratch) / "signed"
            yield work
            # A crash before this line leaves only a scratch folder.
            work.target.replace(dst)
    except (C2paError, OSError) as error:
        raise _mapped(error, work.error) from (work.error or error)


def _signed(work: _Work, claim: Claim, kind: Medium, authority: Authority | None) -> tuple[bytes, bool]:
    told = definition(claim, kind.tracks)
    # the SDK's tree over more than one box of media data does not hold when it is read again
    tree = kind.bodies == 1 and work.src.stat().st_size > _LARGE_BYTES
    asked = settings(work.keys.claim_roots_pem, tree=tree)
    if authority is not None:
        with relay(authority) as through:
            try:
                return work.embed(told, asked, through.url, claim.parent), True
            except C2paError as error:
                if work.error is not None:
                    raise
                # if it was not the authority, the same error comes again without one
                _log.warning("signed without a time stamp", why=str(through.error or error))
    return work.embed(told, asked, None, claim.parent), False


def _add_parent(builder: Builder, parent: Parent) -> None:
    if overdrawn(parent.path):
        raise BadMedia("The input's own manifest cannot be kept: it states lengths that it does not have.")
    with parent.path.open("rb") as file:
        try:
            builder.add_ingredient(ingredient(), _mime(parent), file)
        except C2paError as error:
            raise BadMedia(f"The input's own manifest cannot be kept: {error}") from error


def _mime(parent: Parent) -> str:
    try:
        return medium(parent.path).mime
    except BadMedia:  # a kind that we do not write may still be one that the SDK reads
        return parent.mime


def _check_history(src: Path, parent: Parent | None, store: dict[str, Any]) -> None:
    """Refuse to lose history: the SDK replaces a manifest, and drops an input's, without a word."""
    for path in (src, parent.path) if parent else (src,):
        if not _labels(path) <= set(store["manifests"]):
            raise BadMedia("The history in the file's own manifest would be lost.")


def _labels(path: Path) -> set[str]:
    """List the manifests in a file without checking them; none where there is no store."""
    asked = settings("")
    asked["verify"]["verify_after_reading"] = False
    try:
        with (
            path.open("rb") as file,
            Context.from_dict(asked) as context,
            Reader(None, file, context=context) as reader,
        ):
            return set(json.loads(reader.json())["manifests"])
    except C2paError as error:
        if unreadable(error).state != "none":
            raise BadMedia(f"The file's own manifest cannot be kept: {error}") from error
        return set()


def _store(manifest: bytes) -> dict[str, Any]:
    with (
        Context.from_dict(settings("")) as context,
        Reader("application/c2pa", io.BytesIO(manifest), context=context) as reader,
    ):
        return dict(json.loads(reader.json()))


def _mapped(error: Exception, signer: Exception | None) -> GreenlightError:
    if signer is not None:
        return KeyMissing(f"The signing key did not sign: {signer}")
    if isinstance(error, OSError):
        # only what went wrong: the whole of the error names a path of this machine
        return Unavailable(f"The manifest could not be written: {error.strerror}")
    if isinstance(error, C2paError.Signature) or "certificate" in str(error):
        return KeyMissing(f"The signing key or its certificates were refused: {error}")
    if isinstance(error, C2paError.NotSupported) or "could not be parsed" in str(error):
        return BadMedia(f"The file cannot carry a manifest: {error}")
    return Unavailable(f"The manifest could not be signed: {error}")
