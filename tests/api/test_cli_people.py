"""Enrolling and screening as the operator meets them, with the real face detector and an invented person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from core.media.write import Mezzanine
from generation.engines.persona import Persona, portrait

FACE = {"kind", "identity", "score", "threshold", "start", "end", "box", "frame", "quality"}
WHOLE = {"findings", "unassessable", "tracks", "tier", "models", "decision", "turns", "notes"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("installation")

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"GREENLIGHT_DATA_DIR": str(home)})

    call.home = home  # type: ignore[attr-defined]
    return call


def picture(path: Path, yaw: float) -> Path:
    cv2.imwrite(str(path), cv2.cvtColor(portrait(Persona(3), size=320, yaw=yaw), cv2.COLOR_RGB2BGR))
    return path


def test_a_face_is_enrolled_and_found_in_the_words_of_the_contract(run: Any, tmp_path: Path) -> None:
    good = [picture(tmp_path / f"{number}.png", yaw) for number, yaw in enumerate((-8.0, 0.0, 6.0))]
    grey, text = tmp_path / "grey.png", tmp_path / "text.png"
    cv2.imwrite(str(grey), np.full((200, 200, 3), 127, np.uint8))
    text.write_text("no picture")
    empty = run("enroll", "face", "Iris Vane", grey, text, "--json")
    assert empty.exit_code == 1
    told = json.loads(empty.stdout)
    assert (told["identity"], told["accepted"]) == (None, [])
    assert [one["file"] for one in told["refused"]] == [str(grey), str(text)]
    assert all(one["why"] for one in told["refused"])

    done = run("enroll", "face", "Iris Vane", *good, grey, text, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert set(told) == {"identity", "accepted", "refused"}
    assert told["accepted"] == [str(path) for path in good]
    assert {one["file"] for one in told["refused"]} == {str(grey), str(text)}
    assert not list((run.home / "blobs").rglob("*.png"))

    clip = tmp_path / "clip.mkv"
    with Mezzanine(clip, width=320, height=320, fps=4) as writer:
        for _ in range(4):
            writer.frame(portrait(Persona(3), size=320, yaw=2.0))
    seen = run("screen", clip, "--json")
    assert seen.exit_code == 1, seen.output
    value = json.loads(seen.stdout)
    assert set(value) == WHOLE
    assert (value["tier"], value["decision"], value["tracks"] > 0) == ("embedded", "hold", True)
    assert {set(model) == {"name", "sha256"} for model in value["models"]} == {True}
    (finding,) = value["findings"]
    assert set(finding) == FACE
    assert finding["identity"] == told["identity"]
    assert finding["score"] >= finding["threshold"]

    with Mezzanine(clip, width=320, height=320, fps=4) as writer:
        for _ in range(4):
            writer.frame(np.full((320, 320, 3), 90, np.uint8))
    control = run("screen", clip, "--json")
    assert (control.exit_code, json.loads(control.stdout)["findings"]) == (0, [])
