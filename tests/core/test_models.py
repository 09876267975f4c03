from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ModelMissing
from core.models import checked, converted, downloaded_file, file_sha256, keep, kept, registry, wheel_file

FILE = "thing.onnx"


def test_every_entry_says_what_it_is() -> None:
    assert registry()
    for name, entry in registry().items():
        assert entry.name == name
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert entry.bytes > 0
        assert all((entry.licence, entry.source, entry.used_for))
        assert entry.origin in {"wheel", "download"}
        if entry.origin == "wheel":
            assert entry.package
            assert entry.member
        else:
            assert re.fullmatch(r"https://\S+/[\w.\-]+", entry.url)


@pytest.mark.parametrize("name", [name for name, entry in registry().items() if entry.origin == "wheel"])
def test_every_model_in_a_wheel_is_found_and_has_the_size_it_should(name: str) -> None:
    path = wheel_file(name)
    assert path.stat().st_size == registry()[name].bytes
    assert file_sha256(path) == registry()[name].sha256


def test_a_model_without_its_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelMissing, match="is not installed"):
        wheel_file("silero-vad")


def test_a_download_is_found_by_its_url_and_checked(tmp_path: Path) -> None:
    name, entry = next((name, entry) for name, entry in registry().items() if entry.origin == "download")
    with pytest.raises(ModelMissing, match="models pull"):
        downloaded_file(name, tmp_path)
    (tmp_path / Path(entry.url).name).write_bytes(b"other")
    with pytest.raises(ModelMissing, match="pull it again"):
        downloaded_file(name, tmp_path)


def test_only_the_right_bytes_pass(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"right")
    digest = hashlib.sha256(b"right").hexdigest()
    assert checked(path, digest, "thing") == path
    for wrong in (digest.upper(), digest[:-1], "", "0" * 64):
        with pytest.raises(ModelMissing, match="pull it again"):
            checked(path, wrong, "thing")
    with pytest.raises(ModelMissing, match="is missing"):
        checked(tmp_path, digest, "thing")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=64), source=st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_is_kept_is_found_again(tmp_path: Path, content: bytes, source: str) -> None:
    model = keep(tmp_path / "models", FILE, content, source)
    path, found = converted(tmp_path / "models", FILE, source)
    assert (path.read_bytes(), found) == (content, model)
    assert kept(tmp_path / "models", FILE, source) == model
    assert kept(tmp_path / "models", FILE, f"{source} and more") is None
    with pytest.raises(ModelMissing, match="another version of Greenlight; run"):
        converted(tmp_path / "models", FILE, f"{source} and more")
    assert {file.name for file in path.parent.iterdir()} == {FILE, f"{FILE}.json"}


def test_a_crash_between_the_file_and_its_note_leaves_it_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", crash)
        with pytest.raises(KeyboardInterrupt):
            keep(tmp_path, FILE, b"content", "source")
    assert (tmp_path / FILE).read_bytes() == b"content"
    with pytest.raises(ModelMissing, match="has not been made yet"):
        converted(tmp_path, FILE, "source")
    assert kept(tmp_path, FILE, "source") is None
    model = keep(tmp_path, FILE, b"content", "source")
    assert converted(tmp_path, FILE, "source")[1] == model


def test_a_crash_while_making_it_anew_never_passes_off_one_as_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, FILE, b"old", "source")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", crash)
        with pytest.raises(KeyboardInterrupt):
            keep(tmp_path, FILE, b"new", "source")
    with pytest.raises(ModelMissing, match="digest"):
        converted(tmp_path, FILE, "source")


WHOLE = {"sha256": hashlib.sha256(b"content").hexdigest(), "made_from": "source"}


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"7",
        b"[" * 5000,
        json.dumps({"sha256": WHOLE["sha256"]}).encode(),
        json.dumps({"made_from": "source"}).encode(),
        json.dumps(WHOLE | {"sha256": 7}).encode(),
        json.dumps(WHOLE | {"sha256": None}).encode(),
    ],
)
def test_a_corrupt_note_means_that_the_model_is_missing(tmp_path: Path, note: bytes) -> None:
    keep(tmp_path, FILE, b"content", "source")
    converted(tmp_path, FILE, "source")
    (tmp_path / f"{FILE}.json").write_bytes(note)
    with pytest.raises(ModelMissing, match="pull it again"):
        converted(tmp_path, FILE, "source")
    assert kept(tmp_path, FILE, "source") is None
