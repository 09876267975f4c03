"""Read a manifest and decide for ourselves whether to believe it.

The SDK's own state is not enough: it does not keep claim roots and time-stamp roots apart, it calls a file
trusted whose edited input was broken, and it calls one invalid whose identity assertion it could not reach.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from c2pa import C2paError, Context, Reader

from core.errors import BadMedia
from provenance.manifest._settings import CLAIM_LIST, settings
from provenance.manifest._shape import binding_payload

State = Literal["trusted", "untrusted", "invalid", "none", "malformed"]

_SIGNER_CODES = ("signingCredential.", "timeStamp.", "timeOfSigning.")
_ELSEWHERE = "manifest.inaccessible"
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IngredientReading:
    """An input in the file's history, at any depth; `label` is None when it had no manifest."""

    label: str | None
    title: str
    relationship: str
    state: Literal["trusted", "untrusted", "invalid", "none"]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReading:
    """What the manifest of a file says, and whether to believe it.

    `trusted`: intact to the last input, signed under one of our claim roots. `untrusted`: intact, but
    signed by somebody else or under a certificate that does not count now. `invalid`: the file, the
    manifest or an input was changed. `none`: no manifest in the file. `malformed`: something is there
    that cannot be read. `failures` are C2PA status codes, inputs' codes after "ingredient:".
    `soft_bindings` pairs algorithm ids with payloads (None when the value is not 64 bits). All texts come
    from the file: cleaned of control characters and cut, but not to be believed unless `trusted`.
    """

    state: State
    label: str | None = None
    issuer: str | None = None
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
        with (
            path.open("rb") as file,
            Context.from_dict(settings(roots_pem, tsa_roots_pem)) as context,
            Reader(mime, file, context=context) as reader,
        ):
            return _reading(reader.json())
    except OSError as error:
        raise BadMedia(f"The file cannot be opened: {error.strerror}") from error
    except C2paError as error:
        return _unreadable(error)
    except (ValueError, RecursionError) as error:
        return ManifestReading(state="malformed", failures=(type(error).__name__,))


def _unreadable(error: C2paError) -> ManifestReading:
    text = _text(error)
    if isinstance(error, C2paError.ManifestNotFound):
        return ManifestReading(state="none")
    if isinstance(error, C2paError.NotSupported):
        return ManifestReading(state="none", failures=("unsupported",))
    if isinstance(error, C2paError.RemoteManifest) or text.startswith("Remote"):
        return ManifestReading(state="none", failures=("manifest.remote",))
    return ManifestReading(state="malformed", failures=(text,))


def _reading(store_json: str) -> ManifestReading:
    store = _map(json.loads(store_json))
    manifests = _map(store.get("manifests"))
    label = _text(store.get("active_manifest"))
    active = _map(manifests.get(label))
    results = _map(store.get("validation_results"))
    ingredients = tuple(_walk(active, manifests, {label}))
    failures = (*_failures(results), *_inherited(ingredients))
    state = _state(store, failures) if active else "malformed"
    if state == "untrusted" and not failures:  # the SDK was content with a list that is not for claims
        failures = ("signingCredential.untrusted",)
    return ManifestReading(
        state=state,
        label=label or None,
        issuer=_text(_map(active.get("signature_info")).get("issuer")) or None,
        failures=failures,
        ingredients=ingredients,
        soft_bindings=tuple(_soft_bindings(active)),
        generator=_generator(active),
        actions=tuple(_actions(active)),
        json=store_json,
    )


def _state(store: dict[str, Any], failures: tuple[str, ...]) -> State:
    if any(map(_breaks, failures)):
        return "invalid"
    if store.get("validation_state") not in ("Trusted", "Valid") and not failures:
        return "invalid"
    results = _map(store.get("validation_results"))
    successes = _codes(_map(results.get("activeManifest")).get("success"))
    signed = "signingCredential.trusted" in successes and results.get("trustListUri") == CLAIM_LIST
    doubts = [code for code in failures if code.startswith(_SIGNER_CODES)]
    return "trusted" if signed and not doubts else "untrusted"


def _breaks(code: str) -> bool:
    """Tell whether a failure means that bytes were changed.

    A signer in doubt and a manifest kept elsewhere are other matters, and cawg.* speaks of persons, for whom
    we never vouch.
    """
    return not code.startswith((*_SIGNER_CODES, _ELSEWHERE, "cawg."))


def _failures(results: dict[str, Any]) -> Iterator[str]:
    """List the failure codes of one validation: its own, and those of what it found inside."""
    yield from _codes(_map(results.get("activeManifest")).get("failure"))
    for delta in _list(results.get("ingredientDeltas")):
        yield from _codes(_map(_map(delta).get("validationDeltas")).get("failure"))


def _inherited(ingredients: tuple[IngredientReading, ...]) -> Iterator[str]:
    for reading in ingredients:
        if reading.state == "invalid":
            yield from (f"ingredient:{code}" for code in reading.failures if _breaks(code))


def _walk(manifest: dict[str, Any], manifests: dict[str, Any], seen: set[str]) -> Iterator[IngredientReading]:
    for ingredient in map(_map, _list(manifest.get("ingredients"))):
        label = _text(ingredient.get("active_manifest"))
        yield _ingredient(ingredient, label)
        if label and label not in seen:  # a store may contain cycles
            seen.add(label)
            yield from _walk(_map(manifests.get(label)), manifests, seen)


def _ingredient(ingredient: dict[str, Any], label: str) -> IngredientReading:
    results = _map(ingredient.get("validation_results"))
    failures = tuple(dict.fromkeys((*_failures(results), *_codes(ingredient.get("validation_status")))))
    state: Literal["trusted", "untrusted", "invalid", "none"] = "trusted"
    if any(map(_breaks, failures)):
        state = "invalid"
    elif not label:
        state = "none"
    elif failures or results.get("trustListUri") != CLAIM_LIST:
        state = "untrusted"
    return IngredientReading(
        label=label or None,
        title=_text(ingredient.get("title")),
        relationship=_text(ingredient.get("relationship")),
        state=state,
        failures=failures,
    )


def _assertions(manifest: dict[str, Any], label: str) -> Iterator[dict[str, Any]]:
    for assertion in map(_map, _list(manifest.get("assertions"))):
        if str(assertion.get("label")).split("__")[0].startswith(label):
            yield _map(assertion.get("data"))


def _soft_bindings(manifest: dict[str, Any]) -> Iterator[tuple[str, int | None]]:
    for data in _assertions(manifest, "c2pa.soft-binding"):
        for block in map(_map, _list(data.get("blocks"))):
            yield _text(data.get("alg")), binding_payload(block.get("value"))


def _actions(manifest: dict[str, Any]) -> Iterator[str]:
    for data in _assertions(manifest, "c2pa.actions"):
        yield from (_text(_map(action).get("action")) for action in _list(data.get("actions")))


def _generator(manifest: dict[str, Any]) -> str | None:
    infos = _list(manifest.get("claim_generator_info"))
    first = _map(infos[0]) if infos else {}
    name = " ".join(_text(first.get(key)) for key in ("name", "version") if first.get(key))
    return name or _text(manifest.get("claim_generator")) or None


def _codes(statuses: object) -> tuple[str, ...]:
    return tuple(_text(_map(status).get("code")) for status in _list(statuses))


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return "".join(char for char in str(value or "")[:_LONGEST_TEXT] if char.isprintable())
