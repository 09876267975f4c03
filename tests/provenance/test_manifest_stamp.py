from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import BadMedia, GreenlightError, KeyMissing, Unavailable
from provenance.keys import SigningKeys
from provenance.manifest import Claim, Parent, read, sign, stamp
from provenance.timestamp import Authority, dev_authority, http_authority
from tests.provenance.authorities import BAD, serving
from tests.provenance.certificates import Root
from tests.provenance.media import SIGNED, make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return dev_authority(tmp_path_factory.mktemp("authority"), SystemClock())


@pytest.fixture
def signed(film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys) -> Path:
    sign(film, tmp_path / "signed.mp4", claim, keys)
    return tmp_path / "signed.mp4"


def near(moment: str | None) -> bool:
    return moment is not None and abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(
        minutes=1
    )


def test_a_signature_is_stamped_when_it_is_made(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, authority: Authority
) -> None:
    out = tmp_path / "out.mp4"
    assert sign(film, out, claim, keys, authority).stamped
    reading = read(out, keys.claim_roots_pem, tsa_roots_pem=authority.roots_pem)
    assert (reading.state, reading.failures) == ("trusted", ())
    assert near(reading.signed_at)
    assert read(out, keys.claim_roots_pem).signed_at is None, "nobody told us to believe that authority"


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_authority_does_not_stop_the_signing(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, authority: Authority, kind: str
) -> None:
    out = tmp_path / "out.mp4"
    with serving(BAD[kind]) as url:
        start = time.monotonic()
        signed = sign(film, out, claim, keys, http_authority(url, authority.roots_pem, 0.3))
        assert time.monotonic() - start < 10, "the library alone would wait half a minute, and fail"
    assert not signed.stamped
    reading = read(out, keys.claim_roots_pem, tsa_roots_pem=authority.roots_pem)
    assert (reading.state, reading.signed_at) == ("trusted", None)


def test_a_failing_key_is_not_taken_for_a_failing_authority(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, authority: Authority
) -> None:
    calls = []

    def broken(_data: bytes) -> bytes:
        calls.append(1)
        raise RuntimeError("the token was pulled out")

    with pytest.raises(KeyMissing, match="pulled out"):
        sign(film, tmp_path / "out.mp4", claim, replace(keys, sign=broken), authority)
    assert calls == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_stamp_comes_later_by_an_update(
    signed: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, authority: Authority
) -> None:
    before, content = read(signed, keys.claim_roots_pem), signed.read_bytes()
    done = stamp(signed, tmp_path / "out.mp4", "0.1.0", keys, authority)
    after = read(tmp_path / "out.mp4", keys.claim_roots_pem, tsa_roots_pem=authority.roots_pem)
    assert (after.state, after.failures) == ("trusted", ())
    assert near(after.signed_at)
    assert (after.label, after.content_label) == (done.label, before.label)
    same = ("soft_bindings", "generator", "actions", "ingredients", "issuer")
    assert all(getattr(after, name) == getattr(before, name) for name in same)
    # an update lies in a box of its own; what is stored for recovery holds both manifests
    assert {label.encode() in done.bytes for label in (done.label, str(before.label))} == {True}
    assert signed.read_bytes() == content


def test_an_update_keeps_the_history_below_it(
    film: Path, signed: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, authority: Authority
) -> None:
    edit = replace(claim, source="composite", parent=Parent(signed, "video/mp4"))
    sign(film, tmp_path / "edit.mp4", edit, keys)
    stamp(tmp_path / "edit.mp4", tmp_path / "once.mp4", "0.1.0", keys, authority)
    stamp(tmp_path / "once.mp4", tmp_path / "twice.mp4", "0.1.0", keys, authority)
    before = read(tmp_path / "edit.mp4", keys.claim_roots_pem)
    after = read(tmp_path / "twice.mp4", keys.claim_roots_pem)
    assert after.ingredients == before.ingredients
    assert after.content_label == before.label
    assert len(json.loads(after.json)["manifests"]) == 4


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac"])
def test_formats_whose_length_is_hashed_take_no_update(
    tmp_path: Path, claim: Claim, keys: SigningKeys, authority: Authority, kind: str
) -> None:
    sound = replace(claim, mime=SIGNED[kind], video=False)
    source, folder = tmp_path / "signed", tmp_path / "out"
    folder.mkdir()
    sign(make(tmp_path, kind), source, sound, keys)
    with pytest.raises(BadMedia, match="cannot take an update"):
        stamp(source, folder / "out", "0.1.0", keys, authority)
    assert list(folder.iterdir()) == []
    assert sign(make(tmp_path, kind), folder / "out", sound, keys, authority).stamped, "at once they can"


@pytest.mark.parametrize("kind", ["an error", "silence", "garbage"])
def test_a_bad_authority_leaves_the_file_as_it_was(
    signed: Path, tmp_path: Path, keys: SigningKeys, authority: Authority, kind: str
) -> None:
    content, out = signed.read_bytes(), tmp_path / "out.mp4"
    with serving(BAD[kind]) as url, pytest.raises(Unavailable):
        stamp(signed, out, "0.1.0", keys, http_authority(url, authority.roots_pem, 0.3))
    assert list(tmp_path.iterdir()) == [signed]
    assert signed.read_bytes() == content


def test_what_has_no_manifest_that_holds_is_not_stamped(
    film: Path, signed: Path, tmp_path: Path, keys: SigningKeys, authority: Authority
) -> None:
    content = bytearray(signed.read_bytes())
    content[content.index(b"mdat") + 500] ^= 1
    (tmp_path / "broken.mp4").write_bytes(content)
    for source in (film, tmp_path / "broken.mp4"):
        with pytest.raises(BadMedia, match="manifest that holds"):
            stamp(source, tmp_path / "out.mp4", "0.1.0", keys, authority)
    assert not (tmp_path / "out.mp4").exists()


def test_a_stamped_file_shows_tampering_like_any_other(
    signed: Path, tmp_path: Path, keys: SigningKeys, authority: Authority
) -> None:
    out = tmp_path / "out.mp4"
    stamp(signed, out, "0.1.0", keys, authority)
    content = bytearray(out.read_bytes())
    content[content.index(b"mdat") + 500] ^= 1
    out.write_bytes(content)
    assert read(out, keys.claim_roots_pem).state == "invalid"


def test_a_strangers_update_on_our_file_is_not_ours(
    signed: Path, tmp_path: Path, keys: SigningKeys, stranger: SigningKeys, authority: Authority
) -> None:
    ours = read(signed, keys.claim_roots_pem).label
    stamp(signed, tmp_path / "theirs.mp4", "0.1.0", stranger, authority)
    reading = read(tmp_path / "theirs.mp4", keys.claim_roots_pem)
    assert reading.state == "untrusted"
    assert reading.label != ours
    assert reading.content_label == ours


def test_our_update_does_not_make_a_strangers_file_ours(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, stranger: SigningKeys, authority: Authority
) -> None:
    sign(film, tmp_path / "theirs.mp4", claim, stranger)
    stamp(tmp_path / "theirs.mp4", tmp_path / "out.mp4", "0.1.0", keys, authority)
    reading = read(tmp_path / "out.mp4", keys.claim_roots_pem)
    assert (reading.state, reading.failures) == ("untrusted", ("signingCredential.untrusted",))
    assert json.loads(reading.json)["validation_state"] == "Trusted", "what the library alone would say"


def test_a_stamp_outlives_the_certificate(
    film: Path, tmp_path: Path, claim: Claim, authority: Authority
) -> None:
    root = Root()
    start = time.monotonic()
    brief, lasting = root.signer(timedelta(seconds=5)), root.signer()
    names = ("bare", "at once", "later", "later by another")
    bare, at_once, later, by_another = (tmp_path / name for name in names)
    sign(film, bare, claim, brief)
    sign(film, at_once, claim, brief, authority)
    stamp(bare, later, "0.1.0", brief, authority)
    stamp(bare, by_another, "0.1.0", lasting, authority)
    assert read(bare, root.pem).state == "trusted"
    time.sleep(max(0, start + 6.2 - time.monotonic()))
    stamped = (at_once, later, by_another)
    assert [read(path, root.pem, tsa_roots_pem=authority.roots_pem).state for path in stamped] == [
        "trusted"
    ] * 3
    assert read(bare, root.pem, tsa_roots_pem=authority.roots_pem).state == "untrusted", (
        "the control: no stamp"
    )
    other = dev_authority(tmp_path, SystemClock()).roots_pem
    for roots in ("", other):
        states = [read(path, root.pem, tsa_roots_pem=roots).state for path in stamped]
        assert states == ["untrusted"] * 3, "the control: a stamp of somebody else's"


def test_the_lists_of_roots_are_kept_apart(film: Path, tmp_path: Path, claim: Claim) -> None:
    root, out = Root(), tmp_path / "out.mp4"
    sign(film, out, claim, root.signer(), root.authority(tmp_path))
    own, other = root.pem, Root().pem

    def said(claims: str, stamps: str) -> tuple[str, bool, str]:
        reading = read(out, claims, tsa_roots_pem=stamps)
        return reading.state, reading.signed_at is not None, json.loads(reading.json)["validation_state"]

    # the library takes a root from either list for both purposes
    assert said(other, own) == ("untrusted", True, "Trusted")
    assert said(own, other) == ("trusted", False, "Trusted")
    assert said(other, other) == ("untrusted", False, "Valid")


def test_errors_name_no_path(signed: Path, tmp_path: Path, keys: SigningKeys, authority: Authority) -> None:
    with pytest.raises(GreenlightError) as caught:
        stamp(signed, tmp_path / "nothing" / "out.mp4", "0.1.0", keys, authority)
    assert str(tmp_path) not in caught.value.message
