from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from c2pa import Context, Reader
from hypothesis import given
from hypothesis import strategies as st

from core.clock import SystemClock
from core.errors import BadMedia, GreenlightError, KeyMissing
from provenance.keys import SigningKeys, dev_keys
from provenance.manifest import (
    AUDIO_ALG,
    VIDEO_ALG,
    Claim,
    Parent,
    _sign,
    binding_payload,
    binding_value,
    read,
    sign,
)
from provenance.manifest._settings import settings
from provenance.manifest._shape import definition


@given(st.integers(0, 2**64 - 1))
def test_binding_values_round_trip(payload: int) -> None:
    assert binding_payload(binding_value(payload)) == payload


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.lists(st.integers())))
def test_foreign_binding_values_are_no_error(value: object) -> None:
    payload = binding_payload(value)
    assert payload is None or binding_value(payload) == value


def test_a_signed_clip_reads_back_trusted(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    out = tmp_path / "out.mp4"
    signed = sign(film, out, claim, keys)
    reading = read(out, keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert reading.label == signed.label
    assert reading.issuer == "Greenlight development"
    assert reading.generator == "Greenlight 0.1.0"
    assert reading.actions == ("c2pa.created", "c2pa.watermarked.bound")
    assert reading.soft_bindings == ((VIDEO_ALG, claim.payload), (AUDIO_ALG, claim.payload))
    assert reading.failures == ()
    assert reading.ingredients == ()
    assert signed.bytes in out.read_bytes()


def test_the_manifest_has_the_shape_of_the_conformance_rules(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    out = tmp_path / "out.mp4"
    label = sign(film, out, claim, keys).label
    manifest = json.loads(read(out, keys.claim_roots_pem).json)["manifests"][label]
    assert manifest["claim_version"] == 2
    assert manifest["claim_generator_info"][0]["specVersion"] == "2.4"
    assertions = {entry["label"]: entry for entry in manifest["assertions"]}
    assert all(entry.get("created") for entry in manifest["assertions"])
    actions = assertions["c2pa.actions.v2"]["data"]
    assert actions["allActionsIncluded"] is True
    assert actions["actions"][0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert "digitalSourceType" not in actions["actions"][1]
    assert {entry["use"] for entry in assertions["cawg.training-mining"]["data"]["entries"].values()} == {
        "notAllowed"
    }
    assert assertions["c2pa.ai-disclosure"]["data"]["modelName"] == "sandbox"
    generation = assertions["org.greenlight.generation"]["data"]
    assert generation["record"] == "rec_1"
    assert all(isinstance(value, str) for value in generation.values()), "the SDK mangles numeric arrays"


def assertions_of(path: Path, keys: SigningKeys) -> dict[str, Any]:
    """The assertions of the active manifest as they stand in the file."""
    asked = settings(keys.claim_roots_pem)
    with (
        path.open("rb") as file,
        Context.from_dict(asked) as context,
        Reader(None, file, context=context) as reader,
    ):
        return json.loads(reader.crjson())["manifests"][0]["assertions"]


def region(track: str) -> dict[str, Any]:
    return {"region": [{"type": "identified", "item": {"identifier": "track_id", "value": track}}]}


def test_a_binding_says_which_track_carries_the_mark(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    sign(film, tmp_path / "out.mp4", claim, keys)
    found = assertions_of(tmp_path / "out.mp4", keys)
    for label, alg, track in (
        ("c2pa.soft-binding", VIDEO_ALG, "1"),
        ("c2pa.soft-binding__1", AUDIO_ALG, "2"),
    ):
        assert found[label]["alg"] == alg
        (block,) = found[label]["blocks"]
        assert block["scope"] == {"timespan": {"start": 0, "end": 1000}, "region": region(track)}
        assert binding_payload(block["value"]) == claim.payload


def test_music_added_to_a_scene_does_not_make_the_picture_generated(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    scored = replace(
        claim, source="composite", parent=Parent(film, "video/mp4"), picture="input", sound="generated"
    )
    sign(film, tmp_path / "out.mp4", scored, keys)
    found = assertions_of(tmp_path / "out.mp4", keys)
    assert found["org.greenlight.tracks"] == {
        "video": {"origin": "input", "track_id": "1"},
        "audio": {
            "origin": "generated",
            "track_id": "2",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        },
    }
    actions = found["c2pa.actions.v2"]["actions"]
    assert [one["action"] for one in actions] == [
        "c2pa.opened",
        "c2pa.edited",
        "c2pa.transcoded",
        "c2pa.watermarked.bound",
    ]
    assert actions[1]["changes"] == [region("2")]
    assert actions[1]["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")


def test_a_label_is_an_action_like_any_other(claim: Claim) -> None:
    told = definition(replace(claim, badge=True, notice=True))["assertions"][0]["data"]
    assert told["allActionsIncluded"] is True
    names = [(one["action"], one.get("digitalSourceType", "").rpartition("/")[2]) for one in told["actions"]]
    assert names == [
        ("c2pa.created", "trainedAlgorithmicMedia"),
        ("c2pa.addedText", "algorithmicMedia"),
        ("c2pa.edited", "algorithmicMedia"),
        ("c2pa.watermarked.bound", ""),
    ]


@pytest.mark.parametrize(
    ("source", "trained", "kind"),
    [
        ("created", True, "trainedAlgorithmicMedia"),
        ("composite", True, "compositeWithTrainedAlgorithmicMedia"),
        ("created", False, "algorithmicMedia"),
        ("composite", False, "compositeSynthetic"),
    ],
)
def test_the_source_type_is_the_truth(claim: Claim, source: str, *, trained: bool, kind: str) -> None:
    told = definition(replace(claim, source=source, trained=trained, picture="mixed", sound="generated"))
    found = {one["label"]: one["data"] for one in told["assertions"]}
    assert found["c2pa.actions.v2"]["actions"][0]["digitalSourceType"].endswith(f"/{kind}")
    assert ("c2pa.ai-disclosure" in found) is trained
    whole, mixed = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
    if not trained:
        whole, mixed = ("algorithmicMedia", "compositeSynthetic")
    assert found["org.greenlight.tracks"]["audio"]["digitalSourceType"].endswith(f"/{whole}")
    assert found["org.greenlight.tracks"]["video"]["digitalSourceType"].endswith(f"/{mixed}")


def test_only_what_the_claim_names_is_written(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    signed = sign(film, tmp_path / "out.mp4", claim, keys)
    for word in (
        b"prompt:",
        b"CreativeWork",
        b"author",
        b"cawg.identity",
        str(tmp_path).encode(),
    ):
        assert word not in signed.bytes
    known = {"engine", "engineVersion", "mark", "record"}
    told = {one["label"]: one["data"] for one in definition(claim)["assertions"]}
    assert set(told["org.greenlight.generation"]) == known


@pytest.mark.parametrize(("video", "audio"), [(True, False), (False, True), (False, False)])
def test_bindings_name_only_the_marks_that_are_there(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, *, video: bool, audio: bool
) -> None:
    out = tmp_path / "out.mp4"
    sign(film, out, replace(claim, video=video, audio=audio), keys)
    reading = read(out, keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert {alg for alg, _ in reading.soft_bindings} == {
        alg for alg, there in ((VIDEO_ALG, video), (AUDIO_ALG, audio)) if there
    }
    assert ("c2pa.watermarked.bound" in reading.actions) is (video or audio)


def test_an_edit_keeps_its_input_history(film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    before = sign(film, first, claim, keys)
    sign(film, second, replace(claim, source="composite", parent=Parent(first, "video/mp4")), keys)
    reading = read(second, keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert reading.actions == ("c2pa.opened", "c2pa.edited", "c2pa.watermarked.bound")
    assert [(one.label, one.state, one.relationship) for one in reading.ingredients] == [
        (before.label, "trusted", "parentOf")
    ]
    store = json.loads(reading.json)["manifests"]
    assert set(store) == {before.label, reading.label}
    opened, edited, _ = store[reading.label]["assertions"][0]["data"]["actions"]
    assert "digitalSourceType" not in opened
    assert edited["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")


def test_history_is_followed_to_its_end(film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys) -> None:
    paths = [tmp_path / f"{index}.mp4" for index in range(4)]
    labels = [sign(film, paths[0], claim, keys).label]
    for source, target in pairwise(paths):
        edited = replace(claim, source="composite", parent=Parent(source, "video/mp4"))
        labels.append(sign(film, target, edited, keys).label)
    reading = read(paths[-1], keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert [one.label for one in reading.ingredients] == labels[-2::-1]


def test_an_unsigned_input_is_an_ingredient_without_a_manifest(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    out = tmp_path / "out.mp4"
    sign(film, out, replace(claim, source="composite", parent=Parent(film, "video/mp4")), keys)
    reading = read(out, keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert [(one.label, one.state) for one in reading.ingredients] == [(None, "none")]


def test_a_file_can_be_signed_in_place(film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys) -> None:
    path = tmp_path / "same.mp4"
    path.write_bytes(film.read_bytes())
    sign(path, path, claim, keys)
    assert read(path, keys.claim_roots_pem).state == "trusted"


def _broken_signer(_data: bytes) -> bytes:
    raise RuntimeError("the token was pulled out")


def _wrong_signer(_data: bytes) -> bytes:
    return bytes(64)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sign": _broken_signer}, "the token was pulled out"),
        ({"sign": _wrong_signer}, "invalid signature|does not match"),
        ({"sign": lambda _data: b""}, "refused"),
        ({"chain_pem": "no certificate"}, "refused"),
    ],
)
def test_a_failing_signer_says_why_and_leaves_nothing(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, *, change: dict[str, object], words: str
) -> None:
    before = film.read_bytes()
    with pytest.raises(KeyMissing, match=words):
        sign(film, tmp_path / "out.mp4", claim, replace(keys, **change))
    assert list(tmp_path.iterdir()) == []
    assert film.read_bytes() == before


def test_a_failure_keeps_what_was_there(film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"an earlier release")
    with pytest.raises(KeyMissing):
        sign(film, out, claim, replace(keys, sign=_broken_signer))
    assert out.read_bytes() == b"an earlier release"


@pytest.mark.parametrize("content", [b"", b"just words " * 50, None])
def test_what_is_not_media_cannot_be_signed(
    tmp_path: Path, claim: Claim, keys: SigningKeys, content: bytes | None
) -> None:
    source, folder = tmp_path / "source.mp4", tmp_path / "out"
    folder.mkdir()
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(BadMedia):
        sign(source, folder / "out.mp4", claim, keys)
    assert list(folder.iterdir()) == []


def test_an_unsupported_container_is_refused(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    with pytest.raises(BadMedia):
        sign(film, tmp_path / "out.webm", replace(claim, mime="video/webm"), keys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mime", ["video/webm", "application/octet-stream", "audio/wav"])
def test_history_is_kept_whatever_the_input_was_called(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, mime: str
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    label = sign(film, first, claim, keys).label
    sign(film, second, replace(claim, source="composite", parent=Parent(first, mime)), keys)
    assert [one.label for one in read(second, keys.claim_roots_pem).ingredients] == [label]


def test_history_that_the_library_drops_stops_the_signing(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    sign(film, first, claim, keys)
    edit = replace(claim, source="composite", parent=Parent(first, "video/mp4"))
    monkeypatch.setattr(_sign, "_mime", lambda _parent: "video/webm")  # under which the SDK sees no manifest
    with pytest.raises(BadMedia, match="would be lost"):
        sign(film, second, edit, keys)
    assert not second.exists()
    monkeypatch.setattr(_sign, "_check_history", lambda *_: None)
    sign(film, second, edit, keys)
    lost = read(second, keys.claim_roots_pem)
    assert (lost.state, [one.label for one in lost.ingredients]) == ("trusted", [None]), "the control"


def test_a_signed_file_is_not_signed_over(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    label = sign(film, first, claim, keys).label
    with pytest.raises(BadMedia, match="would be lost"):
        sign(first, second, claim, keys)
    assert not second.exists()
    kept = replace(claim, source="composite", parent=Parent(first, "video/mp4"))
    sign(first, second, kept, keys)
    assert [one.label for one in read(second, keys.claim_roots_pem).ingredients] == [label]
    monkeypatch.setattr(_sign, "_check_history", lambda *_: None)
    sign(first, second, claim, keys)
    assert read(second, keys.claim_roots_pem).ingredients == (), "the control: the library says nothing"


def test_an_input_with_an_unreadable_manifest_is_refused(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    sign(film, first, claim, keys)
    first.write_bytes(first.read_bytes() + b"junk" * 9)
    with pytest.raises(BadMedia, match="cannot be kept"):
        sign(film, second, replace(claim, parent=Parent(first, "video/mp4")), keys)
    assert not second.exists()


def test_an_input_whose_manifest_is_elsewhere_does_no_harm(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, shared_data: Path
) -> None:
    cloud = shared_data / "c2pa" / "e6ad9f51_cloud.jpg"
    out = tmp_path / "out.mp4"
    sign(film, out, replace(claim, source="composite", parent=Parent(cloud, "image/jpeg")), keys)
    reading = read(out, keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert [(one.state, one.failures) for one in reading.ingredients] == [
        ("none", ("manifest.inaccessible",))
    ]


def test_a_missing_parent_stops_the_signing(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    lost = replace(claim, parent=Parent(tmp_path / "lost.mp4", "video/mp4"))
    with pytest.raises(GreenlightError):
        sign(film, tmp_path / "out.mp4", lost, keys)
    assert list(tmp_path.iterdir()) == []


def _sign_in_child(film: Path, out: Path, claim: Claim, home: Path) -> None:
    sign(film, out, claim, dev_keys(home, SystemClock()))


def test_signing_works_after_a_fork(film: Path, tmp_path: Path, claim: Claim) -> None:
    keys = dev_keys(tmp_path / "keys", SystemClock())
    sign(film, tmp_path / "parent.mp4", claim, keys)
    child = multiprocessing.get_context("fork").Process(
        target=_sign_in_child, args=(film, tmp_path / "child.mp4", claim, tmp_path / "keys")
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert read(tmp_path / "child.mp4", keys.claim_roots_pem).state == "trusted"
