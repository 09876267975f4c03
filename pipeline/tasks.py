"""Celery as transport: a message is a hint that a request may be worked on, and nothing more.

Start workers with `celery -A pipeline.tasks worker -Q cpu` (and `-Q gpu --pool solo` where a model renders),
and one `celery -A pipeline.tasks beat`. Messages are acknowledged early: recovery belongs to the leases in
the database, so losing or doubling any message is harmless.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from celery import Celery, Task

from audits.index import catch_up
from audits.retention import enforce
from core.errors import BadInput
from core.journal import start_journal
from core.settings import Settings
from core.state import State
from core.tables import Job
from pipeline.run import advance
from pipeline.sweep import send_hints, stuck, sweep
from pipeline.tools import Tools
from pipeline.worker import RETENTION_SECONDS, holder_name

GPU_ENGINES = {"diffusion_video", "diffusion_audio"}
_RELAY_SECONDS = 1.0
_SWEEP_SECONDS = 30.0


@cache
def _tools() -> Tools:
    """Put the parts together once in each worker."""
    from pipeline.assemble import assemble

    start_journal()
    return assemble(Settings())


def _configuration() -> dict[str, Any]:
    """Read the settings when Celery first needs them, so that importing this module needs none."""
    broker = Settings().broker_url
    if not broker:
        raise BadInput("Set GREENLIGHT_BROKER_URL to the broker that API and workers share.")
    return {
        "broker_url": broker,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        # One step at a time in a worker, which answers the broker meanwhile. Not the forks that are Celery's
        # default: c2pa and torch do not survive them, and the detectors' processes cannot be started there.
        "worker_pool": "threads",
        "worker_concurrency": 1,
        "task_default_queue": "cpu",
        "broker_connection_retry_on_startup": True,
        "beat_schedule": {
            "relay": {"task": "greenlight.relay", "schedule": _RELAY_SECONDS},
            "sweep": {"task": "greenlight.sweep", "schedule": _SWEEP_SECONDS},
            "retention": {"task": "greenlight.retention", "schedule": RETENTION_SECONDS},
        },
    }


app = Celery("greenlight")
app.add_defaults(_configuration)


@app.task(name="greenlight.advance", bind=True)
def advance_task(task: Task, job_id: str) -> None:
    """Take one request one step further and send the hint for the step after."""
    tools = _tools()
    # A late or doubled hint may speak of a step that is over; a worker without a GPU must not render.
    if task.request.delivery_info["routing_key"] == queue_of(tools, job_id):
        advance(tools, holder_name(), job_id)
        _relay(tools)
    else:
        _hint(tools, job_id)


@app.task(name="greenlight.relay")
def relay_task() -> None:
    """Send the hints that requests and steps left in the outbox, and bring the log and its index up to date."""
    tools = _tools()
    _relay(tools)
    tools.integrate()
    catch_up(tools.store)


@app.task(name="greenlight.sweep")
def sweep_task() -> None:
    """Hint again at whatever is stuck, and tidy up."""
    tools = _tools()
    for job_id in stuck(tools):
        _hint(tools, job_id)
    sweep(tools)


@app.task(name="greenlight.retention")
def retention_task() -> None:
    """Delete what has passed its deadline."""
    tools = _tools()
    enforce(tools, tools.settings)


def _relay(tools: Tools) -> None:
    send_hints(tools, lambda job_id: _hint(tools, job_id))


def _hint(tools: Tools, job_id: str) -> None:
    advance_task.apply_async((job_id,), queue=queue_of(tools, job_id))


def queue_of(tools: Tools, job_id: str) -> str:
    """Name the queue whose workers can take the next step: rendering with a model wants a GPU."""
    with tools.store.reading() as session:
        job = session.get(Job, job_id)
    renders = (
        job is not None and job.state == State.ADMITTED and job.ask["engine"].partition(":")[0] in GPU_ENGINES
    )
    return "gpu" if renders else "cpu"
