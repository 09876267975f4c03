from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from c2pa import Context, Reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import SystemClock
from provenance.keys import SigningKeys
from provenance.manifest import Claim, Parent, _settings, _sign, medium, read, sign, stamp
from provenance.timestamp import dev_authority
from tests.provenance.media import SIGNED, make
from tests.provenance.rubric import RULES, Manifest, findings

STAMPABLE = ("mp4", "mov", "m4a", "png", "jpg")


def report(path: Path, keys: SigningKeys) -> list[Manifest]:
    """The manifests of a file in crJSON, the active one first."""
    asked = _settings.settings(keys.claim_roots_pem)
    with (
        path.open("rb") as file,
        Context.from_dict(asked) as context,
        Reader(None, file, context=context) as reader,
    ):
        return json.loads(reader.crjson())["manifests"]


def claim_for(claim: Claim, kind: str) -> Claim:
    marked = kind not in ("png", "jpg")
    seen = "generated" if kind not in ("m4a", "wav", "mp3", "flac") else None
    heard = "generated" if marked else None
    video = marked and seen is not None
    return replace(claim, mime=SIGNED[kind], video=video, audio=marked, picture=seen, sound=heard)


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory, claim: Claim, keys: SigningKeys) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("created")
    for kind in SIGNED:
        sign(make(folder, kind), folder / kind, claim_for(claim, kind), keys)
    return {kind: folder / kind for kind in SIGNED}


@pytest.fixture(scope="module")
def edited(
    tmp_path_factory: pytest.TempPathFactory, created: dict[str, Path], claim: Claim, keys: SigningKeys
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("edited")
    for kind, before in created.items():
        made = claim_for(claim, kind)
        parent = Parent(before, SIGNED[kind])
        kept = "input" if made.picture and made.sound else made.picture
        edit = replace(made, source="composite", parent=parent, picture=kept)
        edit = replace(edit, badge=made.picture is not None, notice=made.sound is not None)
        sign(make(folder, kind), folder / kind, edit, keys)
    return {kind: folder / kind for kind in SIGNED}


@pytest.fixture(scope="module")
def updated(
    tmp_path_factory: pytest.TempPathFactory, edited: dict[str, Path], keys: SigningKeys
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("updated")
    authority = dev_authority(folder / "keys", SystemClock())
    for kind in STAMPABLE:
        stamp(edited[kind], folder / kind, "0.1.0", keys, authority)
    return {kind: folder / kind for kind in STAMPABLE}


@pytest.mark.parametrize("kind", SIGNED)
def test_every_created_file_meets_the_rules(created: dict[str, Path], keys: SigningKeys, kind: str) -> None:
    (manifest,) = report(created[kind], keys)
    assert findings(manifest) == {}
    assert medium(created[kind]).mime == SIGNED[kind]


@pytest.mark.parametrize("kind", SIGNED)
def test_every_edited_file_meets_the_rules(edited: dict[str, Path], keys: SigningKeys, kind: str) -> None:
    manifests = report(edited[kind], keys)
    assert len(manifests) == 2
    assert findings(manifests[0]) == {}


@pytest.mark.parametrize("kind", STAMPABLE)
def test_every_updated_file_meets_the_rules(updated: dict[str, Path], keys: SigningKeys, kind: str) -> None:
    manifests = report(updated[kind], keys)
    assert len(manifests) == 3
    assert manifests[0]["isUpdateManifest"] is True
    assert findings(manifests[0]) == {}


ORIGINS = st.sampled_from([None, "generated", "mixed", "input"])


@given(
    changes=st.fixed_dictionaries(
        {
            "source": st.sampled_from(["created", "composite"]),
            "video": st.booleans(),
            "audio": st.booleans(),
            "trained": st.booleans(),
            "picture": ORIGINS,
            "sound": ORIGINS,
            "badge": st.booleans(),
            "notice": st.booleans(),
            "payload": st.integers(0, 2**64 - 1),
            "title": st.text(max_size=30),
            "engine": st.text(min_size=1, max_size=30),
        }
    ),
    edit=st.booleans(),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_claim_breaks_a_rule(
    created: dict[str, Path],
    film: Path,
    tmp_path: Path,
    claim: Claim,
    keys: SigningKeys,
    changes: Any,
    edit: bool,
) -> None:
    parent = Parent(created["mp4"], "video/mp4") if edit else None
    out = tmp_path / "out"
    sign(film, out, replace(claim, parent=parent, **changes), keys)
    manifest = report(out, keys)[0]
    assert findings(manifest) == {}
    assert read(out, keys.claim_roots_pem).state == "trusted"


def first(manifest: Manifest, name: str) -> dict[str, Any]:
    actions = manifest["assertions"]["c2pa.actions.v2"]["actions"]
    return next(action for action in actions if action["action"] == name)


def acts(manifest: Manifest) -> list[dict[str, Any]]:
    return manifest["assertions"]["c2pa.actions.v2"]["actions"]


def opened_only(manifest: Manifest) -> None:
    manifest["assertions"]["c2pa.actions.v2"] |= {"actions": acts(manifest)[:1], "allActionsIncluded": False}


def gathered(manifest: Manifest) -> None:
    claim = manifest["claim.v2"]
    claim["gathered_assertions"] = [claim["created_assertions"].pop()]


def ingredient(manifest: Manifest) -> dict[str, Any]:
    return manifest["assertions"]["c2pa.ingredient.v3"]


# What breaks each rule, done to the manifest of an edited film that meets them all.
BREAKERS: dict[str, Callable[[Manifest], object]] = {
    "specification_is_named": lambda m: m["claim.v2"]["claim_generator_info"].pop("specVersion"),
    "specification_is_not_in_the_claim": lambda m: m["claim.v2"].update(specVersion="2.4"),
    "all_actions_are_declared": lambda m: m["assertions"]["c2pa.actions.v2"].pop("allActionsIncluded"),
    "opening_alone_is_complete": opened_only,
    "perceptible_actions_name_a_source": lambda m: first(m, "c2pa.edited").pop("digitalSourceType"),
    "opened_names_no_source": lambda m: first(m, "c2pa.opened").update(digitalSourceType="any"),
    "opened_refers_to_its_parent": lambda m: first(m, "c2pa.opened").pop("parameters"),
    "inception_comes_first": lambda m: acts(m).reverse(),
    "inception_happens_once": lambda m: acts(m).append({"action": "c2pa.created", "digitalSourceType": "x"}),
    "assertions_are_created": gathered,
    "assertions_are_known": lambda m: m["assertions"].update({"c2pa.novelty": {}}),
    "own_assertions_have_a_name_space": lambda m: m["assertions"].update(novelty={}),
    "actions_are_known": lambda m: acts(m).append({"action": "c2pa.watermarked"}),
    "parameters_are_known": lambda m: first(m, "c2pa.opened")["parameters"].update(novelty=1),
    "label_is_a_c2pa_urn": lambda m: m.update(label="urn:uuid:1"),
    "ingredients_relate": lambda m: ingredient(m).update(relationship="cousinOf"),
    "ingredients_were_validated": lambda m: ingredient(m).pop("validationResults"),
    "ingredients_with_history_name_no_source": lambda m: ingredient(m).update(digitalSourceType="x"),
    "hashes_have_no_address": lambda m: m["assertions"]["c2pa.hash.bmff.v3"].update(url="x"),
    "content_is_bound_once": lambda m: m["assertions"].pop("c2pa.hash.bmff.v3"),
    "marks_are_bound": lambda m: m["assertions"]["c2pa.soft-binding"].pop("alg"),
    "updates_change_nothing": lambda m: m.update(isUpdateManifest=True),
    "validation_found_nothing": lambda m: m["validationResults"]["failure"].append({"code": "x"}),
    "ours_hold_only_texts": lambda m: m["assertions"]["org.greenlight.generation"].update(box=[1, 2]),
}


def test_every_rule_has_a_control() -> None:
    assert set(BREAKERS) == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("rule", BREAKERS)
def test_a_manifest_that_breaks_a_rule_is_caught(
    edited: dict[str, Path], keys: SigningKeys, rule: str
) -> None:
    manifest = report(edited["mp4"], keys)[0]
    assert findings(manifest) == {}
    broken = copy.deepcopy(manifest)
    BREAKERS[rule](broken)
    assert rule in findings(broken)


# The same through the signer: what we would have released, had we not written these.
@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("specification_is_named", lambda d: d["claim_generator_info"][0].pop("specVersion")),
        ("all_actions_are_declared", lambda d: d["assertions"][0]["data"].pop("allActionsIncluded")),
        ("perceptible_actions_name_a_source", lambda d: d["assertions"][0]["data"]["actions"][1].pop("digitalSourceType")),
        ("opened_names_no_source", lambda d: d["assertions"][0]["data"]["actions"][0].update(digitalSourceType="http://x.invalid")),
        ("assertions_are_created", lambda d: d["assertions"].append({"label": "org.example.other", "data": {"a": "b"}})),
        ("ours_hold_only_texts", lambda d: d["assertions"][-1]["data"].update(box=[1, 2])),
    ],
)  # fmt: skip
def test_a_signed_manifest_that_breaks_a_rule_is_caught(
    created: dict[str, Path],
    tmp_path: Path,
    claim: Claim,
    keys: SigningKeys,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    spoil: Callable[[dict[str, Any]], object],
) -> None:
    honest = _sign.definition

    def spoilt(*given: Any) -> dict[str, Any]:
        told = honest(*given)
        spoil(told)
        return told

    monkeypatch.setattr(_sign, "definition", spoilt)
    parent = Parent(created["mp4"], "video/mp4")
    edit = replace(claim_for(claim, "mp4"), source="composite", parent=parent, picture="input")
    sign(make(tmp_path, "mp4"), tmp_path / "out", edit, keys)
    assert rule in findings(report(tmp_path / "out", keys)[0])
