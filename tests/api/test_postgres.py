"""What only shows where writers run side by side and texts are stored strictly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from core.state import State
from core.store import open_store
from core.tables import IdempotencyKey, Job
from tests.api.world import PASSWORD, PROMPT, World, make_world
from tests.conftest import ManualClock, listening

SCHEMA = "greenlight_api"
SERVER = "postgresql://root@127.0.0.1/test"
URL = f"postgresql+psycopg://root@127.0.0.1/test?options=-csearch_path%3D{SCHEMA}"
pytestmark = pytest.mark.services


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    if not listening(5432):
        pytest.skip("needs PostgreSQL on port 5432")
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        server.execute(f"CREATE SCHEMA {SCHEMA}")
    made = make_world(tmp_path, clock, store=open_store(URL))
    with made.client:
        yield made
    made.tools.store.close()


def test_many_at_once_under_one_key_make_one_request(world: World) -> None:
    async def storm() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=world.client.app)
        headers = world.acme | {"Idempotency-Key": "same"}
        async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=60) as client:
            body = {"prompt": PROMPT, "seed": 1}
            posts = [client.post("/v1/generations", json=body, headers=headers) for _ in range(32)]
            return list(await asyncio.gather(*posts))

    answers = asyncio.run(storm())
    assert [answer.status_code for answer in answers] == [202] * 32
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(world.rows(Job)) == len(world.rows(IdempotencyKey)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/generations/%00", None),
        ("GET", "/v1/generations?after=%00", None),
        ("POST", "/v1/generations", {"prompt": PROMPT, "references": ["\0"]}),
        ("POST", "/v1/generations", {"prompt": PROMPT, "project": "\0"}),
        ("POST", "/v1/generations", {"prompt": PROMPT, "engine": "\0"}),
        ("POST", "/v1/soundtracks", {"prompt": PROMPT, "source": "\0"}),
        ("POST", "/v1/identities", {"name": "\0"}),
        ("POST", "/v1/identities", {"name": "\ud800"}),
        ("POST", "/v1/identities/person_%00/enrolments", {"kind": "likeness", "references": ["x"]}),
        ("DELETE", "/v1/consents/%00", None),
    ],
)
def test_what_the_database_cannot_hold_is_turned_away(
    world: World, method: str, path: str, body: dict[str, object] | None
) -> None:
    headers = world.acme | {"Content-Type": "application/json"}
    answer = world.client.request(method, path, headers=headers, content=json.dumps(body))
    assert answer.status_code in {404, 422}


def test_a_name_that_cannot_be_is_nobodys(world: World) -> None:
    world.reviewer("ann")
    token = world.client.get("/console/login").text.split('name="form_token" value="')[1].split('"')[0]
    for name, key in (("\0", ""), ("ann", "\0")):
        form = {"name": name, "password": "x" + key, "form_token": token}
        assert world.client.post("/console/login", data=form).status_code in {401, 422}
    signed_in = {"name": "ann", "password": PASSWORD, "form_token": token}
    page = world.client.post("/console/login", data=signed_in)
    assert page.url.path == "/console/", "the control"
    job = world.place(State.HELD)
    world.rule(job)
    assert world.client.get("/console/clips/%00").status_code == 422
    page = world.client.get(f"/console/clips/{job.id}")
    token = page.text.split('name="form_token" value="')[1].split('"')[0]
    form = {"form_token": token, "verdict": "reject", "reason": "no\0no\0no"}
    assert world.client.post(f"/console/clips/{job.id}/decide", data=form).status_code == 422
    wrong = {"Authorization": "Bearer glk_\x00_x"}
    assert world.client.get("/v1/generations", headers=wrong).status_code == 401
