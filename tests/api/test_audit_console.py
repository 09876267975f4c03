"""The pages of auditors, regulators and of the admins who let them in."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api import audit_console, console, grants_console, keys
from audits.filters import make_filter
from audits.log.proof import verify_proof
from core.state import State
from core.tables import AuditEvent, AuditGrant
from tests.api.test_console import sign_in, token_of
from tests.api.world import World
from tests.audits.searched import put


@pytest.fixture
def read(world: World) -> World:
    """A log of two partners' requests, an auditor, a regulator of acme, and the two admins."""
    put(
        world.log,
        {"tag": "request:received", "partner": "acme", "job": "clip_a"},
        {"tag": "clip:held", "partner": "acme", "job": "clip_a", "actor": "reviewer:<b>ann"},
        {"tag": "clip:held", "partner": "other", "job": "clip_b"},
    )
    world.reviewer("ann")
    world.reviewer("cleo", role="auditor")
    world.reviewer("rex", role="regulator")
    world.grant("rex", make_filter({"partner": ["acme"]}))
    world.integrate()
    return world


def get(world: World, path: str, **query: str) -> Any:
    return world.client.get(path, params=query, follow_redirects=False)


def shown(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [
        int(n) for n in re.findall(r'<td><a href="/console/audit/entries/(\d+)">', answer.text) if int(n) < 3
    ]


def test_an_auditor_asks_looks_and_takes_away(read: World) -> None:
    sign_in(read, "cleo")
    assert shown(get(read, "/console/audit")) == [0, 1, 2]
    page = get(read, "/console/audit", tag="clip:held", partner="acme", rule="", since="2020-01-01")
    assert shown(page) == [1]
    assert "&lt;b&gt;ann" in page.text
    assert "<option selected>clip:held</option>" in page.text
    assert 'value="acme"' in page.text
    assert "clip:held" in get(read, "/console/audit/entries/1").text
    leaf = next(row.leaf for row in read.rows(AuditEvent) if row.id == 2)
    proof = get(read, "/console/audit/entries/1/proof").text
    assert verify_proof(proof, leaf, read.client.app.state.tools.trust).size >= 3
    exported = get(read, "/console/audit/export/jsonl", tag="clip:held").text
    assert leaf.decode() in exported
    archive = zipfile.ZipFile(io.BytesIO(get(read, "/console/audit/requests/clip_a/bundle").content))
    assert archive.testzip() is None
    assert not list((read.folder / "scratch").glob("bundle-*"))


def test_a_regulator_sees_the_scope_alone(read: World) -> None:
    answer = sign_in(read, "rex")
    assert answer.headers["Location"] == "/console/audit"
    page = get(read, "/console/audit")
    assert shown(page) == [0, 1]
    assert "partner: acme" in page.text
    for path in (
        "/console/audit/entries/2",
        "/console/audit/entries/2/proof",
        "/console/audit/requests/clip_b/bundle",
    ):
        assert get(read, path).status_code == 404, path
        sign_in(read, "cleo")
        assert get(read, path).status_code == 200, "the control"
        sign_in(read, "rex")
    assert "clip_b" not in get(read, "/console/audit/export/csv").text
    held = read.place(State.HELD)
    for route in (*console.router.routes, *keys.router.routes, *grants_console.router.routes):
        assert isinstance(route, APIRoute)
        if "GET" in route.methods and route.path != "/console/login":
            path = re.sub(r"\{(\w+)[^}]*\}", lambda part: held.id if part[1] == "job_id" else "1", route.path)
            assert get(read, path, number="0", start="0", end="1").status_code == 403, path


@pytest.mark.parametrize("who", ["", "ann", "ada", "expired"])
def test_the_pages_are_for_those_with_a_grant(read: World, who: str) -> None:
    read.client.cookies.clear()
    if who:
        sign_in(read, "cleo" if who == "expired" else who)
    if who == "expired":
        read.clock.advance(31 * 86_400)
    for route in audit_console.router.routes:
        assert isinstance(route, APIRoute)
        path = route.path.format(index=0, job_id="clip_a", form="csv")
        for method in route.methods:
            form = {"form_token": "x"} if method == "POST" else None
            answer = read.client.request(method, path, data=form, follow_redirects=False)
            assert answer.status_code == (403 if who else 303), (method, path)
            assert "clip_a" not in answer.text.replace(path, "")


def test_bad_questions_are_told_on_the_page(read: World) -> None:
    sign_in(read, "cleo")
    for query in (
        {"since": "2026-02-01", "until": "2026-01-01"},
        {"since": "soon"},
        {"tag": "clip:lost"},
        {"colour": "red"},
        {"cursor": "A" * 32},
    ):
        answer = get(read, "/console/audit", **query)
        assert answer.status_code == 422, query
        assert 'role="alert"' in answer.text


def test_a_token_is_shown_once_and_works(read: World) -> None:
    sign_in(read, "rex")
    form = {"form_token": token_of(get(read, "/console/audit").text)}
    page = read.client.post("/console/audit/token", data=form)
    token = re.search(r"gla_[\w-]+", page.text)
    assert token
    headers = {"Authorization": f"Bearer {token[0]}"}
    assert read.client.get("/v1/audit/events", headers=headers).status_code == 200
    assert token[0] not in get(read, "/console/audit").text


def test_grants_take_two_admins(read: World) -> None:
    read.reviewer("ron", role="regulator")
    form = {"person": "ron", "days": "7", "reason": "case 19", "partner": "acme other"}
    sign_in(read, "ada")
    token = {"form_token": token_of(get(read, "/console/grants").text)}
    read.client.post("/console/grants/propose", data=form | token)
    grant = next(row for row in read.rows(AuditGrant) if row.person == "ron")
    assert (grant.state, grant.scope) == ("proposed", {"partner": ["acme", "other"]})
    mine = read.client.post(f"/console/grants/{grant.id}/approve", data=token)
    assert mine.status_code == 409
    sign_in(read, "ann")
    assert read.client.post(f"/console/grants/{grant.id}/approve", data=token).status_code == 403
    sign_in(read, "ben")
    token = {"form_token": token_of(get(read, "/console/grants").text)}
    stale = read.client.post(f"/console/grants/{grant.id}/approve", data={"form_token": "x"})
    assert stale.status_code == 403
    assert read.client.post(f"/console/grants/{grant.id}/approve", data=token).status_code == 200
    states = {row.id: row.state for row in read.rows(AuditGrant)}
    assert states[grant.id] == "active"
    read.client.post(f"/console/grants/{grant.id}/revoke", data=token | {"reason": "closed"})
    assert {row.id: row.state for row in read.rows(AuditGrant)}[grant.id] == "revoked"
