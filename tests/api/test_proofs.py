from __future__ import annotations

import json

import pytest

from audits.log.proof import parse_proof, verify_proof
from audits.log.writer import log_key
from core.state import State
from tests.api.test_console import decide, held, sign_in
from tests.api.world import World


def policy(world: World) -> object:
    return log_key(world.folder / "keys" / "log", world.tools.settings.log_origin).policy


def test_a_partner_proves_how_a_request_ended(world: World) -> None:
    job = world.ask().json()["id"]
    path = f"/v1/generations/{job}/proof"
    early = world.client.get(path, headers=world.acme)
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert "received" in early.json()["detail"]
    assert world.drive(job).state == State.RELEASED
    waiting = world.client.get(path, headers=world.acme)
    assert waiting.status_code == 409
    assert "ask again" in waiting.json()["detail"]
    world.integrate()
    answer = world.client.get(path, headers=world.acme)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Disposition"].endswith('.tlog-proof"')
    verify_proof(answer.text, None, policy(world))
    leaf = json.loads(parse_proof(answer.text).leaf)
    assert (leaf["tag"], leaf["job"]) == ("clip:released", job)
    receipt = world.client.get(f"/v1/generations/{job}/receipt", headers=world.acme).json()
    assert receipt["proof"] == path
    assert world.client.get(path, headers=world.other).status_code == 404


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_reviewer_proves_what_was_decided(world: World, verdict: str) -> None:
    world.reviewer("ann")
    job = held(world)
    sign_in(world)
    assert decide(world, job, verdict).status_code == 303
    world.integrate()
    page = world.client.get(f"/console/clips/{job.id}").text
    links = [part.split('"')[0] for part in page.split('href="') if "/proofs/" in part.split('"')[0]]
    told = [json.loads(parse_proof(world.client.get(link).text).leaf) for link in links]
    assert [leaf["tag"] for leaf in told] == ["review:decided", *["clip:rejected"] * (verdict == "reject")]
    assert told[0]["facts"]["verdict"] == verdict
    for elsewhere in ("/console/clips/clip_0/proofs/", f"/console/clips/{job.id}/proofs/999"):
        assert world.client.get(elsewhere + links[0].rsplit("/", 1)[1]).status_code == 404
    world.client.cookies.clear()
    assert world.client.get(links[0], follow_redirects=False).status_code == 303
