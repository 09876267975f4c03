"""Take one request one step further: claim, work, commit. Workers of every kind call `advance`.

A claim gives a lease and a new fencing token. Whatever happens to this process, the request is never lost
(its lease lapses and somebody else claims it) and no effect happens twice (a commit under an old token
changes nothing).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlmodel import Session

from core.clock import milliseconds
from core.decision import Decision, to_json
from core.errors import BadInput, Cancelled, GreenlightError, KeyMissing, StaleFence
from core.events import Event, Tag
from core.events import record as record_event
from core.shot import Tick
from core.state import CANCELLABLE, State
from core.store import claim, move, postpone, renew
from core.tables import Job, Ruling
from pipeline import consents, credentials, keys, leaves, rulings, stamping, strikes
from pipeline.restrictions import terms_of
from pipeline.steps import STEPS, Done
from pipeline.tools import Tools

_log = structlog.get_logger("pipeline")
_BEAT_SECONDS = 1.0
_STEP_SECONDS = 3600.0
_BACKOFF_MS = 2000
_KEY_WAIT_MS = 30_000
_FAIL_CLOSED = {State.RECEIVED: "admit", State.GENERATED: "screen"}
NEEDS_KEY = frozenset({State.CLEARED, State.MARKED})
"""Before the steps that mark and sign. Without a key they wait, however long, for one to be approved."""


def advance(tools: Tools, holder: str, job_id: str | None = None) -> str | None:
    """Do the next step of this request, or of the one that waits longest; answer its id, or None if idle."""
    job = _claimed(tools, holder, job_id)
    if job is None:
        return None
    state = State(job.state)
    log = _log.bind(job=job.id, state=state, fence=job.fence)
    try:
        _commit(tools, job, _worked(job, state, tools), holder)
    except StaleFence:
        log.warning("lease lost, result thrown away")
    except Exception as error:
        log.exception("step failed")
        _give_back(tools, job, error)
    return job.id


def _claimed(tools: Tools, holder: str, job_id: str | None) -> Job | None:
    now_ms = milliseconds(tools.clock.now())
    lease_ms = int(tools.settings.lease_seconds * 1000)
    with tools.store.session() as session:
        job = claim(session, holder=holder, now_ms=now_ms, lease_ms=lease_ms, job_id=job_id)
        if job is not None and job.attempts > 1:
            facts = {"state": job.state, "attempt": job.attempts}
            record_event(
                session,
                Event(
                    tag=Tag.JOB_RECLAIMED,
                    actor=f"worker:{holder}",
                    partner=job.partner,
                    job=job.id,
                    facts=facts,
                ),
                tools.clock,
            )
        session.commit()
    return job


def _worked(job: Job, state: State, tools: Tools) -> Done:
    """Do the step under a beating lease and turn what a caller can mend into an end, not a retry."""
    # Past the commit point a request only moves forward: it is tried until the log can be asked again.
    if job.attempts > tools.settings.max_attempts and state is not State.RECORDED:
        return _given_up(job, state, tools)
    try:
        with _beating(tools, job) as tick:
            tick(0.0)
            return STEPS[state](job, tools, tick)
    except Cancelled:
        return Done(to=State.CANCELLED, events=((Tag.CLIP_CANCELLED, {"state": state}),))
    except BadInput as error:
        return _failed(state, error.code, error.message)


def _given_up(job: Job, state: State, tools: Tools) -> Done:
    why = f"The step failed {job.attempts - 1} times: {job.problem or 'the worker died'}"
    if state in _FAIL_CLOSED:
        step = _FAIL_CLOSED[state]
        decision = rulings.fault("prompt" if step == "admit" else "screen", tools.pack, why)
        held = ((Tag.CLIP_HELD, leaves.why(decision)),)
        return Done(to=State.HELD, values={"held_at": step}, events=held, ruling=decision)
    return _failed(state, "gave_up", why)


def _failed(state: State, code: str, why: str) -> Done:
    events = ((Tag.CLIP_FAILED, {"state": state, "code": code}),)
    return Done(to=State.FAILED, values={"problem": why}, events=events)


def _commit(tools: Tools, job: Job, done: Done, holder: str) -> None:
    """Write everything a step came to in one transaction, guarded by the fence."""
    now_ms = milliseconds(tools.clock.now())
    with tools.store.session() as session:
        if done.to is State.RECORDED and "signer" in job.got:
            # Before the event takes its time: what is recorded was signed with a key that still counted then.
            keys.hold(session, job.got["signer"])
        values = {"problem": None} | done.values | {"got": job.got | done.got, "progress": 0.0}
        if done.ruling is not None:
            for decision in (*done.others, done.ruling):
                session.add(_ruling_row(job, decision, now_ms))
                session.flush()  # the newest row is the one that people decide on
                consents.use(session, job.id, decision.consents)
            if done.to is State.REFUSED and job.user is not None:
                strikes.strike(session, job, done.ruling, terms_of(session, tools), tools.clock)
        if done.manifest is not None:
            credentials.bind(session, job, *done.manifest, at_ms=now_ms)
            stamping.note(session, job.id, unstamped=done.unstamped, now_ms=now_ms)
        if done.prints:
            credentials.keep_prints(session, job.id, done.prints)
        rows = [_event(session, tools, job, holder, tag, facts, done) for tag, facts in done.events]
        if done.to is State.RECORDED:
            values["record_event"] = rows[-1].id
        move(session, job.id, State(job.state), done.to, now_ms=now_ms, fence=job.fence, **values)
        # A crash before this line changed nothing; after it the step is done, exactly once.
        session.commit()


def _ruling_row(job: Job, decision: Decision, now_ms: int) -> Ruling:
    return Ruling(
        job=job.id,
        stage=decision.stage,
        outcome=decision.outcome,
        decision=to_json(decision),
        at_ms=now_ms,
    )


def _event(
    session: Session, tools: Tools, job: Job, holder: str, tag: Tag, facts: dict[str, Any], done: Done
) -> Any:
    rule = done.ruling.rules[0].id if done.ruling and done.ruling.rules else None
    event = Event(tag=tag, actor=f"worker:{holder}", partner=job.partner, job=job.id, rule=rule, facts=facts)
    return record_event(session, event, tools.clock)


def _give_back(tools: Tools, job: Job, error: Exception) -> None:
    # What a foreign error says may name files of this machine; it goes to the log, not to the partner.
    why = (
        error.message
        if isinstance(error, GreenlightError)
        else f"A part of the gate failed ({type(error).__name__})."
    )
    waits = isinstance(error, KeyMissing) and State(job.state) in NEEDS_KEY
    pause_ms = _KEY_WAIT_MS if waits else _BACKOFF_MS * 2 ** min(job.attempts - 1, 6)
    until_ms = milliseconds(tools.clock.now()) + pause_ms
    try:
        with tools.store.session() as session:
            postpone(session, job.id, job.fence, until_ms=until_ms, problem=why[:1000], counts=not waits)
            session.commit()
    except StaleFence:
        _log.warning("lease lost before it could be given back", job=job.id)


@contextmanager
def _beating(tools: Tools, job: Job) -> Iterator[Tick]:
    """Renew the lease from a thread while a step works, and tell the step to stop when it must."""
    beat = _Beat(tools, job)
    thread = threading.Thread(target=beat.run, daemon=True)
    thread.start()
    try:
        yield beat.tick
    finally:
        beat.over.set()
        thread.join()


class _Beat:
    """The state shared by a step and the thread that keeps its lease: what to stop with, and how far it is."""

    def __init__(self, tools: Tools, job: Job) -> None:
        self.tools, self.job = tools, job
        self.over = threading.Event()
        self.stop: GreenlightError | None = None
        self.progress = 0.0
        if job.cancel and State(job.state) in CANCELLABLE:
            self.stop = Cancelled()

    def tick(self, fraction: float) -> None:
        self.progress = fraction
        if self.stop is not None:
            raise self.stop

    def run(self) -> None:
        beats = 0
        # A step that hangs for an hour loses its lease like one whose worker died.
        while not self.over.wait(_BEAT_SECONDS) and beats < _STEP_SECONDS / _BEAT_SECONDS:
            beats += 1
            try:
                self._renew()
            except StaleFence as error:
                self.stop = error
                return
            except Exception:  # noqa: BLE001  # a busy database costs a beat, not the step
                _log.warning("could not renew a lease", job=self.job.id)

    def _renew(self) -> None:
        until_ms = milliseconds(self.tools.clock.now()) + int(self.tools.settings.lease_seconds * 1000)
        with self.tools.store.session() as session:
            cancelled = renew(session, self.job.id, self.job.fence, until_ms=until_ms, progress=self.progress)
            session.commit()
        if cancelled and State(self.job.state) in CANCELLABLE:
            self.stop = Cancelled()
