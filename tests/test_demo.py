"""The demo, run as a newcomer runs it: every scene must come out as the README says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_demo_shows_the_gate_holding(tmp_path: Path) -> None:
    code = "from api.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    def left(name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((tmp_path / f"{name}.json").read_text())
        return found

    assert left("clean.verify")["verdict"] == "verified"
    assert left("clean.stripped.verify")["verdict"] == "recovered"
    assert left("forbidden.explanation")["state"] == "refused"
    assert left("protected.held.explanation")["state"] == "held"
    held = str(left("protected.held.explanation"))
    assert "likeness_without_consent" in held
    assert "voice_without_consent" in held
    assert left("protected.approved.receipt")["reviews"]
    consented = left("protected.consented.receipt")
    assert consented["reviews"] == []
    assert consented["consents"]
    checked = left("log.check")
    assert (checked["before"], checked["after"], len(str(checked["entries"])) > 2) == (True, False, True)
    assert str(tmp_path / "clean.mp4") in done.stdout
