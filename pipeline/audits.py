"""Preemptive audits of this installation: run, remembered, logged, compared, scheduled, and required.

A run is bound to its *subject*: the code, the policy pack and the models that it tested. With
`audit_required` the gate holds every request until each suite named there has a full run of the present
subject that passed; a new pack or model is therefore not used before it was audited.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlmodel import Session, col, select

from audits.preemptive.compare import Worse, worse
from audits.preemptive.result import SuiteResult
from audits.preemptive.suites import SUITES, run
from core.clock import milliseconds, new_id
from core.errors import BadInput
from core.events import Event, Tag, canonical, record
from core.models import registry
from core.tables import AuditRun
from pipeline.tools import Tools

LOOK_SECONDS = 60.0
_HOUR_MS = 3_600_000
_MAX_LOGGED_ROWS = 200
_LONGEST_LINE = 200
_log = structlog.get_logger("audits")

Trial = Callable[[str], SuiteResult]
"""Run a suite by its name."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A run as it was kept, and what is worse than in the run of the same suite before it."""

    run: AuditRun
    result: SuiteResult
    worse: tuple[Worse, ...]


def subject(session: Session, tools: Tools) -> str:
    """Name what an audit of this installation tests: SHA-256 over code version, active pack and models."""
    about = {
        "greenlight": tools.version,
        "pack": tools.book.base(session, tools.pack).sha256,
        "likeness_tier": tools.settings.likeness_tier,
        "voice_tier": tools.settings.voice_tier,
        "models": {name: source.sha256 for name, source in registry().items()},
    }
    return hashlib.sha256(canonical(about)).hexdigest()


def remember(tools: Tools, result: SuiteResult, actor: str) -> Remembered:
    """Keep a result, with its event, in one transaction."""
    with tools.store.session() as session:
        before = newest(session, result.name)
        text = result.json()
        row = AuditRun(
            id=new_id("run"),
            suite=result.name,
            quick=result.quick,
            subject=subject(session, tools),
            passed=result.passed,
            result=text,
            at_ms=milliseconds(tools.clock.now()),
        )
        session.add(row)
        found = worse(result, SuiteResult.parse(before.result)) if before else ()
        facts = _facts(row, result, text, len(found))
        record(session, Event(tag=Tag.AUDIT_RAN, actor=actor, facts=facts), tools.clock)
        session.commit()
    return Remembered(row, result, found)


def newest(session: Session, suite: str) -> AuditRun | None:
    """Find the last run of a suite."""
    ordered = select(AuditRun).where(col(AuditRun.suite) == suite).order_by(col(AuditRun.at_ms).desc())
    return session.exec(ordered.limit(1)).first()


def history(session: Session, suite: str | None = None, limit: int = 50) -> list[AuditRun]:
    """List the runs of one suite or of all, newest first."""
    wanted = select(AuditRun).order_by(col(AuditRun.at_ms).desc()).limit(limit)
    if suite is not None:
        wanted = wanted.where(col(AuditRun.suite) == suite)
    return list(session.exec(wanted))


def lacking(session: Session, tools: Tools) -> list[str]:
    """List the required suites that the present subject has not passed in a full run since it last failed one."""
    required = [name.strip() for name in tools.settings.audit_required.split(",") if name.strip()]
    if not required:
        return []
    tested = subject(session, tools)
    return [name for name in required if not _passed(session, name, tested)]


def _passed(session: Session, suite: str, tested: str) -> bool:
    wanted = (
        select(AuditRun.passed)
        .where(col(AuditRun.suite) == suite, col(AuditRun.subject) == tested, col(AuditRun.quick).is_(False))
        .order_by(col(AuditRun.at_ms).desc())
        .limit(1)
    )
    return session.exec(wanted).first() is True


def schedule(text: str) -> Mapping[str, float]:
    """Read `log-tamper=24, tamper=168`: hours between the runs of each suite; raises `BadInput`."""
    hours: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, every = part.partition("=")
        if name.strip() not in SUITES or not every.strip().replace(".", "", 1).isdigit() or float(every) <= 0:
            raise BadInput(f"{part!r} in the audit schedule is not SUITE=HOURS of a suite that there is.")
        hours[name.strip()] = float(every)
    return hours


def due(session: Session, tools: Tools) -> list[str]:
    """List the scheduled suites whose last run is longer ago than they may be."""
    now_ms = milliseconds(tools.clock.now())
    return [
        name
        for name, hours in schedule(tools.settings.audit_schedule).items()
        if (last := newest(session, name)) is None or last.at_ms + hours * _HOUR_MS <= now_ms
    ]


def run_due(tools: Tools, trial: Trial = run) -> list[Remembered]:
    """Run what is due. Two machines may run the same suite at once: that wastes work and harms nothing."""
    with tools.store.reading() as session:
        names = due(session, tools)
    return [remember(tools, trial(name), "system") for name in names]


def keep_running(tools: Tools, stop: threading.Event) -> None:
    """Run what is due until `stop` is set; a suite that cannot run is tried again at the next look."""
    while not stop.is_set():
        try:
            for done in run_due(tools):
                _log.info("audit ran", suite=done.run.suite, passed=done.run.passed, worse=len(done.worse))
        except Exception as error:  # noqa: BLE001  # the next look may find it mended; the process must live to make it
            _log.error("an audit could not run", error=f"{type(error).__name__}: {error}")
        stop.wait(LOOK_SECONDS)


def write_report(done: Remembered, folder: Path) -> Path:
    """Write the dated report, as Markdown and JSON, and return the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{done.run.suite}-{done.result.dated[:19].replace(':', '')}"
    (folder / f"{stem}.json").write_text(done.result.json())
    page = folder / f"{stem}.md"
    page.write_text(done.result.markdown() + "\n".join(_worse_lines(done.worse)))
    return page


def _worse_lines(found: tuple[Worse, ...]) -> Iterator[str]:
    if found:
        yield "## Worse than in the run before\n"
        yield from (f"- {change.case}: {change.why}" for change in found)
        yield ""


def _line(case: object) -> str:
    """Name a case in the log's letters; a result of hours is not lost over a sign that they lack."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in str(case))[:_LONGEST_LINE] or "?"


def _facts(row: AuditRun, result: SuiteResult, text: str, worse_rows: int) -> dict[str, object]:
    failed = [_line(next(iter(line.values()))) for line in result.rows if not line["passed"]]
    rates = [
        {
            "case": _line(line["case"]),
            "hits": line["hits"],
            "trials": line["trials"],
            "better": line["better"],
        }
        for line in result.rows
        if "better" in line
    ]
    return {
        "run": row.id,
        "suite": row.suite,
        "subject": row.subject,
        "quick": int(row.quick),
        "passed": int(row.passed),
        "rows": len(result.rows),
        "worse": worse_rows,
        "failed": failed[:_MAX_LOGGED_ROWS],
        "rates": rates[:_MAX_LOGGED_ROWS],
        "result": hashlib.sha256(text.encode()).hexdigest(),
    }
