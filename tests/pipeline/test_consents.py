from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select

from audits.erasure import erase_person
from core.clock import milliseconds
from core.decision import from_json
from core.errors import BadInput, Conflict, NotFound
from core.events import Tag
from core.state import State
from core.tables import AuditEvent, Consent, Job
from pipeline import people, run
from pipeline.consents import Grant, Revoked, grant, released_of, resolve, revoke, uses
from pipeline.intake import Ask, submit
from pipeline.receipt import receipt
from pipeline.review import decide, latest_ruling
from pipeline.tools import Tools
from pipeline.worker import drain
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools, sighting_of

DAY = 24 * 3600


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    for partner in ("acme", "other"):
        add_partner(made.store, partner)
    with made.store.session() as session:
        person = people.add_identity(session, "Iris Vane", [], clock)
        session.commit()
    return replace(made, detectors=(Eyes("likeness", findings=(sighting_of(person.id),)), Eyes("voice")))


def person_of(tools: Tools) -> str:
    return tools.detectors[0].findings[0].identity  # type: ignore[attr-defined]


def granted(tools: Tools, **changes: Any) -> str:
    now_ms = milliseconds(tools.clock.now())
    given = Grant(
        identity=person_of(tools),
        partner="acme",
        likeness=True,
        voice=False,
        starts_ms=now_ms,
        ends_ms=now_ms + DAY * 1000,
    )
    with tools.store.session() as session:
        consent = grant(session, replace(given, **changes), actor="operator", clock=tools.clock)
        session.commit()
    return consent.id


def asked(tools: Tools, **changes: Any) -> str:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1, **changes))
        session.commit()
    return job.id


def taken_to(tools: Tools, state: State, job: str) -> None:
    for _ in range(8):
        if state_of(tools, job) == state:
            return
        run.advance(tools, "w", job)
    pytest.fail(f"never {state}, but {state_of(tools, job)}")


def state_of(tools: Tools, job: str) -> str:
    with tools.store.reading() as session:
        return session.get_one(Job, job).state


def revoked(tools: Tools, consent: str) -> Revoked:
    with tools.store.session() as session:
        met = revoke(session, consent, actor="operator", clock=tools.clock)
        session.commit()
    return met


def found(tools: Tools, kinds: Any, **changes: Any) -> str:
    job = Job(id="j", partner="acme", kind="generation", prompt="x", ask={}, state="received", payload="0")
    for name, value in changes.items():
        setattr(job, name, value)
    with tools.store.reading() as session:
        return resolve(session, job, person_of(tools), kinds, milliseconds(tools.clock.now()))


def test_a_grant_covers_its_scope_partner_project_and_territory(tools: Tools) -> None:
    consent = granted(tools, project="film", territory="FR")
    here = {"project": "film", "territory": "FR"}
    assert found(tools, {"likeness"}, **here) == consent
    assert found(tools, {"voice"}, **here) == ""
    assert found(tools, {"likeness", "voice"}, **here) == ""
    assert found(tools, {"likeness"}, project="film", territory="DE") == ""
    assert found(tools, {"likeness"}, project="advert", territory="FR") == ""
    assert found(tools, {"likeness"}, project="", territory="") == ""
    # The control: the partner's own column is what keeps another one out.
    assert found(tools, {"likeness"}, partner="other", **here) == ""
    granted(tools, partner="other")
    assert found(tools, {"likeness"}, partner="other", **here) != ""


def test_an_empty_project_or_territory_means_any(tools: Tools) -> None:
    consent = granted(tools)
    assert found(tools, {"likeness"}, project="any", territory="XX") == consent


def test_a_grant_counts_within_its_term_only(tools: Tools, clock: ManualClock) -> None:
    now_ms = milliseconds(clock.now())
    consent = granted(tools, starts_ms=now_ms + 1000, ends_ms=now_ms + 5000)
    assert found(tools, {"likeness"}) == ""
    clock.advance(1)
    assert found(tools, {"likeness"}) == consent
    clock.advance(4)
    assert found(tools, {"likeness"}) == ""


def test_a_revoked_grant_and_an_erased_person_cover_nothing(tools: Tools, clock: ManualClock) -> None:
    consent = granted(tools)
    revoked(tools, consent)
    assert found(tools, {"likeness"}) == ""
    granted(tools)
    assert found(tools, {"likeness"}) != ""
    with tools.store.session() as session:
        erase_person(session, person_of(tools), actor="operator", clock=clock)
        session.commit()
    assert found(tools, {"likeness"}) == ""


@pytest.mark.parametrize("changes", [{"likeness": False}, {"ends_ms": 0}])
def test_a_grant_of_nothing_is_refused(tools: Tools, changes: Any) -> None:
    with pytest.raises(BadInput):
        granted(tools, **changes)
    with tools.store.reading() as session:
        assert session.exec(select(Consent)).all() == []


@pytest.mark.parametrize("changes", [{"identity": "person_none"}, {"partner": "nobody"}])
def test_a_grant_by_or_for_nobody_is_refused(tools: Tools, changes: Any) -> None:
    with pytest.raises(NotFound):
        granted(tools, **changes)


@pytest.mark.parametrize("state", [State.CLEARED, State.MARKED, State.SIGNED])
def test_a_revocation_stops_what_is_not_released(tools: Tools, state: State) -> None:
    consent, job = granted(tools), asked(tools)
    taken_to(tools, state, job)
    assert revoked(tools, consent) == Revoked((job,), ())
    assert state_of(tools, job) == State.HELD
    drain(tools, "w")
    assert state_of(tools, job) == State.HELD
    with tools.store.reading() as session:
        assert from_json(latest_ruling(session, job).decision).rules[-1].id == "consent_revoked"


@pytest.mark.parametrize("state", [State.ADMITTED, State.GENERATED])
def test_a_revocation_stops_what_was_admitted_with_it(tools: Tools, state: State) -> None:
    """No detector has looked yet; an approval leads past them again."""
    consent = granted(tools, voice=True)
    job = asked(tools, identities=(person_of(tools),))
    taken_to(tools, state, job)
    assert revoked(tools, consent).stopped == (job,)
    _decided(tools, job, "approve", "ann")
    assert state_of(tools, job) == State.ADMITTED
    drain(tools, "w")
    assert state_of(tools, job) == State.HELD


def test_a_revocation_lists_what_is_released(tools: Tools) -> None:
    consent, job, recorded = granted(tools), asked(tools), asked(tools)
    taken_to(tools, State.RELEASED, job)
    taken_to(tools, State.RECORDED, recorded)
    met = revoked(tools, consent)
    assert (met.stopped, set(met.released)) == ((), {job, recorded})
    assert state_of(tools, job) == State.RELEASED


def test_every_clip_that_a_revocation_concerns_has_an_event_of_its_own(tools: Tools) -> None:
    consent, out, waiting, held = granted(tools), asked(tools), asked(tools), asked(tools)
    taken_to(tools, State.RELEASED, out)
    taken_to(tools, State.CLEARED, waiting)
    taken_to(tools, State.CLEARED, held)
    with tools.store.session() as session:
        session.get_one(Job, held).state = State.HELD
        session.get_one(Job, held).held_at = "screen"
        session.commit()
    assert uses_of(tools, consent) == {out: "released", waiting: "cleared", held: "held"}
    revoked(tools, consent)
    revoked(tools, consent)  # a second one changes nothing and says nothing about clips again
    assert uses_of(tools, consent) == {out: "released", waiting: "held", held: "held"}

    def told(job: str) -> list[str]:
        with tools.store.reading() as session:
            rows = session.exec(select(AuditEvent).where(AuditEvent.job == job)).all()
        return [row.tag for row in rows if row.rule == "consent_revoked" or "unconsented" in row.tag]

    assert told(out) == [Tag.CLIP_UNCONSENTED]
    assert told(waiting)[0] == Tag.CLIP_HELD
    assert told(held)[0] == Tag.CLIP_HELD


def uses_of(tools: Tools, consent: str) -> dict[str, str]:
    with tools.store.reading() as session:
        used = uses(session, consent)
    assert set(released_of(used)) == {job for job, state in used if state == "released"}
    return dict(used)


def test_the_log_names_the_grant_that_a_decision_rests_on(tools: Tools) -> None:
    consent, job = granted(tools), asked(tools)
    taken_to(tools, State.CLEARED, job)
    with tools.store.reading() as session:
        rows = session.exec(select(AuditEvent).where(AuditEvent.job == job)).all()
        told = receipt(session, session.get_one(Job, job))
        facts = from_json(latest_ruling(session, job).decision).facts
    decided = [json.loads(row.leaf)["facts"] for row in rows if row.tag == Tag.POLICY_DECIDED]
    assert [one["consents"] for one in decided] == [[], [consent]]
    assert told["consents"] == [consent]
    assert [match["consent"] for match in facts["matches"]] == [consent]


def test_a_revocation_during_the_screening_is_not_missed(tools: Tools, clock: ManualClock) -> None:
    consent, job = granted(tools), asked(tools)
    taken_to(tools, State.GENERATED, job)
    claimed = run._claimed(tools, "w", job)
    assert claimed is not None
    done = run._worked(claimed, State.GENERATED, tools)
    assert done.to == State.CLEARED
    revoked(tools, consent)
    with pytest.raises(Conflict, match="revoked"):
        run._commit(tools, claimed, done, "w")
    clock.advance(tools.settings.lease_seconds + 1)
    drain(tools, "w")
    assert state_of(tools, job) == State.HELD


def test_a_consent_passes_only_the_partner_it_was_given_to(tools: Tools) -> None:
    granted(tools, partner="other")
    job = asked(tools)
    drain(tools, "w")
    assert state_of(tools, job) == State.HELD
    granted(tools)
    control = asked(tools)
    drain(tools, "w")
    assert state_of(tools, control) == State.RELEASED


def test_approvals_before_a_revocation_do_not_count_after_it(tools: Tools) -> None:
    consent, job = granted(tools), asked(tools)
    taken_to(tools, State.CLEARED, job)
    revoked(tools, consent)
    _decided(tools, job, "approve", "ann")
    assert state_of(tools, job) == State.CLEARED
    drain(tools, "w")
    assert state_of(tools, job) == State.RELEASED


def _decided(tools: Tools, job: str, verdict: Any, who: str) -> None:
    with tools.store.session() as session:
        decide(
            session, job, verdict, reviewer=who, reason="looked at it", clock=tools.clock, vault=tools.vault
        )
        session.commit()


def test_revoking_what_is_not_there(tools: Tools) -> None:
    with pytest.raises(NotFound):
        revoked(tools, "consent_none")
    consent = granted(tools)
    revoked(tools, consent)
    with tools.store.reading() as session:
        before = _revoked_ms(session)
    revoked(tools, consent)
    with tools.store.reading() as session:
        assert _revoked_ms(session) == before


def _revoked_ms(session: Session) -> list[int | None]:
    return list(session.exec(select(col(Consent.revoked_ms))))
