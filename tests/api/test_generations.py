from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlmodel import select

from api import generations
from core.clock import milliseconds
from core.state import CANCELLABLE, State
from core.tables import AuditEvent, IdempotencyKey, Job, Partner, Ruling
from tests.api.world import PROMPT, World, stream
from tests.doubles import Eyes, reading, sighting_of


def test_a_request_is_accepted_and_can_be_followed(world: World) -> None:
    answer = world.ask()
    assert answer.status_code == 202
    made = answer.json()
    assert made["state"] == "received"
    assert made["links"]["self"] == f"/v1/generations/{made['id']}"
    assert "content" not in made["links"]
    world.drive(made["id"])
    shown = world.client.get(made["links"]["self"], headers=world.acme).json()
    assert shown["state"] == "released"
    assert shown["decision"]["decision"] == "allow"
    world.integrate()
    for link in shown["links"].values():
        assert world.client.get(link, headers=world.acme).status_code == 200


def test_the_same_key_is_the_same_request(world: World) -> None:
    headers = world.acme | {"Idempotency-Key": "take 1"}
    first, again = world.ask(headers), world.ask(headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    changed = world.ask(headers, seed=2)
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    assert world.ask(world.other | {"Idempotency-Key": "take 1"}).json()["id"] != first.json()["id"]
    assert world.ask().json()["id"] != first.json()["id"]


def test_many_at_once_under_one_key_make_one_request(world: World) -> None:
    async def storm(keys: list[str]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=world.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=60) as client:
            posts = [
                client.post(
                    "/v1/generations",
                    json={"prompt": PROMPT, "seed": 1},
                    headers=world.acme | {"Idempotency-Key": key},
                )
                for key in keys
            ]
            return list(await asyncio.gather(*posts))

    answers = asyncio.run(storm(["same"] * 32))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(world.rows(Job)) == len(world.rows(IdempotencyKey)) == 1
    asyncio.run(storm([f"other {number}" for number in range(4)]))
    assert len(world.rows(Job)) == 5, "the control: other keys are other requests"


@pytest.mark.parametrize("quota", [{"per_minute": 2}, {"at_once": 2}])
def test_a_quota_is_kept(world: World, quota: dict[str, int]) -> None:
    with world.tools.store.session() as session:
        session.merge(Partner(id="acme", name="acme", created_ms=0, **quota))
        session.commit()
    headers = world.acme | {"Idempotency-Key": "first"}
    assert [world.ask(headers).status_code, world.ask().status_code] == [202, 202]
    refused = world.ask()
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    assert world.ask(headers).status_code == 202, "a repeated request costs nothing"
    assert world.ask(world.other).status_code == 202


def test_the_list_is_paged_newest_first(world: World) -> None:
    made = []
    for number in range(5):
        world.clock.advance(number % 2)  # some share a millisecond
        made.append(world.ask().json()["id"])
    seen, after = [], ""
    while True:
        page = world.client.get(f"/v1/generations?limit=2{after}", headers=world.acme).json()
        seen += [item["id"] for item in page["data"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert sorted(seen) == sorted(made)
    created = [world.job(name).created_ms for name in seen]
    assert created == sorted(created, reverse=True)
    held = world.place(State.HELD)
    listed = world.client.get("/v1/generations?state=held", headers=world.acme).json()["data"]
    assert [item["id"] for item in listed] == [held.id]
    assert world.client.get(f"/v1/generations?after={held.id}", headers=world.other).status_code == 404


def test_a_released_file_is_served_in_ranges(world: World) -> None:
    job = world.drive(world.ask().json()["id"])
    path = f"/v1/generations/{job.id}/content"
    whole = world.client.get(path, headers=world.acme)
    assert whole.status_code == 200
    assert whole.content.endswith(b"|signed")
    assert whole.headers["Content-Type"] == "video/mp4"
    part = world.client.get(path, headers=world.acme | {"Range": "bytes=5-104"})
    assert (part.status_code, part.content) == (206, whole.content[5:105])
    assert part.headers["Content-Range"] == f"bytes 5-104/{len(whole.content)}"
    tail = world.client.get(path, headers=world.acme | {"Range": "bytes=-7"})
    assert (tail.status_code, tail.content) == (206, b"|signed")
    beyond = world.client.get(path, headers=world.acme | {"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(whole.content)}"
    assert world.client.get(path, headers=world.acme | {"Range": "bytes=x-y"}).status_code == 400


@pytest.mark.parametrize("state", State)
def test_a_request_can_be_cancelled_up_to_signed(world: World, state: State) -> None:
    job = world.place(state)
    world.clock.advance(1)
    answer = world.client.post(f"/v1/generations/{job.id}/cancel", headers=world.acme)
    if state in CANCELLABLE or state is State.CANCELLED:
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert world.job(job.id).state == State.CANCELLED
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert world.job(job.id).state == state


def test_a_worker_who_is_at_it_is_told_to_stop(world: World) -> None:
    until_ms = milliseconds(world.clock.now()) + 1000
    job = world.place(State.ADMITTED, lease_until_ms=until_ms, holder="busy", fence=1)
    told = world.client.post(f"/v1/generations/{job.id}/cancel", headers=world.acme).json()
    assert (told["state"], told["cancelling"]) == ("admitted", True)
    world.clock.advance(2)
    assert world.drive(job.id).state == State.CANCELLED
    shown = world.client.get(f"/v1/generations/{job.id}", headers=world.acme).json()
    assert (shown["state"], shown["cancelling"]) == ("cancelled", False)


def _events(body: bytes) -> list[dict[str, str]]:
    blocks = body.decode().replace("\r\n", "\n").strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_events_are_followed_live_and_resumed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "POLL_SECONDS", 0.02)
    job_id = world.ask().json()["id"]
    path = f"/v1/generations/{job_id}/events"
    worker = threading.Thread(target=world.drive, args=(job_id,))
    worker.start()
    status, body = stream(world, path, world.acme, until=lambda _got: False)
    worker.join()
    events = _events(body)
    named = [event for event in events if "id" in event]
    assert status == 200
    assert events[-1] == {"event": "end", "data": '{"state": "released"}'}
    assert named[0]["event"] == "request:received"
    assert named[-1]["event"] == "clip:released"
    assert len({event["id"] for event in named}) == len(named)
    middle = named[3]["id"]
    resumed = world.client.get(path, headers=world.acme | {"Last-Event-ID": middle})
    assert [event for event in _events(resumed.content) if "id" in event] == named[4:]


def test_a_caller_who_hangs_up_ends_the_stream(world: World) -> None:
    job = world.place(State.HELD)
    status, body = stream(
        world, f"/v1/generations/{job.id}/events", world.acme, until=lambda got: b"progress" in got
    )
    assert status == 200
    assert _events(body)[0]["event"] == "progress"


def _read_as(world: World, **facts: Any) -> None:
    tools = replace(world.tools, read_prompt=lambda _session, text, _modality: reading(text, **facts))
    world.tools = world.client.app.state.tools = tools


def _hit(category: str, **more: Any) -> dict[str, Any]:
    return {"category": category, "term": "heron", "span": [2, 7], "view": "plain", "intent": ""} | more


def test_a_grave_refusal_says_little_to_the_caller(world: World) -> None:
    _read_as(world, hits=[_hit("minors_sexual")])
    job = world.drive(world.ask().json()["id"])
    assert job.state == State.REFUSED
    told = world.client.get(f"/v1/generations/{job.id}/explanation", headers=world.acme).json()
    (rule,) = [rule for rule in told["decisions"][0]["rules"] if rule["outcome"] == "refuse"][:1]
    assert set(rule) == {"id", "outcome", "reason_code", "category", "message"}
    assert "facts" not in told["decisions"][0]
    assert "heron" not in json.dumps(told)
    kept = world.rows(Ruling)[0].decision
    assert "heron" in json.dumps(kept["facts"]), "the control: the house itself knows why"


def test_an_ordinary_hold_says_what_to_change(world: World) -> None:
    _read_as(world, hits=[_hit("sexual", intent="nudity")])
    job = world.drive(world.ask().json()["id"])
    assert job.state == State.HELD
    told = world.client.get(f"/v1/generations/{job.id}/explanation", headers=world.acme).json()
    (rule,) = told["decisions"][0]["rules"]
    assert rule["reason_code"] == "nudity"
    assert rule["advice"]
    assert rule["evidence"][0]["span"] == [2, 7]
    assert "facts" not in told["decisions"][0]


def test_the_receipt_names_what_made_it_but_no_reviewer(world: World) -> None:
    tools = replace(
        world.tools, detectors=(Eyes("likeness", findings=(sighting_of("person_x"),)), Eyes("voice"))
    )
    world.tools = world.client.app.state.tools = tools
    job = world.drive(world.ask().json()["id"])
    world.reviewer("secretive ann")
    from pipeline.review import decide

    with tools.store.session() as session:
        decide(
            session,
            job.id,
            "approve",
            reviewer="secretive ann",
            reason="It is fine.",
            clock=world.clock,
            vault=world.tools.vault,
        )
        session.commit()
    job = world.drive(job.id)
    assert job.state == State.RELEASED
    receipt = world.client.get(f"/v1/generations/{job.id}/receipt", headers=world.acme)
    told = receipt.json()
    assert told["engine"]["name"] == "tiny"
    assert told["development_doubles"] == {"engine": "tiny"}
    assert told["watermark_id"] == job.payload
    assert [review["approved"] for review in told["reviews"]] == [True]
    assert "secretive" not in receipt.text


def test_a_precheck_leaves_only_its_event(world: World) -> None:
    before, files = world.contents()
    answer = world.client.post("/v1/precheck", json={"prompt": PROMPT}, headers=world.acme)
    assert (answer.status_code, answer.json()["decision"]) == (200, "allow")
    after, files_after = world.contents()
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "auditevent": 1
    }
    assert files_after == files
    with world.tools.store.reading() as session:
        event = session.exec(select(AuditEvent)).one()
    assert event.tag == "policy:precheck"
    assert PROMPT.encode() not in event.leaf
    _read_as(world, hits=[_hit("minors_sexual")])
    refused = world.client.post("/v1/precheck", json={"prompt": PROMPT}, headers=world.acme)
    assert (refused.status_code, refused.json()["decision"]) == (200, "refuse")


def test_sound_for_an_uploaded_video(world: World) -> None:
    source = world.upload("video")
    asked = {"prompt": PROMPT, "source": source, "seed": 1}
    answer = world.client.post("/v1/soundtracks", json=asked, headers=world.acme)
    assert (answer.status_code, answer.json()["kind"]) == (202, "soundtrack")
    picture = asked | {"source": world.upload("picture")}
    assert world.client.post("/v1/soundtracks", json=picture, headers=world.acme).status_code == 422


def test_an_unknown_territory_is_refused_and_a_known_one_is_not(world: World) -> None:
    wanted = {"prompt": "Waves at dawn", "territory": "Atlantis"}
    refused = world.client.post("/v1/generations", json=wanted, headers=world.acme)
    assert refused.status_code == 422
    assert "no labelling rules" in refused.json()["detail"]
    wanted |= {"territory": "US-NY", "purpose": "advertising", "draft": True}
    assert world.client.post("/v1/generations", json=wanted, headers=world.acme).status_code == 202


def test_a_released_draft_is_made_final_once_by_its_partner_alone(world: World) -> None:
    ask = {"seconds": 1.0, "width": 64, "height": 64, "fps": 24, "picture": True, "sound": True, "seed": 1}
    ask |= {"engine": "tiny", "identities": [], "references": [], "source": None, "draft": True}
    drafted = world.place(State.RELEASED, ask=ask, territory="DE")
    way = f"/v1/generations/{drafted.id}/final"
    assert world.client.post(way, headers=world.other).status_code == 404
    again = world.acme | {"Idempotency-Key": "final"}
    first, second = (world.client.post(way, headers=again) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"] != drafted.id
    final = f"/v1/generations/{first.json()['id']}/final"
    assert world.client.post(final, headers=world.acme).status_code == 409


def test_a_request_that_has_ended_is_forgotten_on_demand(world: World) -> None:
    going, ended = world.place(State.HELD).id, world.place(State.RELEASED).id
    assert world.client.delete(f"/v1/generations/{going}", headers=world.acme).status_code == 409
    assert world.client.delete(f"/v1/generations/{ended}", headers=world.other).status_code == 404
    with world.tools.store.reading() as session:
        assert session.get_one(Job, ended).prompt, "the control"
    assert world.client.delete(f"/v1/generations/{ended}", headers=world.acme).status_code == 204
    with world.tools.store.reading() as session:
        assert session.get_one(Job, ended).prompt == ""
    assert world.tags().count("subject:erased") == 1
    assert world.client.get(f"/v1/generations/{ended}/receipt", headers=world.acme).status_code == 200
    assert world.client.get(f"/v1/generations/{ended}/explanation", headers=world.acme).status_code == 200
    assert world.client.get(f"/v1/generations/{ended}/content", headers=world.acme).status_code == 200
