from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import BadMedia, TimedOut
from core.media import sandbox
from core.media.write import Delivery
from core.store import open_store
from pipeline import verification
from pipeline.finder import Finder
from pipeline.verification import Verifier, report_json
from provenance.readings import LogProof

CAGE = sandbox.Cage(memory_mib=4096, seconds=60)


def unasked(index: int) -> LogProof:
    raise AssertionError


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    store = open_store(f"sqlite:///{tmp_path / 'db.sqlite'}")
    ring: Any = SimpleNamespace(roots_pem=str, detecting=tuple, standing=lambda _name: None)
    return Verifier(ring=ring, tsa_roots_pem="", store=store, finder=Finder(store), prove=unasked, cage=CAGE)


def test_a_strangers_file_is_read_in_a_child(verifier: Verifier, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with Delivery(path, width=64, height=48, fps=8) as out:
        for index in range(8):
            out.frame(np.full((48, 64, 3), 20 * index, np.uint8))
    report = verifier.untrusted(path)
    assert report.verdict == "unknown"
    assert report.layers["manifest"]["state"] == "none"
    json.dumps(report_json(report), allow_nan=False)


@pytest.mark.parametrize(
    "answer",
    [
        BadMedia("Reading the file failed (the reader ended with -6)."),
        {},
        {"digest": 7},
        {"digest": "", "manifest": {"state": "wonderful"}, "media": {}},
        [],
        "verified",
    ],
)
def test_whatever_a_child_that_was_taken_over_says_is_a_verdict(
    verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    def run(*_: Any, **__: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(verification.sandbox, "run", run)
    (tmp_path / "file").write_bytes(b"x")
    report = verifier.untrusted(tmp_path / "file")
    assert report.verdict == "malformed"
    json.dumps(report_json(report))


def test_prints_that_are_none_do_no_harm(
    verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "digest": "x" * 64,
        "manifest": {"state": "none", "issuer": "A\x1b[31m\u202eB" * 500, "failures": ["\n" * 9] * 900},
        "media": {"media": True, "trouble": None, "seconds": 2.0, "video_print": "zz", "audio_print": "00"},
    }
    monkeypatch.setattr(verification.sandbox, "run", lambda *_, **__: said)
    (tmp_path / "file").write_bytes(b"x")
    report = verifier.untrusted(tmp_path / "file")
    assert report.verdict == "unknown"
    issuer = report.layers["manifest"]["issuer"]
    assert issuer.isprintable()
    assert len(issuer) <= 200
    assert len(report.layers["manifest"]["failures"]) == 64


def test_what_took_too_long_says_nothing_about_the_file(verifier: Verifier, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    hurried = replace(verifier, cage=sandbox.Cage(memory_mib=4096, seconds=0))
    with pytest.raises(TimedOut):
        hurried.untrusted(tmp_path / "file")
    with pytest.raises(BadMedia):
        verifier.untrusted(tmp_path / "nothing")
