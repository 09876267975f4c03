"""A blinded page for people: two films side by side, one of them marked; which one is it?

`python -m audits.preemptive.viewing CLIPS OUT` writes the page, the films and `key.json`, which tells the marked one
of each pair: keep it away from whoever judges. Judgements near one half mean that nobody can tell.
"""

from __future__ import annotations

import argparse
import html
import json
import secrets
from itertools import islice
from pathlib import Path

import numpy as np

from core.media.probe import probe
from core.media.read import frames
from core.media.write import Delivery
from provenance.marks import MarkKey, video

_SECONDS = 5.0
_CRF = 14
"""High enough that the encode hides neither the mark nor its absence."""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Which one is marked?</title>
<style>body{{font:16px system-ui;margin:2rem;background:#808080;color:#000}}video{{width:48%}}fieldset{{border:0}}</style>
<h1>Which one is marked?</h1>
<p>Watch as long and as closely as you like. Copy the last line when you are done.</p>
<form>{pairs}</form><p><output></output></p>
<script>
const form=document.forms[0],out=document.querySelector("output");
form.onchange=()=>out.textContent=JSON.stringify(Object.fromEntries(new FormData(form)));
document.querySelectorAll("button").forEach(b=>b.onclick=e=>{{e.preventDefault();
b.parentNode.querySelectorAll("video").forEach(v=>{{v.currentTime=0;v.play()}})}});
</script></html>
"""
_PAIR = """<fieldset><legend>{name}</legend>
<video src="{name}-A.mp4" loop muted controls></video> <video src="{name}-B.mp4" loop muted controls></video>
<button>both from the start</button>
<label><input type="radio" name="{name}" value="A"> the left one</label>
<label><input type="radio" name="{name}" value="B"> the right one</label>
<label><input type="radio" name="{name}" value="?"> cannot tell</label></fieldset>
"""


def viewing(clips: Path, out: Path, seed: int) -> Path:
    """Write the page for the first seconds of every clip of a folder and return where it is."""
    dice = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    marked = {}
    sources = sorted(path for path in clips.iterdir() if path.suffix in {".mp4", ".mkv", ".mov"})
    for number, source in enumerate(sources):
        name = f"pair-{number + 1}"
        marked[name] = "AB"[int(dice.integers(2))]
        for side in "AB":
            _film(source, out / f"{name}-{side}.mp4", dice.bytes(40) if side == marked[name] else None)
    (out / "key.json").write_text(json.dumps(marked, indent=2) + "\n")
    page = out / "index.html"
    page.write_text(_PAGE.format(pairs="".join(_PAIR.format(name=html.escape(name)) for name in marked)))
    return page


def _film(source: Path, into: Path, drawn: bytes | None) -> None:
    """Write some seconds of a clip, with a mark where bytes for its key and payload are given."""
    track = probe(source).video
    assert track is not None
    mark = None
    if drawn is not None:
        key, payload = MarkKey("viewing", drawn[:32]), int.from_bytes(drawn[32:], "big")
        mark = video.embedder(key, payload, width=track.width, height=track.height, fps=float(track.fps))
    with Delivery(into, width=track.width, height=track.height, fps=track.fps, crf=_CRF) as out:
        for frame in islice(frames(source), round(_SECONDS * track.fps)):
            out.frame(mark(frame.rgb) if mark else frame.rgb)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=None)
    told = parser.parse_args()
    seed = secrets.randbits(64) if told.seed is None else told.seed
    print(viewing(told.clips, told.out, seed))  # noqa: T201


if __name__ == "__main__":
    main()
