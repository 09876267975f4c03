from __future__ import annotations

from pathlib import Path

import pytest

from core.blobs import LocalBlobs
from core.errors import NotFound


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def filled(folder: Path, content: bytes = b"x") -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


def test_a_file_is_private_until_it_is_published(blobs: LocalBlobs, tmp_path: Path) -> None:
    blobs.put("private", "jobs/a/1/f.mp4", filled(tmp_path, b"film"))
    with pytest.raises(NotFound):
        blobs.path("public", "jobs/a/1/f.mp4")
    for _ in range(2):
        blobs.publish("jobs/a/1/f.mp4", "clips/a.mp4")
    assert blobs.path("public", "clips/a.mp4").read_bytes() == b"film"
    assert blobs.path("private", "jobs/a/1/f.mp4").read_bytes() == b"film"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "", "a//b", ".hidden", "a/.git", "a\0b", "a\\b"]
)
def test_no_name_leads_out(blobs: LocalBlobs, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        blobs.put("private", name, filled(tmp_path))
    with pytest.raises(NotFound):
        blobs.path("private", name)
