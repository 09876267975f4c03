"""The rules that the C2PA conformance programme (0.2, for specification 2.4) sets for generators, in our words.

A rule looks at one manifest of a crJSON report and tells what is wrong. They were written after reading the
programme's public rubric and its additional requirements; nothing is taken from its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Manifest = dict[str, Any]
Rule = Callable[[Manifest], Iterator[str]]

SPECIFICATION = "2.4"
INCEPTION = {"c2pa.created", "c2pa.opened"}
# these say nothing about what is seen or heard, so they need no digital source type; c2pa.placed is exempt too
WITHOUT_SOURCE = {
    "c2pa.converted",
    "c2pa.edited.metadata",
    "c2pa.enhanced",
    "c2pa.opened",
    "c2pa.placed",
    "c2pa.published",
    "c2pa.redacted",
    "c2pa.repackaged",
    "c2pa.resized.proportional",
    "c2pa.transcoded",
    "c2pa.watermarked",
    "c2pa.watermarked.bound",
    "c2pa.watermarked.unbound",
}
ACTIONS = (WITHOUT_SOURCE - {"c2pa.watermarked"}) | {
    f"c2pa.{verb}"
    for verb in (
        *("addedText", "adjustedColor", "changedSpeed", "created", "cropped", "deleted", "drawing", "dubbed"),
        *("edited", "filtered", "mastered", "mixed", "orientation", "remixed", "removed", "resized"),
        *("translated", "trimmed", "unknown"),
    )
}
ASSERTIONS = {
    f"c2pa.{label}"
    for label in (
        *("actions.v2", "ai-disclosure", "alternative-content-representation", "asset-ref", "asset-type.v2"),
        *("assertion.metadata", "certificate-status", "cloud-data", "depthmap.GDepth", "embedded-data"),
        *("environmental-sustainability", "external-reference", "hash.bmff.v3", "hash.boxes"),
        *("hash.collection.data", "hash.data", "hash.data.part", "hash.multi-asset", "icon", "ingredient.v3"),
        *("metadata", "repository-receipt", "session-keys", "soft-binding", "thumbnail.claim"),
        *("thumbnail.ingredient", "time-stamp"),
    )
}
PARAMETERS = {
    *("redacted", "ingredients", "relatedAssertions", "sourceLanguage", "targetLanguage"),
    *("multipleInstances", "ranges", "weight", "width", "italic", "slant", "optical-size"),
}
RELATIONSHIPS = {"parentOf", "componentOf", "inputTo"}


def assertions(manifest: Manifest) -> dict[str, Any]:
    found = manifest.get("assertions")
    return found if isinstance(found, dict) else {}


def base(label: str) -> str:
    return label.partition("__")[0]


def listed(manifest: Manifest) -> list[dict[str, Any]]:
    return [data for data in assertions(manifest).values() if isinstance(data, dict) and "actions" in data]


def actions(manifest: Manifest) -> list[dict[str, Any]]:
    return [action for data in listed(manifest) for action in data["actions"]]


def ingredients(manifest: Manifest) -> list[dict[str, Any]]:
    found = assertions(manifest).items()
    return [data for label, data in found if base(label).startswith("c2pa.ingredient")]


def claim(manifest: Manifest) -> dict[str, Any]:
    found = manifest.get("claim.v2")
    return found if isinstance(found, dict) else {}


def created(manifest: Manifest) -> list[str]:
    urls = [entry["url"] for entry in claim(manifest).get("created_assertions", [])]
    return [url.rsplit("/", 1)[-1] for url in urls]


def is_update(manifest: Manifest) -> bool:
    return manifest.get("isUpdateManifest") is True


def specification_is_named(manifest: Manifest) -> Iterator[str]:
    info = claim(manifest).get("claim_generator_info") or {}
    told = (info[0] if isinstance(info, list) else info).get("specVersion")
    if told != SPECIFICATION:
        yield f"specVersion is {told}"


def specification_is_not_in_the_claim(manifest: Manifest) -> Iterator[str]:
    if "specVersion" in claim(manifest):
        yield "specVersion stands in the claim itself"


def all_actions_are_declared(manifest: Manifest) -> Iterator[str]:
    for data in listed(manifest):
        if not isinstance(data.get("allActionsIncluded"), bool):
            yield "an actions assertion without allActionsIncluded"


def opening_alone_is_complete(manifest: Manifest) -> Iterator[str]:
    names = [action["action"] for action in actions(manifest)]
    if names == ["c2pa.opened"] and listed(manifest)[0].get("allActionsIncluded") is not True:
        yield "opened and saved, but allActionsIncluded is not true"


def perceptible_actions_name_a_source(manifest: Manifest) -> Iterator[str]:
    for action in actions(manifest):
        name = action["action"]
        if name.startswith("c2pa.") and name not in WITHOUT_SOURCE and not action.get("digitalSourceType"):
            yield name


def opened_names_no_source(manifest: Manifest) -> Iterator[str]:
    for action in actions(manifest):
        if action["action"] == "c2pa.opened" and "digitalSourceType" in action:
            yield action["digitalSourceType"]


def opened_refers_to_its_parent(manifest: Manifest) -> Iterator[str]:
    held = {label for label, data in assertions(manifest).items() if data.get("relationship") == "parentOf"}
    for action in actions(manifest):
        if action["action"] == "c2pa.opened":
            found = action.get("parameters", {}).get("ingredients", [])
            named = [one["url"].rsplit("/", 1)[-1] for one in found]
            if len(named) != 1 or named[0] not in held:
                yield f"opened refers to {named}"


def inception_comes_first(manifest: Manifest) -> Iterator[str]:
    kinds = [label for label in created(manifest) if base(label).startswith("c2pa.actions")]
    if not kinds or kinds[0] != "c2pa.actions.v2":
        yield "the first created actions assertion is not c2pa.actions.v2"
    elif actions(manifest)[0]["action"] not in INCEPTION:
        yield f"the first action is {actions(manifest)[0]['action']}"


def inception_happens_once(manifest: Manifest) -> Iterator[str]:
    names = [action["action"] for action in actions(manifest) if action["action"] in INCEPTION]
    if len(names) != 1:
        yield f"{len(names)} inceptions"


def assertions_are_created(manifest: Manifest) -> Iterator[str]:
    yield from set(assertions(manifest)) - set(created(manifest))


def assertions_are_known(manifest: Manifest) -> Iterator[str]:
    for label in map(base, assertions(manifest)):
        if label.startswith("stds.") or (label.startswith("c2pa.") and label not in ASSERTIONS):
            yield label


def own_assertions_have_a_name_space(manifest: Manifest) -> Iterator[str]:
    yield from (label for label in assertions(manifest) if "." not in label)


def actions_are_known(manifest: Manifest) -> Iterator[str]:
    for action in actions(manifest):
        name = action["action"]
        if name not in ACTIONS and (name.startswith("c2pa.") or "." not in name):
            yield name


def parameters_are_known(manifest: Manifest) -> Iterator[str]:
    for action in actions(manifest):
        yield from (
            name for name in action.get("parameters", {}) if name not in PARAMETERS and "." not in name
        )


def label_is_a_c2pa_urn(manifest: Manifest) -> Iterator[str]:
    if not str(manifest.get("label")).startswith("urn:c2pa:"):
        yield str(manifest.get("label"))


def ingredients_relate(manifest: Manifest) -> Iterator[str]:
    for data in ingredients(manifest):
        if data.get("relationship") not in RELATIONSHIPS:
            yield str(data.get("relationship"))


def ingredients_were_validated(manifest: Manifest) -> Iterator[str]:
    for data in ingredients(manifest):
        if ("activeManifest" in data) != ("validationResults" in data):
            yield "an ingredient's manifest and its validation results do not come together"


def ingredients_with_history_name_no_source(manifest: Manifest) -> Iterator[str]:
    for data in ingredients(manifest):
        if "activeManifest" in data and "digitalSourceType" in data:
            yield data["digitalSourceType"]


def hashes_have_no_address(manifest: Manifest) -> Iterator[str]:
    for label, data in assertions(manifest).items():
        if label.startswith("c2pa.hash.") and "url" in data:
            yield label


def content_is_bound_once(manifest: Manifest) -> Iterator[str]:
    hard = [label for label in assertions(manifest) if label.startswith("c2pa.hash.")]
    if len(hard) != (0 if is_update(manifest) else 1):
        yield f"{len(hard)} hard bindings"


def marks_are_bound(manifest: Manifest) -> Iterator[str]:
    bound = any(action["action"] == "c2pa.watermarked.bound" for action in actions(manifest))
    soft = [data for label, data in assertions(manifest).items() if base(label) == "c2pa.soft-binding"]
    if bound != bool(soft):
        yield "watermarked.bound and soft bindings do not come together"
    for data in soft:
        if not data.get("alg") or not data.get("blocks"):
            yield "a soft binding without algorithm or blocks"


def updates_change_nothing(manifest: Manifest) -> Iterator[str]:
    if is_update(manifest):
        named = {action["action"] for action in actions(manifest)}
        yield from named - {"c2pa.opened", "c2pa.edited.metadata", "c2pa.published", "c2pa.redacted"}
        parents = [data for data in ingredients(manifest) if data.get("relationship") == "parentOf"]
        if len(parents) != 1 or len(ingredients(manifest)) != 1:
            yield "an update has exactly one ingredient, its parent"


def validation_found_nothing(manifest: Manifest) -> Iterator[str]:
    results = manifest.get("validationResults")
    if not isinstance(results, dict):
        yield "no validation results"
    else:
        yield from (status["code"] for status in results["failure"])


def ours_hold_only_texts(manifest: Manifest) -> Iterator[str]:
    """Our own rule: readers mangle numeric arrays, so our assertions hold texts and maps of texts."""

    def flat(value: object) -> bool:
        return isinstance(value, str) or (isinstance(value, dict) and all(map(flat, value.values())))

    for label, data in assertions(manifest).items():
        if label.startswith("org.greenlight.") and not flat(data):
            yield label


RULES: tuple[Rule, ...] = (
    specification_is_named,
    specification_is_not_in_the_claim,
    all_actions_are_declared,
    opening_alone_is_complete,
    perceptible_actions_name_a_source,
    opened_names_no_source,
    opened_refers_to_its_parent,
    inception_comes_first,
    inception_happens_once,
    assertions_are_created,
    assertions_are_known,
    own_assertions_have_a_name_space,
    actions_are_known,
    parameters_are_known,
    label_is_a_c2pa_urn,
    ingredients_relate,
    ingredients_were_validated,
    ingredients_with_history_name_no_source,
    hashes_have_no_address,
    content_is_bound_once,
    marks_are_bound,
    updates_change_nothing,
    validation_found_nothing,
    ours_hold_only_texts,
)


def findings(manifest: Manifest) -> dict[str, list[str]]:
    """Apply every rule; what is broken, by the name of the rule."""
    found = {rule.__name__: list(rule(manifest)) for rule in RULES}
    return {name: problems for name, problems in found.items() if problems}
