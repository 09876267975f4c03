"""Work on single files: the watermarks alone, the manifest alone, what the detectors find, and `verify`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from core.clock import iso, milliseconds
from core.errors import BadInput
from core.finding import Finding
from core.media.clip import Clip
from core.media.probe import probe
from core.media.read import frames, greys, sound, whole_sound
from core.tables import Job
from pipeline import rulings
from pipeline.screening import Sighting, needed_detectors, sightings
from pipeline.tools import Tools
from pipeline.verification import report_json
from provenance.labels import NO_LABELS
from provenance.manifest import Claim, Parent, medium, read
from provenance.mark import Marked
from provenance.mark import mark as mark_clip
from provenance.mark_sound import mark_sound
from provenance.marks import MarkReading, audio, video
from provenance.perceive import LOOKS_PER_SECOND

In = Annotated[Path, typer.Argument(help="The file to read; it is never changed.")]
Out = Annotated[Path, typer.Argument(help="The file to write; it appears whole or not at all.")]
_GOOD = {"verified", "recovered"}
_FOUND = ("kind", "identity", "score", "threshold", "start", "end")
_FOUND_OF = {"likeness": ("box", "frame", "quality"), "voice": ("probability", "snr_db", "view")}


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(verify)
    app.command()(screen)
    app.command()(mark)
    app.command()(detect)
    app.command()(sign)


def verify(file: In, as_json: Json = False) -> None:
    """Say whether a file came from here; exit 0 when verified or recovered, 1 otherwise."""
    with told():
        report = local.open_tools().verify_untrusted(local.existing(file))
    value = report_json(report)
    answer(value, report_text(value), as_json=as_json)
    raise typer.Exit(Exit.GOOD if report.verdict in _GOOD else Exit.REFUSED)


def report_text(report: dict[str, Any]) -> str:
    """Write a verification report for a person to read."""
    colour = (
        "green"
        if report["verdict"] in _GOOD
        else "red"
        if report["verdict"] in {"tampered", "conflict"}
        else "yellow"
    )
    lines = [f"[bold {colour}]{report['verdict']}[/]", *(f"  {reason}" for reason in report["reasons"])]
    layers = report["layers"]
    manifest = layers["manifest"]
    lines.append(
        f"  manifest: {manifest['state']}"
        + (f", signed by {manifest['issuer']}" if manifest["issuer"] else "")
    )
    for name, title in (("video_mark", "picture mark"), ("audio_mark", "sound mark")):
        found = layers[name]
        if found is not None:
            said = (
                f"id {found['payload']}, false with p ≤ {found['p_false']:.1e}"
                if found["found"]
                else "not found"
            )
            lines.append(f"  {title}: {said}")
    if layers["fingerprint"]:
        lines.append(f"  fingerprint: similarity {layers['fingerprint']['score']:.2f}")
    if layers["record"]:
        lines.append(f"  record: {layers['record']['id']}, released {layers['record']['released_at']}")
    if layers["log"]:
        proof = layers["log"]
        lines.append(
            f"  log: entry {proof['index']} of {proof['size']} {'included' if proof['included'] else 'NOT included'}"
        )
    return "\n".join(lines)


def screen(file: In, as_json: Json = False) -> None:
    """Say which protected people the detectors find; exit 1 when anybody, 3 when a detector is missing."""
    with told():
        tools = local.open_tools()
        clip = probe(local.existing(file))
        needed = needed_detectors(clip)
        used = [detector for detector in tools.detectors if detector.name in needed]
        seen = sightings(used, clip, tools.settings.screen_seconds)
        value = _screening(seen) | {"decision": _decided(tools, clip, seen)}
    answer(value, _screening_text(value), as_json=as_json)
    broken = any(sighting.status != "ok" for sighting in seen)
    alike = value["findings"] or value["decision"] != "allow"
    raise typer.Exit(Exit.BROKEN if broken else Exit.REFUSED if alike else Exit.GOOD)


def _screening(seen: list[Sighting]) -> dict[str, Any]:
    screenings = [sighting.screening for sighting in seen if sighting.screening is not None]
    problems = [sighting.detail for sighting in seen if sighting.status != "ok"]
    return {
        "findings": [_finding(finding) for screening in screenings for finding in screening.findings],
        "unassessable": [asdict(thing) for screening in screenings for thing in screening.unassessable],
        "tracks": sum(screening.tracks for screening in screenings),
        "turns": [asdict(turn) for screening in screenings for turn in screening.turns],
        "notes": [note for screening in screenings for note in screening.notes],
        "tier": "+".join(dict.fromkeys(sighting.tier for sighting in seen)),
        "models": [asdict(model) for screening in screenings for model in screening.models],
    } | ({"problems": problems} if problems else {})


def _finding(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in (*_FOUND, *_FOUND_OF[finding.kind])}


def _decided(tools: Tools, clip: Clip, seen: list[Sighting]) -> str:
    """Decide as if the operator had asked for this clip."""
    ask = {"picture": clip.video is not None, "sound": clip.audio is not None, "engine": ""}
    job = Job(id="", partner=local.LOCAL_PARTNER, kind="generation", prompt="", ask=ask, state="", payload="")
    with tools.store.reading() as session:
        facts = rulings.screen_facts(session, job, clip, seen, now_ms=milliseconds(tools.clock.now()))
    return rulings.never_blind(tools.pack.decide("screen", facts), seen, needed_detectors(clip)).outcome


def _screening_text(value: dict[str, Any]) -> str:
    lines = [
        f"{item['kind']} of {item['identity']} from {item['start']:.2f} to {item['end']:.2f} s, "
        f"score {item['score']:.3f} against {item['threshold']:.3f}"
        for item in value["findings"]
    ]
    lines += [f"unassessable {item['kind']}: {item['why']}" for item in value["unassessable"]]
    lines += [f"[red]{escape(problem)}[/red]" for problem in value.get("problems", ())]
    return "\n".join(lines) or f"{value['tracks']} tracks, nobody who is protected."


def mark(
    file: In,
    out: Out,
    payload: Annotated[str, typer.Option(help="The 64-bit id, 16 hex digits.")],
    only_audio: Annotated[
        bool,
        typer.Option("--audio-only", help="The sound alone, as WAV, FLAC, MP3 or M4A; a picture is copied."),
    ] = False,
    only_video: Annotated[bool, typer.Option("--video-only", help="Leave the sound unmarked.")] = False,
    as_json: Json = False,
) -> None:
    """Embed the watermarks and encode the file for delivery, without manifest or record."""
    with told():
        if len(payload) != 16 or not set(payload) <= set("0123456789abcdefABCDEF"):
            raise BadInput("The payload is 16 hex digits.")
        tools = local.open_tools()
        clip = probe(local.existing(file))
        if only_audio or (clip.video is None and out.suffix in {".wav", ".flac", ".mp3"}):
            mark_sound(clip, _new(file, out), int(payload, 16), tools.ring.marking())
            answer(
                {"out": str(out), "video": False, "audio": True, "notes": []},
                f"{out}: sound",
                as_json=as_json,
            )
            return
        if only_video:
            marked = _picture_marked(tools, clip, _new(file, out), int(payload, 16))
        else:
            marked = tools.mark(clip, _new(file, out), int(payload, 16), NO_LABELS)
    value = {"out": str(out), "video": marked.video, "audio": marked.audio, "notes": list(marked.notes)}
    answer(
        value,
        f"{out}: picture {marked.video}, sound {marked.audio} {' '.join(marked.notes)}",
        as_json=as_json,
    )


def _picture_marked(tools: Tools, clip: Clip, out: Path, payload: int) -> Marked:
    if clip.video is None:
        raise BadInput("The file has no picture to mark.")
    settings = tools.settings
    return mark_clip(
        clip,
        out,
        payload,
        tools.ring.marking(),
        crf=settings.delivery_crf,
        preset=settings.delivery_preset,
        sound=False,
    )


def detect(
    file: In,
    only_video: Annotated[bool, typer.Option("--video", help="The picture's mark only.")] = False,
    only_audio: Annotated[bool, typer.Option("--audio", help="The sound's mark only.")] = False,
    as_json: Json = False,
) -> None:
    """Read the watermarks; exit 1 when none is found."""
    with told():
        tools = local.open_tools()
        clip = probe(local.existing(file))
        value: dict[str, Any] = {}
        if clip.video and not only_audio:
            value["video"] = _timed(
                lambda: video.detect(greys(file, per_second=LOOKS_PER_SECOND), tools.ring.detecting())
            )
        if clip.audio and not only_video:
            rate = clip.audio.rate
            value["audio"] = _heard(
                _timed(lambda: audio.detect_long(sound(file), rate, tools.ring.detecting()))
            )
    lines = [
        f"{track}: {found['payload'] or 'not found'} (p ≤ {found['p_false']:.1e})"
        for track, found in value.items()
    ]
    answer(value, "\n".join(lines) or "The file has no such track.", as_json=as_json)
    raise typer.Exit(Exit.GOOD if any(found["found"] for found in value.values()) else Exit.REFUSED)


def _heard(found: dict[str, Any]) -> dict[str, Any]:
    """Say how many bits were read, and how the sound was bent, without nesting."""
    bent = found.pop("geometry") or {"stretch": 1.0, "speed": 1.0}
    return found | {"bits": 64 if found["found"] else 0, **bent}


def _timed(read: Any) -> dict[str, Any]:
    start = time.perf_counter()
    reading: MarkReading = read()
    found = asdict(reading)
    found["payload"] = None if reading.payload is None else f"{reading.payload:016x}"
    return found | {"elapsed_s": round(time.perf_counter() - start, 3)}


def sign(file: In, out: Out, as_json: Json = False) -> None:
    """Embed a C2PA manifest that says an AI system made this; a manifest the file has is kept as its history."""
    with told():
        tools = local.open_tools()
        signed = tools.sign(local.existing(file), _new(file, out), _claim(tools, file, out.name))
    answer({"out": str(out), "manifest": signed.label}, f"{out}: {signed.label}", as_json=as_json)


def _claim(tools: Tools, file: Path, title: str) -> Claim:
    mime = medium(file).mime
    clip = None if mime.startswith("image/") else probe(file)
    payloads = _payloads(tools, clip) if clip else {}
    if len(set(payloads.values())) > 1:
        raise BadInput("Picture and sound carry different ids.")
    has_history = read(file, "").state != "none"
    return Claim(
        title=title,
        mime=mime,
        engine="not stated",
        engine_version="0",
        source="composite" if has_history else "created",
        payload=next(iter(payloads.values()), 0),
        duration_ms=round(clip.seconds * 1000) if clip else 0,
        record="none",
        when=iso(milliseconds(tools.clock.now())),
        generator_version=tools.version,
        video="video" in payloads,
        audio="audio" in payloads,
        parent=Parent(file, mime) if has_history else None,
    )


def _payloads(tools: Tools, clip: Clip) -> dict[str, int]:
    found = [video.detect(frames(clip.path), tools.ring.detecting(), thorough=False)] if clip.video else []
    if clip.audio:
        samples = whole_sound(clip.path)
        found.append(audio.detect(samples, clip.audio.rate, tools.ring.detecting(), thorough=False))
    return {reading.track: reading.payload for reading in found if reading.payload is not None}


def _new(file: Path, out: Path) -> Path:
    if out.exists() and out.samefile(file):
        raise BadInput("OUT must be another file than IN.")
    return out


def write_json(path: Path, value: Any) -> Path:
    """Write JSON for people to open."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
    return path
