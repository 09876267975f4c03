from __future__ import annotations

import io
import json
import re
import wave
from typing import Any

import cv2
import numpy as np
import pytest

from core.decision import RuleHit
from core.media.write import Mezzanine
from core.state import State
from core.tables import AuditEvent, Job, KeptReference, Review, Ruling
from tests.api.world import PASSWORD, PERSON, World

GREEN = (40, 220, 60)
RATE = 8000


def token_of(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def sign_in(world: World, name: str = "ann", password: str = PASSWORD) -> Any:
    world.client.cookies.clear()
    page = world.client.get("/console/login").text
    form = {"name": name, "password": password, "form_token": token_of(page)}
    return world.client.post("/console/login", data=form, follow_redirects=False)


@pytest.fixture
def staffed(world: World) -> World:
    for name in ("ann", "bob"):
        world.reviewer(name)
    world.reviewer("cleo", role="auditor")
    return world


def hit(*, grave: bool = False, **evidence: Any) -> RuleHit:
    return RuleHit(
        id="likeness_without_consent",
        outcome="hold",
        reason_code="likeness_without_consent",
        category="likeness",
        message="A protected person appears.",
        advice="Register a consent.",
        grave=grave,
        evidence=(evidence,) if evidence else (),
    )


def match(person: str, kind: str = "likeness", **more: Any) -> dict[str, Any]:
    span = {"start": 0.25, "end": 0.75, "score": 0.61, "threshold": 0.4}
    at = {"frame": 2, "box": [10, 8, 20, 16]} if kind == "likeness" else {"frame": -1, "box": []}
    return {"kind": kind, "identity": person, "track": "video"} | span | at | more


def look(world: World, job: Job, rule: int = 0) -> str:
    """Give the address of the evidence of a request's only decision."""
    (ruling,) = (row.id for row in world.rows(Ruling) if row.job == job.id)
    return f"/console/clips/{job.id}/evidence/{ruling}/{rule}/0"


def held(world: World, *hits: RuleHit, **facts: Any) -> Job:
    """Hold a request with a real mezzanine: four grey frames, a second of sound that is loud in the middle."""
    job = world.place(State.HELD)
    path = world.tools.blobs.path("private", str(job.mezzanine))
    path.unlink()
    samples = np.zeros((RATE, 1), np.float32)
    samples[RATE // 4 : 3 * RATE // 4] = 0.5
    with Mezzanine(path, width=64, height=64, fps=4, rate=RATE, channels=1) as writer:
        writer.sound(samples)
        for number in range(4):
            writer.frame(np.full((64, 64, 3), 50 * number, np.uint8))
    world.rule(job, *(hits or (hit(),)), **facts)
    return job


def decide(world: World, job: Job, verdict: str, reason: str = "It is my cousin.", **changes: str) -> Any:
    page = world.client.get(f"/console/clips/{job.id}").text
    form = {"form_token": token_of(page), "verdict": verdict, "reason": reason} | changes
    return world.client.post(f"/console/clips/{job.id}/decide", data=form, follow_redirects=False)


def test_signing_in_takes_the_right_name_and_password(staffed: World) -> None:
    for name, password in (("ann", "wrong"), ("nobody", PASSWORD), ("ann", ""), ("", "")):
        answer = sign_in(staffed, name, password)
        assert answer.status_code in {401, 422}
        assert staffed.client.get("/console/", follow_redirects=False).status_code == 303
    answer = sign_in(staffed)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    assert staffed.client.get("/console/").status_code == 200


def test_a_password_is_kept_as_argon2_only(staffed: World) -> None:
    stored = b"".join(path.read_bytes() for path in staffed.folder.glob("greenlight.db*"))
    assert PASSWORD.encode() not in stored
    assert stored.count(b"$argon2id$v=19$m=65536,t=3,p=4$") >= 3


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(staffed: World) -> None:
    cookie = sign_in(staffed).headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_cookie_that_was_changed_is_none(staffed: World) -> None:
    sign_in(staffed)
    value = staffed.client.cookies["greenlight"]
    staffed.client.cookies.clear()
    staffed.client.cookies["greenlight"] = "x" + value[1:]
    assert staffed.client.get("/console/", follow_redirects=False).status_code == 303
    staffed.client.cookies.clear()
    staffed.client.cookies["greenlight"] = value
    assert staffed.client.get("/console/").status_code == 200, "the control"


@pytest.mark.parametrize("token", ["", "stale", "é"])
def test_a_form_that_is_not_ours_changes_nothing(staffed: World, token: str) -> None:
    job = held(staffed)
    sign_in(staffed)
    answer = decide(staffed, job, "reject", form_token=token)
    assert answer.status_code in {403, 422}
    assert "text/html" in answer.headers["Content-Type"]
    assert staffed.job(job.id).state == State.HELD
    page = staffed.client.get("/console/").text
    for path in ("login", "logout"):
        form = {"name": "ann", "password": PASSWORD, "form_token": token}
        assert staffed.client.post(f"/console/{path}", data=form).status_code in {403, 422}
    assert decide(staffed, job, "reject").status_code == 303, "the control: our own form works"
    assert staffed.job(job.id).state == State.REJECTED
    signed_out = staffed.client.post("/console/logout", data={"form_token": token_of(page)})
    assert signed_out.url.path == "/console/login"
    assert staffed.client.get("/console/", follow_redirects=False).status_code == 303


def test_pages_opened_side_by_side_agree_and_each_session_has_its_own_token(staffed: World) -> None:
    def tokens() -> set[str]:
        sign_in(staffed)
        cookie = staffed.client.cookies["greenlight"]
        pages = []
        for _ in range(2):
            staffed.client.cookies.clear()
            staffed.client.cookies["greenlight"] = cookie
            pages.append(staffed.client.get("/console/").text)
        return {token_of(page) for page in pages}

    first, second = tokens(), tokens()
    assert len(first) == len(second) == 1
    assert first != second


def test_an_approval_with_a_reason_lets_the_clip_go_on(staffed: World) -> None:
    job = held(staffed)
    sign_in(staffed)
    refused = decide(staffed, job, "approve", reason=" ok ")
    assert refused.status_code == 422
    assert "Give a reason" in refused.text
    assert staffed.job(job.id).state == State.HELD
    assert decide(staffed, job, "approve").headers["Location"] == "/console/"
    assert staffed.job(job.id).state == State.CLEARED
    (review,) = staffed.rows(Review)
    assert (review.reviewer, review.approve, review.reason) == ("ann", True, "It is my cousin.")
    assert staffed.tags()[-2:] == ["review:decided", "clip:cleared"]
    late = decide(staffed, staffed.place(State.HELD), "approve")
    assert late.status_code == 409
    assert "Nothing has been decided" in late.text


def test_a_grave_hold_takes_two_people(staffed: World) -> None:
    job = held(staffed, hit(grave=True))
    sign_in(staffed)
    assert decide(staffed, job, "approve").headers["Location"] == f"/console/clips/{job.id}"
    assert staffed.job(job.id).state == State.HELD
    page = staffed.client.get(f"/console/clips/{job.id}").text
    assert "needs two different people" in page
    assert "It is my cousin." in page
    again = decide(staffed, job, "approve")
    assert again.status_code == 409
    assert "second person" in again.text
    assert staffed.job(job.id).state == State.HELD
    sign_in(staffed, "bob")
    assert decide(staffed, job, "approve").headers["Location"] == "/console/"
    assert staffed.job(job.id).state == State.CLEARED


def test_an_auditor_looks_and_does_not_decide(staffed: World) -> None:
    job = held(staffed)
    sign_in(staffed, "cleo")
    page = staffed.client.get(f"/console/clips/{job.id}")
    assert page.status_code == 200
    assert "Your decision" not in page.text
    token = token_of(page.text)
    form = {"form_token": token, "verdict": "approve", "reason": "I would like to."}
    refused = staffed.client.post(f"/console/clips/{job.id}/decide", data=form)
    assert refused.status_code == 403
    assert staffed.job(job.id).state == State.HELD


def test_a_prompt_is_shown_as_text(staffed: World) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    person = staffed.person(name=evil)
    job = held(staffed, hit(**match(person)), hit(kind="note", text=evil))
    with staffed.tools.store.session() as session:
        row = session.get_one(Job, job.id)
        row.prompt = row.project = row.problem = evil
        session.commit()
    sign_in(staffed)
    decide(staffed, job, "approve", reason=evil)
    for path in ("/console/", f"/console/clips/{job.id}"):
        page = staffed.client.get(path).text
        assert "<script" not in page
        assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_every_page_says_what_it_may_load(staffed: World) -> None:
    job = held(staffed)
    sign_in(staffed)
    for path in ("/console/login", "/console/", f"/console/clips/{job.id}", "/console/clips/clip_0"):
        answer = staffed.client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in answer.text
        assert 'style="' not in answer.text


def test_the_queue_shows_what_waits_and_why(staffed: World) -> None:
    first = held(staffed)
    staffed.clock.advance(60)
    second = held(staffed)
    staffed.place(State.RELEASED)
    sign_in(staffed)
    page = staffed.client.get("/console/").text
    assert page.index(first.id) < page.index(second.id)
    assert page.count("/console/clips/") == 2
    assert "likeness_without_consent" in page


def test_the_page_of_a_clip_shows_the_evidence_and_looking_is_logged(staffed: World) -> None:
    person = staffed.person()
    job = held(staffed, hit(**match(person)), hit(**match(person, "voice")))
    sign_in(staffed)
    page = staffed.client.get(f"/console/clips/{job.id}").text
    assert PERSON in page
    face, voice = (look(staffed, job, rule) for rule in (0, 1))
    for form in (f"{face}/face", f"{face}/frame", f"{voice}/voice", f"{voice}/spectrogram"):
        assert f'src="{form}"' in page
    assert page.count("No references of") == 2
    assert "0.610" in page
    assert "0.25" in page
    seen = [event for event in staffed.rows(AuditEvent) if event.tag == "audit:queried"]
    assert [(event.actor, event.job) for event in seen] == [(f"reviewer:{staffed.pseudonym('ann')}", job.id)]


def test_reviewers_read_what_the_caller_wrote_in_an_appeal(staffed: World) -> None:
    job, why = staffed.refused(), "It is <b>our</b> own script."
    sign_in(staffed)
    assert "Appeal of the caller" not in staffed.client.get(f"/console/clips/{job}").text
    appealed = staffed.client.post(
        f"/v1/generations/{job}/appeal", json={"reason": why}, headers=staffed.acme
    )
    assert (appealed.status_code, appealed.json()["state"]) == (200, State.HELD)
    page = staffed.client.get(f"/console/clips/{job}").text
    assert "It is &lt;b&gt;our&lt;/b&gt; own script." in page
    staffed.tools.vault.destroy([job])
    assert "own script" not in staffed.client.get(f"/console/clips/{job}").text


def decoded(answer: Any) -> Any:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png"), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)


def test_the_frame_has_the_box_in_it_and_the_face_is_cut_out(staffed: World) -> None:
    job = held(staffed, hit(**match("person_x")))
    sign_in(staffed)
    picture = decoded(staffed.client.get(f"{look(staffed, job)}/frame"))
    green = np.all(picture == GREEN, axis=2)
    ys, xs = np.nonzero(green)
    assert (xs.min(), ys.min()) == pytest.approx((10, 8), abs=1)
    assert (xs.max(), ys.max()) == pytest.approx((30, 24), abs=1)
    assert np.all(picture[~green] == 100), "it is the frame that was asked for, otherwise untouched"
    face = decoded(staffed.client.get(f"{look(staffed, job)}/face"))
    assert max(face.shape[:2]) == 320
    assert np.all(face == 100)


def test_the_voice_is_the_span_that_matched(staffed: World) -> None:
    job = held(staffed, hit(**match("person_x", "voice", start=0.3, end=0.7)))
    sign_in(staffed)
    answer = staffed.client.get(f"{look(staffed, job)}/voice")
    assert answer.headers["Content-Type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        loud = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    assert len(loud) == pytest.approx(0.4 * 16_000, abs=2)
    assert np.median(loud) == pytest.approx(0.5, abs=0.01)
    drawn = decoded(staffed.client.get(f"{look(staffed, job)}/spectrogram"))
    assert drawn.shape == (278, 900, 3)
    marked = np.flatnonzero(np.all(drawn[10:240] > 240, axis=(0, 2)))
    assert {round(column / 899, 1) for column in marked} == {0.3, 0.7}, "one second is shown in all"


def test_only_what_was_matched_is_shown(staffed: World) -> None:
    job = held(staffed, hit(**match("person_x")), hit(kind="likeness", why="small", start=0.0, end=1.0))
    other = held(staffed, hit(**match("person_x", "voice")))
    sign_in(staffed)
    assert staffed.client.get(f"{look(staffed, job)}/face").status_code == 200, "the control"
    ruling = look(staffed, other).split("/")[-3]
    for path in (
        f"{look(staffed, job)}/voice",
        f"{look(staffed, job, 1)}/face",
        f"{look(staffed, job, 2)}/face",
        f"/console/clips/{job.id}/evidence/{ruling}/0/0/voice",
        f"{look(staffed, job)}/references/1",
    ):
        assert staffed.client.get(path).status_code == 404, path
    for path in (f"{look(staffed, job)}/all", f"/console/clips/{job.id}/evidence/x/0/0/face"):
        assert staffed.client.get(path).status_code == 422, path
    assert staffed.client.get(f"/console/clips/{job.id}").status_code == 200


def test_every_look_at_a_face_or_a_voice_is_logged(staffed: World) -> None:
    job = held(staffed, hit(**match("person_x")), hit(**match("person_y", "voice")))
    sign_in(staffed)
    for rule, form in ((0, "face"), (0, "frame"), (1, "voice")):
        assert staffed.client.get(f"{look(staffed, job, rule)}/{form}").status_code == 200
    seen = [event for event in staffed.rows(AuditEvent) if event.tag == "evidence:shown"]
    assert [(event.identity, json.loads(event.leaf)["facts"]["form"]) for event in seen] == [
        ("person_x", "face"),
        ("person_x", "frame"),
        ("person_y", "voice"),
    ]
    assert {(event.actor, event.job) for event in seen} == {(f"reviewer:{staffed.pseudonym('ann')}", job.id)}


def test_faces_and_voices_are_for_reviewers_only(staffed: World) -> None:
    job = held(staffed, hit(**match("person_x")))
    path = f"{look(staffed, job)}/face"
    sign_in(staffed, "cleo")
    assert "shown to reviewers only" in staffed.client.get(f"/console/clips/{job.id}").text
    assert staffed.client.get(path).status_code == 403
    staffed.client.cookies.clear()
    for headers in ({}, staffed.acme):
        refused = staffed.client.get(path, headers=headers, follow_redirects=False)
        assert (refused.status_code, refused.headers["Location"]) == (303, "/console/login")
    assert "evidence:shown" not in staffed.tags()
    sign_in(staffed)
    assert staffed.client.get(path).status_code == 200, "the control"


def test_a_kept_reference_stands_beside_the_match(staffed: World) -> None:
    person, vault = staffed.person(), staffed.tools.vault
    kept = {}
    for kind in ("likeness", "voice"):
        sealed = vault.seal(person, kind.encode(), about=f"reference|{kind}", kind="person", now_ms=0)
        row = KeptReference(identity=person, kind=kind, sealed=sealed, created_ms=0)
        staffed.add(row)
        kept[kind] = row.id
    job = held(staffed, hit(**match(person)))
    sign_in(staffed)
    path = f"{look(staffed, job)}/references/{kept['likeness']}"
    assert path in staffed.client.get(f"/console/clips/{job.id}").text
    answer = staffed.client.get(path)
    assert (answer.content, answer.headers["Content-Type"]) == (b"likeness", "image/jpeg")
    wrong = staffed.client.get(f"{look(staffed, job)}/references/{kept['voice']}")
    assert wrong.status_code == 404
    vault.destroy([person])
    assert staffed.client.get(path).status_code == 503


def test_neighbours_are_for_reviewers_and_not_for_the_caller(staffed: World) -> None:
    other = staffed.person(name="Ada Frost")
    job = held(staffed, hit(**match("person_x", neighbours=[[other, 0.31]], snr_db=12.5, seen_as="mirrored")))
    sign_in(staffed)
    page = staffed.client.get(f"/console/clips/{job.id}").text
    assert "Ada Frost 0.310" in page
    assert "mirrored" in page
    told = staffed.client.get(f"/v1/generations/{job.id}/explanation", headers=staffed.acme)
    assert "12.5" in told.text, "the control"
    assert "neighbours" not in told.text
    assert other not in told.text


@pytest.mark.parametrize("state", State)
def test_private_media_are_shown_while_held_and_only_then(staffed: World, state: State) -> None:
    job = held(staffed, hit(**match("person_x")), hit(**match("person_x", "voice")))
    paths = [f"{look(staffed, job)}/face", f"{look(staffed, job, 1)}/voice"]
    with staffed.tools.store.session() as session:
        session.get_one(Job, job.id).state = state
        session.commit()
    sign_in(staffed)
    for path in paths if state in {State.HELD, State.RELEASED} else paths[:1]:
        answer = staffed.client.get(path)
        assert answer.status_code == (200 if state is State.HELD else 409)
        assert (answer.headers["Content-Type"] in {"image/png", "audio/wav"}) == (state is State.HELD)


def test_a_clip_whose_media_are_gone_is_a_page_and_no_fault(staffed: World) -> None:
    job = held(staffed, hit(**match("person_x")))
    staffed.tools.blobs.path("private", str(job.mezzanine)).unlink()
    sign_in(staffed)
    answer = staffed.client.get(f"{look(staffed, job)}/frame")
    assert answer.status_code == 404
    assert staffed.client.get(f"/console/clips/{job.id}").status_code == 200
    assert staffed.client.get("/console/nothing").status_code == 404
