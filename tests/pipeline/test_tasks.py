from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.clock import milliseconds
from core.errors import BadInput
from core.state import State
from core.store import move
from pipeline import tasks
from pipeline.intake import Ask, submit
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools

ROOT = Path(__file__).resolve().parents[2]


def test_importing_needs_no_settings_and_opens_nothing(tmp_path: Path) -> None:
    broken = {
        "GREENLIGHT_PORT": "none",
        "GREENLIGHT_DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
    }
    code = "import pipeline.tasks as t; assert not t.app.configured"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | broken, check=True)
    assert not list(tmp_path.iterdir())


def test_no_broker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENLIGHT_BROKER_URL", "")
    with pytest.raises(BadInput, match="GREENLIGHT_BROKER_URL"):
        tasks._configuration()


def test_messages_are_json_and_acknowledged_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENLIGHT_BROKER_URL", "redis://127.0.0.1:6379/0")
    found = tasks._configuration()
    assert found["broker_url"] == "redis://127.0.0.1:6379/0"
    assert found["accept_content"] == ["json"]
    assert found["task_acks_late"] is False
    assert {entry["task"] for entry in found["beat_schedule"].values()} == {
        "greenlight.relay",
        "greenlight.sweep",
        "greenlight.retention",
    }


def test_only_rendering_with_a_model_wants_a_gpu(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = make_tools(tmp_path, clock)
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", engine="diffusion_video"))
        session.commit()
    assert tasks.queue_of(tools, job.id) == "cpu"
    with tools.store.session() as session:
        move(session, job.id, State.RECEIVED, State.ADMITTED, now_ms=milliseconds(clock.now()))
        session.commit()
    assert tasks.queue_of(tools, job.id) == "gpu"
    monkeypatch.setattr(tasks, "GPU_ENGINES", set())
    assert tasks.queue_of(tools, job.id) == "cpu"
    # A hint about nothing must not stand in the way of the others.
    assert tasks.queue_of(tools, "clip_none") == "cpu"
