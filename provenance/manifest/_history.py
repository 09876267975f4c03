"""The inputs of a file, at any depth: what they say of themselves and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from provenance.manifest._settings import CLAIM_LIST
from provenance.manifest._store import Store, as_list, as_map, as_text, assertions, ingredients, recorded

InputState = Literal["trusted", "untrusted", "invalid", "none"]

SIGNER_CODES = ("signingCredential.", "timeStamp.", "timeOfSigning.")
_ELSEWHERE = "manifest.inaccessible"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngredientReading:
    """An input in the file's history, at any depth; `label` is None when it had no manifest.

    `within` is the label of the manifest that names it, which with `label` makes the history a graph.
    `state` says whether its manifest held when it was taken in and still does, `failures` why not.
    `generator` and `actions` are what its own manifest says, to be believed as far as `state` goes.
    """

    label: str | None
    title: str
    relationship: str
    state: InputState
    failures: tuple[str, ...]
    within: str = ""
    generator: str | None = None
    actions: tuple[str, ...] = ()


def breaks(code: str) -> bool:
    """Tell whether a failure means that bytes were changed.

    A signer in doubt and a manifest kept elsewhere are other matters, and cawg.* speaks of persons, for whom
    we never vouch.
    """
    return not code.startswith((*SIGNER_CODES, _ELSEWHERE, "cawg."))


def inputs(
    store: Store, label: str, deltas: Mapping[tuple[str, str], tuple[str, ...]]
) -> Iterator[IngredientReading]:
    """Walk the inputs of a manifest, each before its own inputs."""
    yield from _walk(store, label, deltas, {store.label, label})


def _walk(
    store: Store, label: str, deltas: Mapping[tuple[str, str], tuple[str, ...]], seen: set[str]
) -> Iterator[IngredientReading]:
    for ingredient in ingredients(store.manifest(label)):
        now = deltas.get((label, as_text(ingredient.get("label"))), ())
        reading = _ingredient(store, ingredient, label, now)
        yield reading
        if reading.label and reading.label not in seen:  # a store may contain cycles
            seen.add(reading.label)
            yield from _walk(store, reading.label, deltas, seen)


def _ingredient(
    store: Store, ingredient: dict[str, Any], within: str, now: tuple[str, ...]
) -> IngredientReading:
    label = as_text(ingredient.get("active_manifest"))
    failures = tuple(dict.fromkeys((*recorded(ingredient), *now)))
    manifest = store.manifest(label)
    return IngredientReading(
        label=label or None,
        title=as_text(ingredient.get("title")),
        relationship=as_text(ingredient.get("relationship")),
        state=_state(ingredient, label, failures),
        failures=failures,
        within=within,
        generator=generator(manifest),
        actions=actions(manifest),
    )


def _state(ingredient: dict[str, Any], label: str, failures: tuple[str, ...]) -> InputState:
    if any(map(breaks, failures)):
        return "invalid"
    if not label:
        return "none"
    results = as_map(ingredient.get("validation_results"))
    doubted = failures or results.get("trustListUri") != CLAIM_LIST
    return "untrusted" if doubted else "trusted"


def actions(manifest: dict[str, Any]) -> tuple[str, ...]:
    """List what a manifest says was done."""
    found = (as_list(data.get("actions")) for data in assertions(manifest, "c2pa.actions"))
    return tuple(as_text(as_map(action).get("action")) for listed in found for action in listed)


def generator(manifest: dict[str, Any]) -> str | None:
    """Name what made a manifest."""
    infos = as_list(manifest.get("claim_generator_info"))
    first = as_map(infos[0]) if infos else {}
    name = " ".join(as_text(first.get(key)) for key in ("name", "version") if first.get(key))
    return name or as_text(manifest.get("claim_generator")) or None
