"""Labels on a delivery: what the territory wants, done at the mark step, and the sheet in the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from core.errors import BadMedia
from core.media.clip import Clip
from core.state import State
from core.tables import Job
from provenance.labels import Occasion, Plan, Row, check, plan

_OUT = {State.RELEASED, State.WITHDRAWN}


def planned(job: Job, provider: str) -> Plan:
    """Decide what the delivery of a request carries; raises `BadInput` when its territory cannot be served."""
    ask = job.ask
    return plan(
        Occasion(
            territory=job.territory,
            purpose=ask.get("purpose", ""),
            draft=ask.get("draft", False),
            source="composite" if ask.get("source") else "created",
            picture=ask["picture"],
            sound=ask["sound"],
            provider=provider,
            content_id=job.id,
        )
    )


def checked(labels: Plan, delivered: Clip) -> tuple[Row, ...]:
    """Read the labels back from the delivery file; raise `BadMedia` when one that is due cannot be found there."""
    rows = check(labels, delivered)
    missing = [f"{row.duty}: {row.how}" for row in rows if row.result == "fail"]
    if missing:
        raise BadMedia(f"The delivery does not carry the labels that it must. {' '.join(missing)}")
    return rows


def account(job: Job, labels: Plan, rows: Sequence[Row], delivered: Clip) -> dict[str, Any]:
    """Say what was done, for the request's own account; notices make a sound longer."""
    if not labels.entries:
        return {}
    shown: dict[str, Any] = {"badge": bool(labels.badges), "notice": bool(labels.notices)}
    shown |= {"territory": job.territory.upper(), "draft": job.ask.get("draft", False)}
    told: dict[str, Any] = {"labels": [asdict(row) for row in rows], "shown": shown}
    if labels.notices:
        told["got"] = job.got["got"] | {"seconds": delivered.seconds}
    return told


def sheet(job: Job) -> dict[str, Any] | None:
    """Give the sheet of a request: per territory and duty pass, fail, deferred, pending or not applicable."""
    rows = job.got.get("labels")
    if rows is None:
        return None
    return {
        "territory": job.territory,
        "delivery": "draft" if job.ask.get("draft") else "final",
        "duties": [row | ({"result": _released(job)} if row["result"] == "release" else {}) for row in rows],
    }


def _released(job: Job) -> str:
    """Judge what manifest and watermark are for: released means that our verifier found both."""
    marks = job.got.get("marks", {})
    tracks = (("picture", "video"), ("sound", "audio"))
    if any(job.ask[asked] and not marks.get(track, False) for asked, track in tracks):
        return "fail"
    return "pass" if job.state in _OUT else "pending"
