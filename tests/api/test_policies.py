"""Policies and restricted users as partners, reviewers and admins meet them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.tables import EndUser, PolicyFile
from pipeline.strikes import alias
from tests.api.world import PASSWORD, World, make_world
from tests.conftest import ManualClock
from tests.doubles import reading
from tests.pipeline.test_packs import overlay, pack

HATE = {"category": "hate", "term": "t", "span": [0, 3], "view": "text", "intent": "promote"}


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> World:
    made = make_world(tmp_path, clock)
    for name, role in (("ada", "admin"), ("ben", "admin"), ("ann", "reviewer"), ("aud", "auditor")):
        if name not in {row.name for row in made.rows(_reviewer())}:
            made.reviewer(name, role)
    return made


def _reviewer() -> Any:
    from core.tables import Reviewer

    return Reviewer


def sign_in(world: World, name: str) -> str:
    world.client.cookies.clear()
    page = world.client.get("/console/login")
    token = page.text.split('name="form_token" value="')[1].split('"')[0]
    world.client.post("/console/login", data={"name": name, "password": PASSWORD, "form_token": token})
    page = world.client.get("/console/policies").text
    return page.split('name="form_token" value="')[1].split('"')[0]


def post(world: World, token: str, path: str, **form: str) -> Any:
    return world.client.post(f"/console/{path}", data={"form_token": token, **form}, follow_redirects=False)


def reads(world: World, *hits: dict[str, Any]) -> None:
    from dataclasses import replace

    reader = lambda _s, text, _m: reading(text) | {"hits": list(hits)}  # noqa: E731
    world.tools = replace(world.tools, read_prompt=reader)
    world.client.app.state.tools = world.tools  # type: ignore[attr-defined]


def test_two_admins_activate_a_pack_in_the_console(world: World) -> None:
    token = sign_in(world, "ada")
    assert post(world, token, "policies/add", text=pack().decode()).status_code == 303
    (digest,) = [row.sha256 for row in world.rows(PolicyFile)]
    assert post(world, token, f"policies/{digest}/shadow").status_code == 303
    refused = post(world, token, f"policies/{digest}/activate")
    assert (refused.status_code, "another admin" in refused.text) == (409, True)
    token = sign_in(world, "ben")
    assert post(world, token, f"policies/{digest}/activate").status_code == 303
    assert post(world, token, "policies/add", text=overlay().decode()).status_code == 303
    page = world.client.get("/console/policies").text
    assert "house 1" in page
    assert "0.8 → 0.5" in page
    told = world.client.post("/v1/precheck", json={"prompt": "Waves"}, headers=world.acme).json()
    assert told["policy"]["sha256"] == digest
    assert post(world, token, "policies/rollback", reason="it was wrong").status_code == 303
    told = world.client.post("/v1/precheck", json={"prompt": "Waves"}, headers=world.acme).json()
    assert told["policy"]["name"] == "default"


def test_only_admins_change_policies_and_only_with_their_own_form(world: World) -> None:
    for name in ("ann", "aud"):
        token = sign_in(world, name)
        assert post(world, token, "policies/add", text=pack().decode()).status_code == 403
    sign_in(world, "ada")
    assert post(world, "stale", "policies/add", text=pack().decode()).status_code == 403
    assert world.rows(PolicyFile) == []
    token = sign_in(world, "ada")
    bad = post(world, token, "policies/add", text="rules: [")
    assert (bad.status_code, "not readable as YAML" in bad.text) == (422, True)


def test_a_partner_sees_how_its_user_stands_appeals_and_staff_lift(world: World) -> None:
    reads(world, HATE)
    for _ in range(3):
        world.drive(world.ask(end_user="jane-77").json()["id"])
    told = world.client.get("/v1/users/jane-77", headers=world.acme).json()
    assert (told["end_user"], told["level"], told["strikes"]) == ("jane-77", "slow", 3)
    assert world.client.get("/v1/users/jane-77", headers=world.other).json()["level"] == "none"
    reason = {"reason": "an account that many share"}
    assert world.client.post("/v1/users/jane-77/appeal", json=reason, headers=world.other).status_code == 409
    assert world.client.post("/v1/users/jane-77/appeal", json=reason, headers=world.acme).status_code == 200
    assert world.client.post("/v1/users/jane-77/appeal", json=reason, headers=world.acme).status_code == 409
    name = alias(world.tools.vault, "acme", "jane-77")
    token = sign_in(world, "ann")
    page = world.client.get("/console/users").text
    assert name in page
    assert "jane-77" not in page
    assert post(world, token, f"users/acme/{name}/lift", reason="").status_code == 422
    assert post(world, token, f"users/acme/{name}/lift", reason="it is shared").status_code == 303
    assert world.client.get("/v1/users/jane-77", headers=world.acme).json()["level"] == "none"
    assert world.rows(EndUser)[0].appealed_ms is None


def test_an_auditor_lifts_nothing_and_a_name_is_no_id(world: World) -> None:
    token = sign_in(world, "aud")
    assert post(world, token, "users/acme/user_x/lift", reason="long enough").status_code == 403
    assert world.ask(end_user="Jane Doe").status_code == 422
    assert world.client.get("/v1/users/Jane%20Doe", headers=world.acme).status_code == 422
