"""What is no media is turned away with a clear word, and nothing of it stays."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from api.app import DECODERS
from api.uploads import Decoders
from core.errors import BadMedia, TooMany
from core.media.write import Delivery
from core.tables import Upload
from tests.api.world import World, make_world
from tests.conftest import ManualClock


@cache
def png() -> bytes:
    return cv2.imencode(".png", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("media") / "a.mp4"
    with Delivery(path, width=64, height=48, fps=12, rate=8000, channels=1) as writer:
        writer.sound(np.zeros((8000, 1), np.float32))
        for _ in range(12):
            writer.frame(np.full((48, 64, 3), 90, np.uint8))
    return path.read_bytes()


def ten_hours(mp4: bytes) -> bytes:
    content = bytearray(mp4)
    at = content.index(b"stts") + 12
    delta = int.from_bytes(content[at + 4 : at + 8], "big")
    content[at + 4 : at + 8] = (36_000 * delta).to_bytes(4, "big")
    return bytes(content)


def no_frames(mp4: bytes) -> bytes:
    """The same file with every table of samples emptied."""
    content = bytearray(mp4)
    for table, at in ((b"stsz", 12), (b"stts", 8), (b"stsc", 8), (b"stco", 8)):
        start = 0
        while (start := content.find(table, start)) >= 0:
            content[start + at : start + at + 4] = bytes(4)
            start += 4
    return bytes(content)


def bomb(_mp4: bytes) -> bytes:
    side = 12_000
    rows = zlib.compressobj(1)
    idat = b"".join(rows.compress(b"\0" * (side + 1)) for _ in range(side)) + rows.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


BAD: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty": ("video", lambda _mp4: b""),
    "text": ("video", lambda _mp4: b"hello" * 100),
    "half a video": ("video", lambda mp4: mp4[: len(mp4) // 2]),
    "a playlist": ("video", lambda _mp4: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
    "a concat list": ("video", lambda _mp4: b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
    "ten hours": ("video", ten_hours),
    "no frames": ("video", no_frames),
    "a picture as a video": ("video", lambda _mp4: png()),
    "a picture as a voice": ("voice", lambda _mp4: png()),
    "a video as a picture": ("picture", lambda mp4: mp4),
    "half a picture": ("picture", lambda _mp4: png()[:30]),
    "a vector picture": ("picture", lambda _mp4: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "a picture bomb": ("picture", bomb),
}


def _post(world: World, kind: str, content: bytes, name: str = "../../a.mp4") -> Any:
    return world.client.post(
        "/v1/uploads",
        data={"kind": kind},
        files={"file": (name, content, "video/mp4")},
        headers=world.acme,
    )


@pytest.mark.parametrize(("kind", "make"), BAD.values(), ids=BAD)
def test_a_bad_file_leaves_nothing(
    world: World, mp4: bytes, kind: str, make: Callable[[bytes], bytes]
) -> None:
    before = world.contents()
    answer = _post(world, kind, make(mp4))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_media"), answer.text
    assert str(world.folder) not in answer.text
    assert world.contents() == before
    assert list((world.folder / "scratch").iterdir()) == []


@pytest.mark.parametrize("kind", ["video", "voice", "picture"])
def test_a_good_file_is_kept_in_our_own_form(world: World, mp4: bytes, kind: str) -> None:
    answer = _post(world, kind, png() if kind == "picture" else mp4)
    assert answer.status_code == 201, answer.text
    (row,) = world.rows(Upload)
    assert answer.json()["id"] == row.id
    kept = [path for path in world.folder.rglob("*") if path.is_file() and row.id in path.name]
    assert len(kept) == (2 if kind == "video" else 1)
    assert all(path.parent == world.folder / "blobs" / "private" / "uploads" for path in kept)
    assert list((world.folder / "scratch").iterdir()) == []


def test_a_file_over_the_limit_is_refused(world: World, tmp_path: Path) -> None:
    from dataclasses import replace

    settings = world.tools.settings.model_copy(update={"max_upload_mib": 1})
    world.client.app.state.tools = replace(world.tools, settings=settings)
    before = world.contents()
    answer = _post(world, "video", bytes((1 << 20) + 1))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_media")
    assert world.contents() == before


def test_a_kind_there_is_not_is_refused(world: World) -> None:
    assert _post(world, "hologram", png()).json()["code"] == "bad_input"


def test_few_files_are_read_at_a_time_and_the_rest_is_asked_to_come_back() -> None:
    decoders = Decoders(2)
    with contextlib.ExitStack() as places:
        for _ in range(2):
            places.enter_context(decoders.one(wait_seconds=0))
        with pytest.raises(TooMany, match="try again"):
            places.enter_context(decoders.one(wait_seconds=0.01))
    with decoders.one(wait_seconds=0):
        pass


def test_a_place_is_free_again_after_a_bad_file() -> None:
    decoders = Decoders(1)
    for _ in range(3):
        with pytest.raises(BadMedia), decoders.one(wait_seconds=0):
            raise BadMedia


def test_the_verifier_says_that_it_is_busy(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.public._PATIENCE_SECONDS", 0.01)
    world = make_world(tmp_path, clock)
    files = {"file": ("a.mp4", b"x", "video/mp4")}
    decoders = world.client.app.state.decoders
    with contextlib.ExitStack() as places:
        for _ in range(DECODERS):
            places.enter_context(decoders.one(wait_seconds=0))
        busy = world.client.post("/v1/verify", files=files)
    assert (busy.status_code, busy.json()["code"]) == (429, "too_many")
    assert world.client.post("/v1/verify", files=files).status_code != 429
