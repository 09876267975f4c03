"""A revoked key proves what our log shows from before, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import file_sha256
from provenance.keys import SigningKeys, certificates_of
from provenance.manifest import Claim, read, sign
from provenance.readings import Readings, Record, Standing
from provenance.revocation import REVOKED, with_keys
from provenance.verdict import judge
from provenance.verify import verify
from tests.provenance.test_verdict import FOREIGN, OURS, TRUSTED, readings

AT = 1_000_000
SIGNED = replace(TRUSTED, serial="77")


def keys(revoked_ms: int | None) -> Any:
    return lambda name: Standing(key="key", revoked_ms=revoked_ms) if name == "77" else None


def verdict(found: Readings, revoked_ms: int | None) -> str:
    return judge(with_keys(found, keys(revoked_ms)))[0]


def file(
    manifest: Any = SIGNED, *, recorded_ms: int | None = AT, digest: str = OURS.digest, **more: Any
) -> Readings:
    ours = replace(OURS, recorded_ms=recorded_ms)
    return readings(manifest, records=(ours,), digest=digest, **more)


def test_what_was_recorded_before_the_revocation_stays_verified_and_says_so() -> None:
    found = with_keys(file(), keys(AT + 1))
    said, reasons = judge(found)
    assert said == "verified"
    assert "signed before its key was revoked" in " ".join(reasons)
    assert "revoked" not in " ".join(judge(with_keys(file(), keys(None)))[1]), "the control"


@pytest.mark.parametrize("recorded_ms", [AT, AT + 1, None])
def test_what_was_recorded_later_or_who_knows_when_is_tampered(recorded_ms: int | None) -> None:
    found = file(recorded_ms=recorded_ms)
    assert verdict(found, AT) == "tampered"
    assert verdict(found, None) == "verified", "the control"
    assert "after that key was revoked" in " ".join(judge(with_keys(found, keys(AT)))[1])


def test_our_label_on_other_bytes_needs_a_time_stamp_from_before() -> None:
    assert verdict(file(digest="11"), AT + 1) == "recovered"
    stamped = replace(SIGNED, signed_at="1970-01-01T00:16:40Z")
    assert verdict(file(stamped, digest="11"), AT + 1) == "verified"
    assert verdict(file(stamped, digest="11"), AT) == "tampered", "the log is later than the revocation"
    late = replace(SIGNED, signed_at="1970-01-01T00:17:00Z")
    assert verdict(file(late, digest="11"), AT + 1) == "recovered"
    assert verdict(file(digest="11"), None) == "verified", "the control"


def test_a_revoked_key_on_anything_we_have_no_record_of_is_tampered() -> None:
    stolen = replace(FOREIGN, state="trusted", serial="77")
    bare = readings(stolen, None, None)
    assert judge(with_keys(bare, keys(AT)))[0] == "tampered"
    assert judge(with_keys(bare, keys(None)))[0] == "foreign", "the control"


def test_strangers_and_files_without_keys_are_left_alone() -> None:
    stranger = readings(replace(FOREIGN, state="trusted", serial="78"), None, None)
    for found in (file(), stranger, readings(replace(FOREIGN, serial="77"), None, None)):
        assert with_keys(found, None) == found
    assert judge(with_keys(stranger, keys(AT)))[0] == "foreign"


@pytest.mark.parametrize("serial", ["78", None])
def test_a_peer_under_our_own_root_cannot_speak_for_our_record(serial: str | None) -> None:
    found = file(replace(TRUSTED, serial=serial))
    assert verdict(found, None) == "tampered"
    assert judge(with_keys(found, None))[0] == "verified", "the control: certificates alone would believe it"


def test_a_mark_of_a_revoked_key_is_found_and_doubted() -> None:
    found = file()
    seen = found.file.media.video
    assert seen is not None
    media = replace(found.file.media, video=replace(seen, key_id="mark"))
    found = replace(found, file=replace(found.file, media=media))
    said, reasons = judge(
        with_keys(found, lambda name: Standing(key=name, revoked_ms=AT if name == "mark" else None))
    )
    assert said == "verified"
    assert "whoever has it can make such marks" in " ".join(reasons)


@given(
    st.none() | st.integers(AT - 2, AT + 2),
    st.none() | st.integers(AT - 2, AT + 2),
    st.sampled_from([OURS.digest, "11"]),
    st.none() | st.sampled_from(["1970-01-01T00:16:39Z", "1970-01-01T00:16:41Z"]),
)
def test_nothing_is_verified_under_a_revoked_key_that_log_and_bytes_do_not_date(
    recorded_ms: int | None, revoked_ms: int | None, digest: str, signed_at: str | None
) -> None:
    found = file(replace(SIGNED, signed_at=signed_at), recorded_ms=recorded_ms, digest=digest)
    if verdict(found, revoked_ms) == "verified" and revoked_ms is not None:
        assert recorded_ms is not None
        assert recorded_ms < revoked_ms
        assert digest == OURS.digest or signed_at == "1970-01-01T00:16:39Z"


class Shelf:
    def __init__(self, record: Record) -> None:
        self.record = record

    def by_payload(self, payload: int) -> Record | None:
        return self.record if payload == self.record.payload else None

    def by_label(self, label: str) -> Record | None:
        return self.record if label == self.record.manifest_label else None

    def by_content(self, *_: Any) -> Record | None:
        return None


def test_a_real_file_names_its_signer_and_is_judged_by_it(
    tmp_path: Path, film: Path, claim: Claim, keys: SigningKeys
) -> None:
    signed = sign(film, tmp_path / "signed.mp4", claim, keys)
    serial = certificates_of(keys.chain_pem, keys.claim_roots_pem).serial
    assert read(tmp_path / "signed.mp4", keys.claim_roots_pem).serial == serial
    digest = file_sha256(tmp_path / "signed.mp4")
    record = replace(
        OURS,
        payload=claim.payload,
        manifest_label=signed.label,
        digest=digest,
        video=False,
        audio=False,
        video_print=None,
        audio_print=None,
    )

    def said(recorded_ms: int, revoked_ms: int | None) -> str:
        shelf = Shelf(replace(record, recorded_ms=recorded_ms))
        found = verify(
            tmp_path / "signed.mp4",
            roots_pem=keys.claim_roots_pem,
            mark_keys=(),
            records=shelf,
            prove=proven,
            keys=lambda name: Standing(key="k", revoked_ms=revoked_ms) if name == serial else None,
        )
        assert (REVOKED in found.layers["manifest"]["failures"]) == (found.verdict == "tampered")
        return found.verdict

    assert said(AT, None) == said(AT, AT + 1) == "verified"
    assert said(AT, AT) == "tampered"


def proven(index: int) -> Any:
    from provenance.readings import LogProof

    return LogProof(included=True, index=index, size=index + 1, checkpoint="")
