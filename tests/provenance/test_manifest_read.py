from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadMedia
from provenance.keys import SigningKeys
from provenance.manifest import Claim, Parent, read, sign
from provenance.manifest._read import _reading


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, film: Path, claim: Claim, keys: SigningKeys) -> Path:
    path = tmp_path_factory.mktemp("signed") / "signed.mp4"
    sign(film, path, claim, keys)
    return path


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """List the top-level boxes of an MP4: type, start, end."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, at, at + size
        at += size


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("kind", [b"moov", b"mdat"])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_media_is_seen(
    signed: Path, tmp_path: Path, keys: SigningKeys, kind: bytes, where: float
) -> None:
    data = signed.read_bytes()
    start, end = next((start, end) for name, start, end in boxes(data) if name == kind)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(flipped(data, start + 8 + int((end - start - 9) * where)))
    reading = read(copy, keys.claim_roots_pem)
    assert reading.state in ("invalid", "malformed")
    assert reading.failures
    copy.write_bytes(data)
    assert read(copy, keys.claim_roots_pem).state == "trusted", "the control"


@pytest.mark.parametrize(
    "text", [b"sandbox", b"trainedAlgorithmicMedia", b"rec_1", b"org.greenlight.video.1"]
)
def test_a_flipped_bit_in_the_manifest_is_seen(
    signed: Path, tmp_path: Path, keys: SigningKeys, text: bytes
) -> None:
    data = signed.read_bytes()
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(flipped(data, data.index(text)))
    reading = read(copy, keys.claim_roots_pem)
    assert reading.state == "invalid"
    assert "assertion.hashedURI.mismatch" in reading.failures


def test_a_flipped_bit_in_the_certificate_is_seen(signed: Path, tmp_path: Path, keys: SigningKeys) -> None:
    data = signed.read_bytes()
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(flipped(data, data.index(b"Greenlight development signer")))
    assert read(copy, keys.claim_roots_pem).state in ("invalid", "malformed", "untrusted")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_bit_raises_or_changes_what_is_believed(
    signed: Path, tmp_path: Path, keys: SigningKeys, claim: Claim, data: st.DataObject
) -> None:
    content = bytearray(signed.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(content)
    reading = read(copy, keys.claim_roots_pem)
    # ftyp and the signature's padding may change without notice; what is said must not
    if reading.state == "trusted":
        original = read(signed, keys.claim_roots_pem)
        assert (reading.label, reading.soft_bindings) == (original.label, original.soft_bindings)


@pytest.mark.parametrize("tail", [b"junk" * 9, b"\0\0\0\x10free" + bytes(8), b"\0\0\0\x10uuid" + bytes(8)])
def test_appended_bytes_are_seen(signed: Path, tmp_path: Path, keys: SigningKeys, tail: bytes) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(signed.read_bytes() + tail)
    assert read(copy, keys.claim_roots_pem).state in ("invalid", "malformed")


def test_a_stripped_file_has_none(signed: Path, tmp_path: Path, keys: SigningKeys) -> None:
    data = signed.read_bytes()
    parts = [data[start:end] for kind, start, end in boxes(data) if kind != b"uuid"]
    assert len(b"".join(parts)) < len(data)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(b"".join(parts))
    assert read(copy, keys.claim_roots_pem).state == "none"


def test_a_stranger_is_not_trusted(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, stranger: SigningKeys
) -> None:
    out = tmp_path / "out.mp4"
    sign(film, out, claim, stranger)
    reading = read(out, keys.claim_roots_pem)
    assert reading.state == "untrusted"
    assert reading.failures == ("signingCredential.untrusted",)
    assert read(out, stranger.claim_roots_pem).state == "trusted", "the control"
    assert read(out, "").state == "untrusted", "no roots, no trust"


def test_a_root_listed_for_another_purpose_is_not_trusted(
    signed: Path, keys: SigningKeys, stranger: SigningKeys
) -> None:
    reading = read(signed, stranger.claim_roots_pem, tsa_roots_pem=keys.claim_roots_pem)
    assert reading.state == "untrusted"
    assert json.loads(reading.json)["validation_state"] == "Trusted", "what the library alone would say"
    assert reading.failures == ("signingCredential.untrusted",)


def test_a_tampered_parent_is_carried_into_our_state(
    film: Path, signed: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    parent, child, grandchild = (tmp_path / name for name in ("parent.mp4", "child.mp4", "grandchild.mp4"))
    data = signed.read_bytes()
    parent.write_bytes(flipped(data, data.index(b"mdat") + 500))
    sign(film, child, replace(claim, source="composite", parent=Parent(parent, "video/mp4")), keys)
    sign(film, grandchild, replace(claim, source="composite", parent=Parent(child, "video/mp4")), keys)
    for path in (child, grandchild):
        reading = read(path, keys.claim_roots_pem)
        assert reading.state == "invalid"
        assert reading.failures == ("ingredient:assertion.bmffHash.mismatch",)
        assert reading.ingredients[-1].state == "invalid"
    assert json.loads(read(child, keys.claim_roots_pem).json)["validation_state"] == "Trusted"


def test_a_strangers_input_leaves_our_manifest_trusted(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, stranger: SigningKeys
) -> None:
    parent, child = tmp_path / "parent.mp4", tmp_path / "child.mp4"
    sign(film, parent, claim, stranger)
    sign(film, child, replace(claim, source="composite", parent=Parent(parent, "video/mp4")), keys)
    reading = read(child, keys.claim_roots_pem)
    assert reading.state == "trusted"
    assert [one.state for one in reading.ingredients] == ["untrusted"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"just words " * 50,
        b"\0\0\0\x08ftyp",
        b"RIFF\xff\xff\xff\xffWAVE",
        bytes(4096),
        b"\xff\xd8\xff\xe0",
    ],
)
@pytest.mark.parametrize("mime", [None, "video/mp4", "image/jpeg", "audio/wav", "nonsense"])
def test_what_is_not_media_is_a_reading(
    tmp_path: Path, keys: SigningKeys, content: bytes, mime: str | None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read(path, keys.claim_roots_pem, mime=mime).state in ("none", "malformed")


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.99])
def test_a_truncated_file_is_a_reading(signed: Path, tmp_path: Path, keys: SigningKeys, part: float) -> None:
    data = signed.read_bytes()
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(data[: int(len(data) * part)])
    assert read(copy, keys.claim_roots_pem).state in ("none", "invalid", "malformed")


def test_a_missing_file_is_bad_media(tmp_path: Path, keys: SigningKeys) -> None:
    with pytest.raises(BadMedia):
        read(tmp_path / "nothing", keys.claim_roots_pem)


def test_broken_roots_trust_nobody(signed: Path) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert read(signed, broken).state == "untrusted"


NAMES = [
    "ingredients",
    "assertions",
    "label",
    "data",
    "actions",
    "active_manifest",
    "manifests",
    "validation_results",
    "activeManifest",
    "failure",
    "success",
    "code",
    "claim_generator_info",
    "blocks",
    "trustListUri",
    "validation_state",
]
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=25,
)


@given(values)
def test_no_shape_of_a_store_raises_or_is_trusted(store: object) -> None:
    assert _reading(json.dumps(store)).state in ("malformed", "invalid", "untrusted")


def test_a_store_may_run_in_circles() -> None:
    manifest = {"ingredients": [{"active_manifest": "b"}], "label": "a"}
    store = {
        "active_manifest": "a",
        "manifests": {"a": manifest, "b": {"ingredients": [{"active_manifest": "a"}]}},
    }
    assert [one.label for one in _reading(json.dumps(store)).ingredients] == ["b", "a"]


def test_texts_from_a_file_are_cleaned_and_cut() -> None:
    info = [{"name": "evil\x1b[31m\n" + "x" * 10_000, "version": "1"}]
    store = {"active_manifest": "a", "manifests": {"a": {"claim_generator_info": info}}}
    generator = _reading(json.dumps(store)).generator
    assert generator is not None
    assert generator.isprintable()
    assert len(generator) < 250


EXPLAINED = {
    "fa0b257c_C_with_CAWG_data.jpg": "trusted",  # only the identity assertion is untrusted: not ours to judge
    "e6ad9f51_cloud.jpg": "none",  # its manifest is elsewhere, and nothing is fetched
    "15ca4263_cloudx.jpg": "none",
    "54620b5f_PirateShip_save_credentials_to_cloud.jpg": "none",
    "8ffdf61c_libpng-test_with_url.png": "none",
    "66baccd7_CACAE-uri-CA.jpg": "invalid",  # the library is content although an input was changed
    "0c343c0f_CIE-sig-CA.jpg": "invalid",
    "17ea3035_prerelease.jpg": "malformed",
    "7c916414_no_alg.jpg": "malformed",
    "d17c8bf6_adobe_connected_identities.jpg": "untrusted",  # invalid only because a DID was not fetched
    "6d03e1dd_ims_multiple_manifests.jpg": "untrusted",
}
PLAIN = {
    "Trusted": "trusted",
    "Valid": "untrusted",
    "Invalid": "invalid",
    "_C2paManifestNotFound": "none",
    "_C2paNotSupported": "none",
}


def test_every_public_file_gets_the_reading_it_deserves(shared_data: Path) -> None:
    folder = shared_data / "c2pa"
    roots = (folder / "test_cert_root_bundle.pem").read_text()
    observed = json.loads((folder / "observed.json").read_text())
    assert len(observed) == 68
    for entry in observed:
        name = entry["file"]
        expected = EXPLAINED.get(name) or PLAIN[entry["observed_with_sdk_test_roots"]]
        assert (name, read(folder / name, roots).state) == (name, expected)
