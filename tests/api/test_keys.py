"""Keys in the console, on the command line and in the metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from api.cli import app as cli
from core.state import State
from core.tables import GateKey
from pipeline.keyring import first_keys
from tests.api.test_console import sign_in, token_of
from tests.api.world import PASSWORD, World


@pytest.fixture
def staffed(world: World) -> World:
    for name, role in (("ann", "admin"), ("bob", "admin"), ("cleo", "reviewer"), ("dora", "auditor")):
        world.reviewer(name, role=role)
    first_keys(world.tools.store, world.tools.settings, world.folder / "keys", world.clock)
    return world


def keys(world: World, state: str) -> list[str]:
    with world.tools.store.reading() as session:
        return list(session.exec(select(GateKey.id).where(GateKey.kind == "mark", GateKey.state == state)))


def post(world: World, way: str, **form: str) -> Any:
    token = token_of(world.client.get("/console/keys").text)
    return world.client.post(
        f"/console/keys/{way}", data={"form_token": token} | form, follow_redirects=False
    )


def test_two_admins_rotate_a_watermark_key(staffed: World) -> None:
    (old,) = keys(staffed, "active")
    sign_in(staffed, "ann")
    assert post(staffed, "propose").status_code == 303
    (new,) = keys(staffed, "proposed")
    refused = post(staffed, f"{new}/approve")
    assert refused.status_code == 409
    assert "another admin must approve" in refused.text
    assert keys(staffed, "active") == [old]
    sign_in(staffed, "bob")
    assert post(staffed, f"{new}/approve").status_code == 303
    assert (keys(staffed, "active"), keys(staffed, "retired")) == ([new], [old])
    assert staffed.tools.ring.marking().id == new


@pytest.mark.parametrize("name", ["cleo", "dora"])
def test_others_look_and_change_nothing(staffed: World, name: str) -> None:
    (active,) = keys(staffed, "active")
    sign_in(staffed, name)
    page = staffed.client.get("/console/keys")
    assert page.status_code == 200
    assert active in page.text
    assert "Revoke" not in page.text
    for way in ("propose", f"{active}/approve", f"{active}/revoke"):
        assert post(staffed, way, reason="because I can").status_code == 403
    assert keys(staffed, "active") == [active]


def test_a_form_from_elsewhere_changes_nothing(staffed: World) -> None:
    (active,) = keys(staffed, "active")
    sign_in(staffed, "ann")
    form = {"form_token": "forged", "reason": "because I can"}
    answer = staffed.client.post(f"/console/keys/{active}/revoke", data=form, follow_redirects=False)
    assert answer.status_code == 403
    assert keys(staffed, "active") == [active]


def test_one_admin_revokes_and_the_page_says_what_waits(staffed: World) -> None:
    (active,) = keys(staffed, "active")
    staffed.place(State.CLEARED, problem="There is no active mark key")
    sign_in(staffed, "ann")
    assert post(staffed, f"{active}/revoke", reason="no").status_code == 422
    assert post(staffed, f"{active}/revoke", reason="it leaked").status_code == 303
    assert keys(staffed, "revoked") == [active]
    assert "<strong>1</strong> clip waits" in staffed.client.get("/console/keys").text


def test_the_page_and_the_metrics_tell_how_long_a_certificate_lasts(staffed: World) -> None:
    sign_in(staffed, "ann")
    page = staffed.client.get("/console/keys").text
    assert "development CA" in page
    assert "expires in" not in page
    staffed.clock.advance(350 * 86_400)
    sign_in(staffed, "ann")
    assert "Its certificate expires in 15 days" in staffed.client.get("/console/keys").text
    staffed.clock.advance(30 * 86_400)
    sign_in(staffed, "ann")
    assert "has expired" in staffed.client.get("/console/keys").text
    (line,) = [
        line
        for line in staffed.client.get("/metrics").text.splitlines()
        if line.startswith("greenlight_signing_certificate_expires_seconds{")
    ]
    assert 'state="active"' in line
    assert float(line.split()[-1]) == pytest.approx(-(14 * 86_400 + 3600), abs=5)


def test_from_the_command_line_it_takes_two_passwords(tmp_path: Path) -> None:
    environment = {"GREENLIGHT_DATA_DIR": str(tmp_path), "COLUMNS": "200"}

    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, list(words), env=environment)

    for name in ("ann", "bob"):
        assert run("review", "add", name, "--role", "admin", "--password", PASSWORD).exit_code == 0
    assert run("review", "add", "cleo", "--password", PASSWORD).exit_code == 0
    ann, bob, cleo = (("--as", name, "--password", PASSWORD) for name in ("ann", "bob", "cleo"))
    proposed = json.loads(run("keys", "propose", "mark", *ann, "--json").stdout)
    assert (proposed["state"], proposed["proposed_by"]) == ("proposed", "ann")
    assert run("keys", "approve", proposed["id"], *ann).exit_code == 2
    assert run("keys", "approve", proposed["id"], *cleo).exit_code == 3
    assert run("keys", "approve", proposed["id"], "--as", "bob", "--password", "a wrong one").exit_code == 3
    assert run("keys", "approve", proposed["id"][:6], *bob).exit_code == 0
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert {(row["kind"], row["state"]) for row in listed} == {
        ("claim", "active"),
        ("mark", "active"),
        ("mark", "retired"),
    }
    checked = json.loads(run("keys", "check", "--json").stdout)
    assert checked["signs"]
    assert {one["code"] for one in checked["departures"]} == {"assurance", "ocsp"}
    assert run("keys", "revoke", checked["id"], *ann, "--reason", "for a test").exit_code == 0
    assert run("keys", "check").exit_code == 2
