"""Look into the SDK's account of a manifest store: JSON of any shape, its texts written by whoever made the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LONGEST_TEXT = 200
_DELTA = re.compile(r"self#jumbf=/c2pa/([^/]+)/c2pa\.assertions/([^/]+)")


def as_map(value: object) -> dict[str, Any]:
    """Give a map, empty when it is none."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Give a list, empty when it is none."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """Give a text without control characters and not too long."""
    return "".join(char for char in str(value or "")[:LONGEST_TEXT] if char.isprintable())


def codes(statuses: object) -> tuple[str, ...]:
    """List the status codes of one list of results."""
    return tuple(as_text(as_map(status).get("code")) for status in as_list(statuses))


@dataclass(frozen=True, slots=True)
class Store:
    """A manifest store as the SDK tells it, and the labels of the update manifests in it."""

    told: dict[str, Any]
    updates: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The label of the active manifest, or nothing."""
        return as_text(self.told.get("active_manifest"))

    @property
    def results(self) -> dict[str, Any]:
        """The results of validating the whole."""
        return as_map(self.told.get("validation_results"))

    def manifest(self, label: str) -> dict[str, Any]:
        """Give a manifest by its label; a store can name one that it does not hold."""
        return as_map(as_map(self.told.get("manifests")).get(label))

    def chain(self) -> tuple[str, ...]:
        """Follow update manifests from the active one down to the manifest that describes the content."""
        labels = [self.label]
        while labels[-1] in self.updates and (below := _updated(self.manifest(labels[-1]))):
            if below in labels or not self.manifest(below):
                break
            labels.append(below)
        return tuple(labels)

    def deltas(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Give the failures found now in inputs, by the label of the manifest and of the ingredient in it.

        They are what has changed since the input was taken in, such as a certificate that has expired.
        """
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for delta in map(as_map, as_list(self.results.get("ingredientDeltas"))):
            match = _DELTA.fullmatch(str(delta.get("ingredientAssertionURI")))
            place = (match[1], match[2]) if match else ("", "")
            failures = codes(as_map(delta.get("validationDeltas")).get("failure"))
            found[place] = (*found.get(place, ()), *failures)
        return found


def ingredients(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """List the inputs that a manifest names."""
    return [as_map(ingredient) for ingredient in as_list(manifest.get("ingredients"))]


def assertions(manifest: dict[str, Any], label: str) -> Iterator[dict[str, Any]]:
    """Give the content of every assertion of a kind."""
    for assertion in map(as_map, as_list(manifest.get("assertions"))):
        if _kind(assertion).startswith(label):
            yield as_map(assertion.get("data"))


def recorded(ingredient: dict[str, Any]) -> tuple[str, ...]:
    """List the failures that were seen in an input when it was taken in."""
    results = as_map(ingredient.get("validation_results"))
    found = [*codes(as_map(results.get("activeManifest")).get("failure"))]
    for delta in map(as_map, as_list(results.get("ingredientDeltas"))):
        found += codes(as_map(delta.get("validationDeltas")).get("failure"))
    return tuple(dict.fromkeys((*found, *codes(ingredient.get("validation_status")))))


def update_labels(report: str) -> frozenset[str]:
    """Name the update manifests by the SDK's crJSON report, the only one that tells them apart."""
    manifests = map(as_map, as_list(as_map(json.loads(report)).get("manifests")))
    return frozenset(as_text(one.get("label")) for one in manifests if one.get("isUpdateManifest") is True)


def _kind(assertion: dict[str, Any]) -> str:
    return str(assertion.get("label")).split("__")[0]


def _updated(manifest: dict[str, Any]) -> str:
    """Name the manifest that an update manifest updates."""
    parents = [one for one in ingredients(manifest) if one.get("relationship") == "parentOf"]
    return as_text(parents[0].get("active_manifest")) if len(parents) == 1 else ""
