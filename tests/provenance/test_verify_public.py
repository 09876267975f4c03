"""The public files: a verdict for each, and why it differs from what the SDK alone said, where it does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from audits.preemptive.specimens import Shelf
from provenance.verify import Report, verify

BY_THE_LIBRARY = {
    "Trusted": "foreign",
    "Valid": "foreign",
    "Invalid": "tampered",
    "_C2paManifestNotFound": "unknown",
    "_C2paNotSupported": "malformed",
    "_C2paOther": "malformed",
    "C2paError": "unknown",  # a manifest kept elsewhere, which nobody fetches
}
DIFFERENT = {
    "66baccd7_CACAE-uri-CA.jpg": ("tampered", "an input's assertion was changed: the SDK trusts the output"),
    "0c343c0f_CIE-sig-CA.jpg": ("tampered", "an input's signature does not hold: the SDK trusts the output"),
    "d17c8bf6_adobe_connected_identities.jpg": ("foreign", "only an identity could not be looked up"),
    "6d03e1dd_ims_multiple_manifests.jpg": ("foreign", "only an identity could not be looked up"),
    "e7d9bfb1_id3v23_compression_underflow.mp3": (
        "malformed",
        "no manifest, and no sound that can be decoded",
    ),
    "b51db737_BigBuckBunny_2s_init.mp4": ("malformed", "the head of a stream: it has no frames"),
    "c72d6562_BigBuckBunny_2s_init.mp4": ("malformed", "the head of a stream: it has no frames"),
    "cdb1f67a_BigBuckBunny_2s_init.mp4": ("malformed", "the head of a stream: it has no frames"),
    "6237a489_sample1.svg": ("malformed", "a text to whoever goes by content, and not by what it is called"),
    "86a72229_sample1.svg": ("malformed", "a text to whoever goes by content, and not by what it is called"),
    "befa25a4_sample2.svg": ("malformed", "a text to whoever goes by content, and not by what it is called"),
}


@pytest.fixture(scope="module")
def reports(shared_data: Path) -> dict[str, tuple[str, Report]]:
    folder = shared_data / "c2pa"
    roots = (folder / "test_cert_root_bundle.pem").read_text()
    return {
        entry["file"]: (
            entry["observed_with_sdk_test_roots"],
            verify(folder / entry["file"], roots_pem=roots, mark_keys=(), records=Shelf(()), prove=None),
        )
        for entry in json.loads((folder / "observed.json").read_text())
    }


def test_every_public_file_gets_the_verdict_that_is_expected(reports: dict[str, tuple[str, Report]]) -> None:
    assert len(reports) == 68
    told = {name: report.verdict for name, (_, report) in reports.items()}
    expected = {
        name: DIFFERENT[name][0] if name in DIFFERENT else BY_THE_LIBRARY[observed]
        for name, (observed, _) in reports.items()
    }
    assert told == expected


def test_every_difference_is_one(reports: dict[str, tuple[str, Report]]) -> None:
    for name, (verdict, why) in DIFFERENT.items():
        assert verdict != BY_THE_LIBRARY[reports[name][0]], name
        assert why


def test_the_input_that_was_changed_is_named(reports: dict[str, tuple[str, Report]]) -> None:
    manifest = reports["66baccd7_CACAE-uri-CA.jpg"][1].layers["manifest"]
    assert "ingredient:assertion.hashedURI.mismatch" in manifest["failures"]
    assert "invalid" in {one["state"] for one in manifest["ingredients"]}


def test_persons_are_not_repeated(reports: dict[str, tuple[str, Report]]) -> None:
    """The identity assertions of these files name people and accounts; the control finds them in the file."""
    for name in ("d17c8bf6_adobe_connected_identities.jpg", "fa0b257c_C_with_CAWG_data.jpg"):
        report = json.dumps(asdict(reports[name][1]))
        assert "cawg.identity" not in report
        for word in ("verifiedIdentities", "username", "linkedin", "instagram", "author"):
            assert word not in report


def test_reports_are_clean_and_bounded(reports: dict[str, tuple[str, Report]]) -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for one in value.values() for text in texts(one)]
        if isinstance(value, list | tuple):
            return [text for one in value for text in texts(one)]
        return [value] if isinstance(value, str) else []

    for _, report in reports.values():
        said = texts(asdict(report))
        assert all(text.isprintable() and len(text) <= 1200 for text in said)
