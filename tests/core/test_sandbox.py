from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import BadMedia, BadPrompt, TimedOut
from core.media import sandbox
from core.media.sandbox import Cage
from core.media.write import Delivery

ROOT = Path(__file__).resolve().parents[2]
SELF = "tests.core.test_sandbox"
CAGE = Cage(memory_mib=1000, seconds=8)


def echo(value: Any) -> Any:
    return value


def own_error() -> None:
    raise BadPrompt("say it better")


def foreign_error() -> None:
    raise ZeroDivisionError


def eat_memory() -> int:
    return len(bytearray(1200 << 20))


def burn() -> None:
    while True:
        pass


def sleep_long() -> None:
    time.sleep(60)


def die() -> None:
    os.abort()


def talk_without_end() -> None:
    while True:
        os.write(1, b"x" * (1 << 20))
        os.write(3, b"x" * (1 << 20))


def not_a_number() -> float:
    return float("nan")


def write_big(into: str) -> None:
    with Path(into).open("wb") as file:
        file.write(b"x" * (2 << 20))


def environment() -> dict[str, str]:
    return dict(os.environ)


def test_answers_and_our_own_errors_come_back() -> None:
    assert sandbox.run(f"{SELF}:echo", {"value": {"a": [1, "ü"]}}, cage=CAGE) == {"a": [1, "ü"]}
    with pytest.raises(BadPrompt, match="say it better"):
        sandbox.run(f"{SELF}:own_error", {}, cage=CAGE)


@pytest.mark.parametrize("function", ["foreign_error", "eat_memory", "die"])
def test_a_child_that_breaks_is_bad_media(function: str) -> None:
    with pytest.raises(BadMedia):
        sandbox.run(f"{SELF}:{function}", {}, cage=CAGE)


@pytest.mark.parametrize("function", ["talk_without_end", "not_a_number"])
def test_a_child_that_was_taken_over_cannot_fill_the_memory_of_its_parent(function: str) -> None:
    with pytest.raises(BadMedia):
        sandbox.run(f"{SELF}:{function}", {}, cage=CAGE)


def test_without_the_limit_the_same_memory_is_had() -> None:
    roomy = Cage(memory_mib=3000, seconds=20)
    assert sandbox.run(f"{SELF}:eat_memory", {}, cage=roomy) == 1200 << 20


def test_a_child_that_burns_or_sleeps_is_ended() -> None:
    cage = Cage(memory_mib=3000, seconds=1)
    with pytest.raises((BadMedia, TimedOut)):
        sandbox.run(f"{SELF}:burn", {}, cage=cage)
    with pytest.raises(TimedOut):
        sandbox.run(f"{SELF}:sleep_long", {}, cage=cage)


def test_a_child_cannot_fill_the_disk(tmp_path: Path) -> None:
    into = tmp_path / "big"
    with pytest.raises(BadMedia):
        sandbox.run(
            f"{SELF}:write_big", {"into": str(into)}, cage=Cage(seconds=4, file_mib=1), writable=[tmp_path]
        )
    assert not into.exists() or into.stat().st_size <= 1 << 20


def test_a_child_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENLIGHT_SECRET", "x")
    assert "GREENLIGHT_SECRET" not in sandbox.run(f"{SELF}:environment", {}, cage=CAGE)


def read_text(path: str) -> str:
    return Path(path).read_text()


def reach(port: int) -> int:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port))


bubblewrapped = pytest.mark.skipif(sandbox.kind() != "bubblewrap", reason="bubblewrap is not installed here")


@bubblewrapped
def test_a_child_sees_no_other_file(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.write_text("read me")
    other.write_text("a key")
    for path in (other, Path("/etc/passwd"), ROOT / "pyproject.toml"):
        with pytest.raises(BadMedia, match="FileNotFoundError"):
            sandbox.run(f"{SELF}:read_text", {"path": str(path)}, cage=CAGE, readable=[mine])
    assert sandbox.run(f"{SELF}:read_text", {"path": str(mine)}, cage=CAGE, readable=[mine]) == "read me"


@bubblewrapped
def test_a_child_has_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reach(port) == 0
        assert sandbox.run(f"{SELF}:reach", {"port": port}, cage=CAGE) != 0


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "in.mp4"
    with Delivery(path, width=64, height=48, fps=12, rate=8000, channels=1) as writer:
        writer.sound(np.zeros((8000, 1), np.float32))
        for _ in range(12):
            writer.frame(np.full((48, 64, 3), 90, np.uint8))
    return path


def ingest(name: str, source: Path, into: Path, *, max_mib: int = 10, max_seconds: float = 20) -> Any:
    arguments = {"source": str(source), "into": str(into), "max_mib": max_mib, "max_seconds": max_seconds}
    return sandbox.run(
        f"core.media.ingest:{name}", arguments, cage=Cage(), readable=[source], writable=[into.parent]
    )


def test_a_video_is_taken_in(video: Path, tmp_path: Path) -> None:
    about = ingest("ingest_video", video, tmp_path / "out.mkv")
    assert about == {"seconds": pytest.approx(1.0, abs=0.2), "width": 64, "height": 48, "sound": True}
    assert (tmp_path / "out.mkv").stat().st_size > 0


@pytest.mark.parametrize("keep", [0, 40, 400, 900])
def test_a_cut_video_leaves_nothing(video: Path, tmp_path: Path, keep: int) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:keep])
    with pytest.raises(BadMedia):
        ingest("ingest_video", cut, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


def test_a_header_that_claims_ten_hours_is_refused(video: Path, tmp_path: Path) -> None:
    content = bytearray(video.read_bytes())
    at = content.index(b"stts") + 12
    delta = int.from_bytes(content[at + 4 : at + 8], "big")
    content[at + 4 : at + 8] = (36_000 * delta).to_bytes(4, "big")
    long = tmp_path / "long.mp4"
    long.write_bytes(content)
    with pytest.raises(BadMedia, match="at most 20 s"):
        ingest("ingest_video", long, tmp_path / "out.mkv")


def test_a_picture_bomb_is_refused(tmp_path: Path) -> None:
    import struct
    import zlib

    side = 40_000
    rows = zlib.compressobj(9)
    idat = b"".join(rows.compress(b"\0" * (side + 1)) for _ in range(side)) + rows.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", idat) + chunk(b"IEND", b""))
    with pytest.raises(BadMedia):
        ingest("ingest_picture", bomb, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
