from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from audits.erasure import erase_person
from core.errors import BadInput, BadPrompt, Conflict, KeyReused, NotFound, TooMany
from core.state import CANCELLABLE, State
from core.tables import AuditEvent, Job, Partner, Upload
from pipeline import people
from pipeline.intake import MAX_REFERENCES, Ask, cancel, draft, submit, withdraw
from pipeline.run import _claimed, _commit, _worked
from pipeline.tools import Tools
from pipeline.worker import drain
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    for partner in ("acme", "other"):
        add_partner(made.store, partner)
    return made


def asked(tools: Tools, partner: str = "acme", *, key: str | None = None, **changes: Any) -> tuple[str, bool]:
    with tools.store.session() as session:
        ask = Ask(**{"prompt": "Waves at dawn", "seed": 1} | changes)
        job, known = submit(session, tools, partner, ask, key=key)
        session.commit()
    return job.id, known


def cancelled(tools: Tools, job: str) -> Job:
    with tools.store.session() as session:
        after = cancel(session, tools, job, actor="partner:acme")
        session.commit()
    return after


def job_of(tools: Tools, job: str) -> Job:
    with tools.store.reading() as session:
        return session.get_one(Job, job)


def tags(tools: Tools, job: str) -> list[str]:
    with tools.store.reading() as session:
        return list(
            session.exec(select(AuditEvent.tag).where(AuditEvent.job == job).order_by(col(AuditEvent.id)))
        )


def put(tools: Tools, job: str, state: State) -> None:
    with tools.store.session() as session:
        session.execute(sa.update(Job).where(col(Job.id) == job).values(state=str(state)))
        session.commit()


def count(tools: Tools) -> int:
    with tools.store.reading() as session:
        return len(session.exec(select(Job)).all())


def test_the_same_key_asks_once(tools: Tools) -> None:
    first, known = asked(tools, key="k")
    assert not known
    assert asked(tools, key="k") == (first, True)
    assert count(tools) == 1
    with pytest.raises(KeyReused):
        asked(tools, key="k", prompt="Waves at dusk")
    # The control: another key, no key, or the same key of another partner are other requests.
    assert len({first, *(asked(tools, **how)[0] for how in ({"key": "l"}, {}, {}))}) == 4
    assert asked(tools, "other", key="k")[0] != first


def test_the_quota_is_per_minute_and_at_once(tools: Tools, clock: ManualClock) -> None:
    with tools.store.session() as session:
        session.add(Partner(id="small", name="small", per_minute=2, at_once=3, created_ms=0))
        session.commit()
    for _ in range(2):
        asked(tools, "small")
    with pytest.raises(TooMany, match="a minute"):
        asked(tools, "small")
    asked(tools, "other")
    clock.advance(61)
    asked(tools, "small")
    with pytest.raises(TooMany, match="unfinished"):
        asked(tools, "small")
    drain(tools, "w")
    asked(tools, "small")


def uploaded(tools: Tools, partner: str, kind: str) -> str:
    with tools.store.session() as session:
        row = Upload(
            id=f"up_{partner}_{kind}",
            partner=partner,
            kind=kind,
            blob="b",
            mime="m",
            sha256="00",
            created_ms=0,
        )
        session.add(row)
        session.commit()
    return row.id


def test_only_ones_own_uploads_of_the_right_kind_count(tools: Tools) -> None:
    mine, foreign, video = (
        uploaded(tools, "acme", "picture"),
        uploaded(tools, "other", "picture"),
        uploaded(tools, "acme", "video"),
    )
    for changes in (
        {"references": (foreign,)},
        {"references": (video,)},
        {"references": ("none",)},
        {"source": mine},
        {"references": (mine,) * (MAX_REFERENCES + 1)},
    ):
        with pytest.raises(BadInput):
            asked(tools, **changes)
    assert count(tools) == 0
    asked(tools, references=(mine,))
    asked(tools, source=video)


def test_only_known_people_can_be_asked_for(tools: Tools, clock: ManualClock) -> None:
    with tools.store.session() as session:
        person = people.add_identity(session, "Iris Vane", [], clock)
        session.commit()
    with pytest.raises(BadInput, match="person_none"):
        asked(tools, identities=("person_none",))
    asked(tools, identities=(person.id,))
    with tools.store.session() as session:
        erase_person(session, person.id, actor="operator", clock=clock)
        session.commit()
    with pytest.raises(BadInput, match=person.id):
        asked(tools, identities=(person.id,))


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 0.0},
        {"seconds": 17.0},
        {"picture": False, "sound": False},
        {"width": 32},
        {"fps": 0},
    ],
)
def test_measures_outside_the_limits_are_refused(tools: Tools, changes: Any) -> None:
    with pytest.raises(BadInput):
        asked(tools, **changes)
    assert count(tools) == 0


def test_an_empty_prompt_and_an_unknown_partner_are_refused(tools: Tools) -> None:
    with pytest.raises(BadPrompt):
        asked(tools, prompt=" ")
    with pytest.raises(NotFound):
        asked(tools, "nobody")


def test_a_draft_is_not_stored(tools: Tools) -> None:
    with tools.store.session() as session:
        assert draft(session, tools, "acme", Ask(prompt="Waves at dawn")).partner == "acme"
        session.commit()
    assert count(tools) == 0


@pytest.mark.parametrize("state", list(State))
def test_cancelling_is_possible_exactly_where_it_is_promised(tools: Tools, state: State) -> None:
    job, _ = asked(tools)
    put(tools, job, state)
    if state in CANCELLABLE or state is State.CANCELLED:
        assert cancelled(tools, job).state == State.CANCELLED
        assert cancelled(tools, job).state == State.CANCELLED
        assert tags(tools, job).count("clip:cancelled") == (state in CANCELLABLE)
    else:
        with pytest.raises(Conflict, match=str(state)):
            cancelled(tools, job)
        assert job_of(tools, job).state == state


def test_a_worker_at_work_is_told_to_stop(tools: Tools) -> None:
    job, _ = asked(tools)
    claimed = _claimed(tools, "w", job)
    assert claimed is not None
    after = cancelled(tools, job)
    assert (after.state, after.cancel) == (State.RECEIVED, True)
    _commit(tools, claimed, _worked(claimed, State.RECEIVED, tools), "w")
    drain(tools, "w")
    assert job_of(tools, job).state == State.CANCELLED
    assert tags(tools, job).count("clip:cancelled") == 1
    assert "clip:generated" not in tags(tools, job)


def test_only_what_is_released_can_be_withdrawn(tools: Tools) -> None:
    job, _ = asked(tools)

    def withdrawn() -> str:
        with tools.store.session() as session:
            after = withdraw(session, tools, job, actor="reviewer:ann", reason="rights")
            session.commit()
        return after.state

    with pytest.raises(Conflict):
        withdrawn()
    drain(tools, "w")
    assert withdrawn() == State.WITHDRAWN
    with pytest.raises(Conflict):
        withdrawn()
    assert tags(tools, job).count("clip:withdrawn") == 1


@pytest.mark.parametrize(("engine", "double"), [("sandbox", True), ("diffusion_video", False)])
def test_a_stand_in_for_a_model_is_named_whatever_the_default_is(
    tmp_path: Path, clock: ManualClock, engine: str, double: bool
) -> None:
    tools = make_tools(tmp_path, clock, doubles={"signing": "a development authority"})
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", engine=engine))
    assert ("engine" in job.got["doubles"]) is double
    assert "signing" in job.got["doubles"]
