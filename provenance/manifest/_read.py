"""Read a manifest and decide for ourselves whether to believe it.

The SDK's own state is not enough: it does not keep claim roots and time-stamp roots apart, it calls a file
trusted whose edited input was broken, and it calls one invalid whose identity assertion it could not reach.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from c2pa import C2paError, Context, Reader

from core.errors import BadMedia
from provenance.manifest._history import SIGNER_CODES, IngredientReading, actions, breaks, generator, inputs
from provenance.manifest._lengths import overdrawn
from provenance.manifest._settings import CLAIM_LIST, TSA_LIST, settings
from provenance.manifest._shape import binding_payload
from provenance.manifest._store import (
    Store,
    as_list,
    as_map,
    as_text,
    assertions,
    codes,
    ingredients,
    recorded,
    update_labels,
)

State = Literal["trusted", "untrusted", "invalid", "none", "malformed"]

_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReading:
    """What the manifest of a file says, and whether to believe it.

    `trusted`: intact to the last input, signed under one of our claim roots. `untrusted`: intact, but
    signed by somebody else or under a certificate that does not count now. `invalid`: the file, the
    manifest or an input was changed. `none`: no manifest in the file. `malformed`: something is there
    that cannot be read. `failures` are C2PA status codes, inputs' codes after "ingredient:".
    `soft_bindings` pairs algorithm ids with payloads (None when the value is not 64 bits). `signed_at` is
    the time of a time stamp that we trust, ISO 8601. All texts come from the file: cleaned of control
    characters and cut, but not to be believed unless `trusted`.

    `label` names the active manifest. Where that is an update manifest, `content_label` names the one below
    that describes the content; bindings, generator, actions and ingredients are of that one, and so is `serial`,
    the serial number of its signer's certificate in decimal.
    """

    state: State
    label: str | None = None
    content_label: str | None = None
    issuer: str | None = None
    serial: str | None = None
    signed_at: str | None = None
    failures: tuple[str, ...] = ()
    ingredients: tuple[IngredientReading, ...] = ()
    soft_bindings: tuple[tuple[str, int | None], ...] = ()
    generator: str | None = None
    actions: tuple[str, ...] = ()
    json: str = "{}"


def read(path: Path, roots_pem: str, *, mime: str | None = None, tsa_roots_pem: str = "") -> ManifestReading:
    """Read the embedded manifest of a file; nothing is ever fetched.

    `roots_pem` are the claim roots we trust, `tsa_roots_pem` those of time-stamp authorities, which never
    make a signer trusted; roots that cannot be parsed trust nobody. Raises `BadMedia` only when the file
    cannot be opened.
    """
    try:
        if overdrawn(path):
            return ManifestReading(state="malformed", failures=("assertion.cbor.invalid",))
        with (
            path.open("rb") as file,
            Context.from_dict(settings(roots_pem, tsa_roots_pem)) as context,
            Reader(mime, file, context=context) as reader,
        ):
            told = reader.json()
            # only crJSON tells an update manifest apart, and it takes ten times as long
            return _reading(told, update_labels(reader.crjson()) if "parentOf" in told else frozenset())
    except OSError as error:
        raise BadMedia(f"The file cannot be opened: {error.strerror}") from error
    except C2paError as error:
        return unreadable(error)
    except (ValueError, RecursionError) as error:
        return ManifestReading(state="malformed", failures=(type(error).__name__,))


def unreadable(error: C2paError) -> ManifestReading:
    """Say what it means that the SDK could not read a manifest."""
    text = as_text(error)
    if isinstance(error, C2paError.ManifestNotFound):
        return ManifestReading(state="none")
    if isinstance(error, C2paError.NotSupported):
        return ManifestReading(state="none", failures=("unsupported",))
    if isinstance(error, C2paError.RemoteManifest) or text.startswith("Remote"):
        return ManifestReading(state="none", failures=("manifest.remote",))
    return ManifestReading(state="malformed", failures=(text,))


def _reading(store_json: str, updates: frozenset[str] = frozenset()) -> ManifestReading:
    store = Store(as_map(json.loads(store_json)), updates)
    active, chain, deltas = store.manifest(store.label), store.chain(), store.deltas()
    own = _own_failures(store, chain, deltas)
    content = store.manifest(chain[-1])
    history = tuple(inputs(store, chain[-1], deltas))
    failures = (*own, *_inherited(history, deltas))
    state = _state(store, failures) if active else "malformed"
    if state == "untrusted" and not failures:  # the SDK was content with a list that is not for claims
        failures = (_UNTRUSTED,)
    return ManifestReading(
        state=state,
        label=store.label or None,
        content_label=chain[-1] or None,
        issuer=as_text(as_map(active.get("signature_info")).get("issuer")) or None,
        serial=as_text(as_map(content.get("signature_info")).get("cert_serial_number")) or None,
        signed_at=_stamped_at(store, active),
        failures=failures,
        ingredients=history,
        soft_bindings=_soft_bindings(content),
        generator=generator(content),
        actions=actions(content),
        json=store_json,
    )


Deltas = dict[tuple[str, str], tuple[str, ...]]


def _own_failures(store: Store, chain: tuple[str, ...], deltas: Deltas) -> tuple[str, ...]:
    """List what is wrong with the file itself: its manifest, and those that the manifest updates."""
    found = [*codes(as_map(store.results.get("activeManifest")).get("failure"))]
    for label in chain[:-1]:
        for link in ingredients(store.manifest(label)):
            found += (*recorded(link), *deltas.get((label, as_text(link.get("label"))), ()))
    return tuple(dict.fromkeys(found))


def _inherited(history: tuple[IngredientReading, ...], deltas: Deltas) -> tuple[str, ...]:
    """Carry up what was changed in an input; a signer that no longer counts concerns that input alone."""
    known = [code for reading in history if reading.state == "invalid" for code in reading.failures]
    placed = {code for reading in history for code in reading.failures}
    lost = [code for found in deltas.values() for code in found if code not in placed]
    return tuple(f"ingredient:{code}" for code in dict.fromkeys((*known, *lost)) if breaks(code))


def _state(store: Store, failures: tuple[str, ...]) -> State:
    if any(map(breaks, failures)):
        return "invalid"
    if store.told.get("validation_state") not in ("Trusted", "Valid") and not failures:
        return "invalid"
    successes = codes(as_map(store.results.get("activeManifest")).get("success"))
    signed = "signingCredential.trusted" in successes and store.results.get("trustListUri") == CLAIM_LIST
    doubts = [code for code in failures if code.startswith(SIGNER_CODES)]
    return "trusted" if signed and not doubts else "untrusted"


def _stamped_at(store: Store, active: dict[str, Any]) -> str | None:
    """Give the time of the time stamp, if an authority of ours made it.

    The SDK takes a claim root for a time-stamp root (c2pa-rs #2039); which list it found is only in its words.
    """
    for status in as_list(as_map(store.results.get("activeManifest")).get("success")):
        found = as_map(status)
        if found.get("code") == "timeStamp.trusted" and str(found.get("explanation")).endswith(TSA_LIST):
            return as_text(as_map(active.get("signature_info")).get("time")) or None
    return None


def _soft_bindings(manifest: dict[str, Any]) -> tuple[tuple[str, int | None], ...]:
    return tuple(
        (as_text(data.get("alg")), binding_payload(as_map(block).get("value")))
        for data in assertions(manifest, "c2pa.soft-binding")
        for block in as_list(data.get("blocks"))
    )
