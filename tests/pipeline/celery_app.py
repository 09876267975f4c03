"""The application of `pipeline.tasks` as it is, with doubles for the heavy rooms and queues of its own.

Started as `celery -A tests.pipeline.celery_app`. It takes its settings from the environment like the real
one, and `TEST_*` beside them.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from core.clock import SystemClock
from core.media.clip import Clip
from core.settings import Settings
from core.shot import Shot, Tick
from pipeline import tasks
from pipeline.tools import Tools
from tests.doubles import TinyEngine, make_tools

PREFIX = os.environ.get("TEST_PREFIX", "test.")
COPIES = int(os.environ.get("TEST_COPIES", "1"))
STALLS = "TEST_STALLS" in os.environ


@dataclass
class Stalling(TinyEngine):
    """Reaches the middle of a step, says so, and stays there."""

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        sys.stdout.write("in the step\n")
        sys.stdout.flush()
        time.sleep(600)
        raise AssertionError


@cache
def tools() -> Tools:
    made = make_tools(Settings().data_dir, SystemClock())
    return replace(made, engine=lambda _name: Stalling()) if STALLS else made


_plain_queue, _plain_hint = tasks.queue_of, tasks._hint


def queue_of(tools: Tools, job_id: str) -> str:
    return PREFIX + _plain_queue(tools, job_id)


def hint(tools: Tools, job_id: str) -> None:
    for _ in range(COPIES):
        _plain_hint(tools, job_id)


tasks._tools = tools
tasks.queue_of = queue_of
tasks._hint = hint
if "TEST_GPU" in os.environ:
    tasks.GPU_ENGINES = {"tiny"}
app = tasks.app
app.conf.update(
    task_default_queue=PREFIX + "cpu",
    worker_enable_remote_control=False,
    beat_schedule={
        name: entry | {"schedule": 0.5, "options": {"expires": 5}}
        for name, entry in app.conf.beat_schedule.items()
    },
)
