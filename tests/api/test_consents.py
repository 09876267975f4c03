"""What rests on a grant, as a partner, a reviewer and an admin see it."""

from __future__ import annotations

import pytest

from core.state import State
from core.tables import Consent, ConsentUse, Job, Ruling
from tests.api.test_console import sign_in, token_of
from tests.api.world import PERSON, World


@pytest.fixture
def used(world: World) -> tuple[World, str, str, str]:
    """A grant on which a released and a cleared clip rest."""
    consent = world.consent(world.person())
    jobs = []
    for state in (State.RELEASED, State.CLEARED):
        job = world.place(state)
        world.rule(job)
        world.add(ConsentUse(consent=consent, job=job.id))
        jobs.append(job.id)
    for name, role in (("ann", "reviewer"), ("ada", "admin"), ("rex", "regulator")):
        world.reviewer(name, role=role)
    return world, consent, *jobs


def test_a_partner_sees_what_rests_on_its_own_grants(used: tuple[World, str, str, str]) -> None:
    world, consent, out, waiting = used
    told = world.client.get(f"/v1/consents/{consent}", headers=world.acme).json()
    assert told["consent"]["id"] == consent
    assert told["released"] == [out]
    assert {one["id"]: one["state"] for one in told["clips"]} == {out: "released", waiting: "cleared"}
    assert world.client.get(f"/v1/consents/{consent}", headers=world.other).status_code == 404
    assert world.client.delete(f"/v1/consents/{consent}", headers=world.acme).json() == {
        "id": consent,
        "stopped": [waiting],
        "released": [out],
    }
    assert world.client.get(f"/v1/consents/{consent}", headers=world.acme).json()["released"] == [out]


def test_the_console_lists_grants_and_what_rests_on_them(used: tuple[World, str, str, str]) -> None:
    world, consent, out, waiting = used
    sign_in(world)
    assert f"/console/consents/{consent}" in world.client.get("/console/consents").text
    page = world.client.get(f"/console/consents/{consent}").text
    assert PERSON in page
    assert page.count(f'<a href="/console/clips/{out}">') == 2
    assert page.count(f'<a href="/console/clips/{waiting}">') == 1
    assert "Revoke now" not in page
    assert "audit:queried" in world.tags()
    assert world.client.get("/console/consents/consent_none").status_code == 404


def test_an_admin_ends_a_grant_and_nobody_else(used: tuple[World, str, str, str]) -> None:
    world, consent, _, waiting = used
    path = f"/console/consents/{consent}/revoke"
    sign_in(world)
    token = token_of(world.client.get("/console/consents").text)
    assert world.client.post(path, data={"form_token": token}).status_code == 403
    sign_in(world, "rex")
    assert world.client.post(path, data={"form_token": "x"}).status_code == 403
    sign_in(world, "ada")
    assert world.client.post(path, data={"form_token": "stale"}).status_code == 403
    assert world.rows(Consent)[0].revoked_ms is None
    page = world.client.get(f"/console/consents/{consent}").text
    ended = world.client.post(path, data={"form_token": token_of(page)})
    assert "These clips are out although the consent is revoked" in ended.text
    assert world.job(waiting).state == State.HELD
    assert {"clip:unconsented", "clip:held", "consent:revoked"} <= set(world.tags())


@pytest.mark.parametrize("path", ["/console/consents", "/console/consents/consent_none"])
def test_strangers_and_partners_see_no_grants(used: tuple[World, str, str, str], path: str) -> None:
    world = used[0]
    for headers in ({}, world.acme):
        world.client.cookies.clear()
        answer = world.client.get(path, headers=headers, follow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/console/login")
    sign_in(world, "rex")
    assert world.client.get(path).status_code == 403
    assert world.rows(Job)
    assert world.rows(Ruling)
