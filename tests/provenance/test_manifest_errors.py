"""Whatever the C2PA library raises becomes an error of ours or a reading, and nothing is left behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from c2pa import Builder, C2paError, Reader

from core.errors import BadMedia, GreenlightError, KeyMissing, Unavailable
from provenance.keys import SigningKeys
from provenance.manifest import Claim, ManifestReading, Parent, read, sign
from tests.provenance.certificates import Root

EVERY = sorted(name for name, kind in vars(C2paError).items() if isinstance(kind, type))
SIGNING: dict[str, type[GreenlightError]] = {"Signature": KeyMissing, "NotSupported": BadMedia}
READING = {"ManifestNotFound": "none", "NotSupported": "none", "RemoteManifest": "none"}


def raising(name: str) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise getattr(C2paError, name)(f"{name}: out of the library")

    return fail


def test_the_library_has_the_errors_that_we_know() -> None:
    assert len(EVERY) >= 15


@pytest.mark.parametrize("name", EVERY)
def test_every_error_while_signing_is_ours(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Builder, "sign", raising(name))
    with pytest.raises(GreenlightError) as caught:
        sign(film, tmp_path / "out.mp4", claim, keys)
    assert type(caught.value) is SIGNING.get(name, Unavailable)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERY)
def test_every_error_while_taking_an_input_in_is_ours(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Builder, "add_ingredient", raising(name))
    with pytest.raises(BadMedia, match="cannot be kept"):
        sign(film, tmp_path / "out.mp4", replace(claim, parent=Parent(film, "video/mp4")), keys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERY)
def test_every_error_while_reading_is_a_reading(
    film: Path, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Reader, "json", raising(name))
    monkeypatch.setattr(Reader, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(Reader, "__enter__", lambda reader: reader)
    monkeypatch.setattr(Reader, "__exit__", lambda *_: None)
    monkeypatch.setattr(Reader, "__del__", lambda _: None)
    reading = read(film, keys.claim_roots_pem)
    assert isinstance(reading, ManifestReading)
    assert reading.state == READING.get(name, "malformed")


@pytest.mark.parametrize("fault", ["expired", "of tomorrow", "another key", "no purpose"])
def test_a_signer_that_does_not_count_signs_nothing(
    film: Path, tmp_path: Path, claim: Claim, fault: str
) -> None:
    root = Root()
    signers = {
        "expired": lambda: root.signer(timedelta(minutes=-5)),
        "of tomorrow": lambda: root.signer(timedelta(days=3), begins=timedelta(days=1)),
        "another key": lambda: replace(root.signer(), chain_pem=root.signer().chain_pem),
        "no purpose": lambda: root.signer(purposes=[]),
    }
    with pytest.raises(KeyMissing):
        sign(film, tmp_path / "out.mp4", claim, signers[fault]())
    assert list(tmp_path.iterdir()) == []
    sign(film, tmp_path / "out.mp4", claim, root.signer())
    assert read(tmp_path / "out.mp4", root.pem).state == "trusted", "the control"
