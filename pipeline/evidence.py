"""Evidence for a reviewer's eyes and ears, cut from the mezzanine of a held clip."""

from __future__ import annotations

import io
import wave

import cv2
import numpy as np
from sqlmodel import col, select

from core.errors import NotFound
from core.media.read import frames, whole_sound
from core.tables import Job, Ruling
from pipeline.tools import Tools

_RATE = 16_000
_GREEN = (40, 220, 60)
MAX_SECONDS = 60.0


def frame_png(tools: Tools, job: Job, number: int) -> bytes:
    """Draw the boxes of the matches at frame `number` into it, as PNG."""
    path = tools.blobs.path("private", str(job.mezzanine))
    frame = next(iter(frames(path, want=lambda index: index == number)), None)
    if frame is None:
        raise NotFound("The clip has no such frame.")
    picture = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
    for x, y, width, height in _boxes(tools, job, number):
        cv2.rectangle(picture, (x, y), (x + width, y + height), _GREEN, 2)
    coded, content = cv2.imencode(".png", picture)
    if not coded:
        raise NotFound("The frame cannot be shown.")
    return content.tobytes()


def voice_wav(tools: Tools, job: Job, start: float, end: float) -> bytes:
    """Cut the seconds from `start` to `end` out of the sound, as 16 kHz mono WAV."""
    sound = whole_sound(tools.blobs.path("private", str(job.mezzanine)), rate=_RATE, mono=True)[:, 0]
    end = min(end, start + MAX_SECONDS)
    part = sound[int(max(start, 0) * _RATE) : int(max(end, 0) * _RATE)]
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((np.clip(part, -1, 1) * 32767).astype("<i2").tobytes())
    return content.getvalue()


def _boxes(tools: Tools, job: Job, number: int) -> list[list[int]]:
    with tools.store.reading() as session:
        ruled = (
            select(Ruling)
            .where(Ruling.job == job.id, Ruling.stage == "screen")
            .order_by(col(Ruling.id).desc())
        )
        ruling = session.exec(ruled).first()
    matches = ruling.decision["facts"].get("matches", []) if ruling else []
    return [match["box"] for match in matches if match["frame"] == number and match["box"]]
