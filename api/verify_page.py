"""The public page: drop a file, read in words where it comes from. Plain HTML, no scripts, nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import HTMLResponse

from api.auth import FreeDecoders, GateTools
from api.console import answered
from api.public import verified

router = APIRouter(prefix="/verify", include_in_schema=False)

HEADLINES = {
    "verified": "This file came from here and was not changed.",
    "recovered": "This content came from here. Its proof of origin is gone, but we recognised it.",
    "tampered": "This file was changed after it was released.",
    "conflict": "The signs in this file contradict each other. Do not trust it.",
    "foreign": "This file was signed by somebody else, and nothing in it is ours.",
    "unknown": "No sign of origin was found. That proves nothing: signs can be removed.",
    "malformed": "This file cannot be examined.",
}
"""The answer in words, for each verdict."""

_TRACKS = {"video": "Picture", "audio": "Sound"}
_NAME_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Stretch:
    """A segment of a track on the timeline; `left` and `width` are percents of the whole."""

    finding: str
    technique: str
    start: float
    end: float
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """What one technique found along one track."""

    title: str
    stretches: tuple[Stretch, ...]


@router.get("", response_class=HTMLResponse)
def get_page(request: Request) -> Response:
    """Show the form."""
    return answered(request, "verify.html", 200, {})


@router.post("", response_class=HTMLResponse)
async def post_page(
    request: Request, tools: GateTools, decoders: FreeDecoders, file: Annotated[UploadFile, File()]
) -> Response:
    """Answer for one file; it is deleted before the answer is sent."""
    report = await verified(tools, decoders, file)
    shown = {
        "report": report,
        "name": _printable(file.filename or "The file"),
        "headline": HEADLINES[report["verdict"]],
        "lanes": lanes(report["segments"]),
    }
    return answered(request, "verify.html", 200, shown)


def problem_page(request: Request, status: int, message: str) -> Response:
    """Tell a person what went wrong, above the form to try again."""
    return answered(request, "verify.html", status, {"problem": message})


def lanes(segments: Sequence[dict[str, Any]]) -> list[Lane]:
    """Sort the segments of a report into lanes, one for each technique on each track."""
    whole = max((float(segment["end"]) for segment in segments), default=0.0) or 1.0
    found: dict[tuple[str, str], list[Stretch]] = {}
    for segment in segments:
        technique = segment.get("technique", "watermark")
        found.setdefault((segment["track"], technique), []).append(_stretch(segment, technique, whole))
    return [
        Lane(f"{_TRACKS[track]}, {technique}", tuple(stretches))
        for (track, technique), stretches in found.items()
    ]


def _stretch(segment: dict[str, Any], technique: str, whole: float) -> Stretch:
    start, end = float(segment["start"]), float(segment["end"])
    return Stretch(
        finding=segment["finding"],
        technique=technique,
        start=start,
        end=end,
        left=round(100 * start / whole, 2),
        width=round(100 * (end - start) / whole, 2),
    )


def _printable(name: str) -> str:
    base = Path(name.replace("\\", "/")).name[:_NAME_LENGTH]
    return "".join(char for char in base if char.isprintable()) or "The file"
