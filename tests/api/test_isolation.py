"""No route, known now or added later, shows a studio's things to anybody else, or an unreleased file to anyone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api import console
from core.clock import milliseconds
from core.state import FINAL, State
from core.tables import EndUser, Strike
from pipeline.own_voice import issue
from pipeline.strikes import alias
from tests.api.world import FILES, PASSWORD, PERSON, PROMPT, World, make_world, stream
from tests.conftest import ManualClock
from tests.doubles import Ears, reference_file

PUBLIC = {
    "POST /v1/verify",
    "GET /v1/matches/byBinding",
    "POST /v1/matches/byBinding",
    "POST /v1/matches/byContent",
    "POST /v1/matches/byReference",
    "GET /v1/manifests/{manifestId}",
    "GET /v1/services/supportedAlgorithms",
    "GET /v1/services/capabilities",
    "GET /v1/services/status",
    "GET /.well-known/c2pa-soft-binding-resolution",
    "GET /log/{name}",
    "POST /witness/add-checkpoint",
    "GET /healthz",
    "GET /metrics",
}


def _routes() -> list[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), ManualClock())
        paths = world.client.app.openapi()["paths"]
        world.client.close()
        world.tools.store.close()
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


ROUTES = _routes()


def _things(world: World) -> dict[str, str]:
    """Put one of everything there, owned by acme; answer its ids by the name of their path parameter."""
    person = world.person()
    return {
        "job_id": world.place(State.RELEASED, project=PERSON).id,
        "held": world.place(State.HELD).id,
        "refused": world.refused(),
        "identity": person,
        "consent_id": world.consent(person),
        "picture": world.upload("picture"),
        "video": world.upload("video"),
        "end_user": _restricted(world),
        "voice": _recording(world),
        "proof_id": _proof(world, person),
    }


def _restricted(world: World) -> str:
    """Put a user of acme's there who is suspended."""
    name, now_ms = alias(world.tools.vault, "acme", "jane-77"), milliseconds(world.clock.now())
    job = world.place(State.REFUSED, user=name)
    told = {"partner": "acme", "user": name}
    strike = {
        "job": job.id,
        "category": "hate",
        "weight": 90_000,
        "at_ms": now_ms,
        "expires_ms": now_ms + 10**9,
    }
    world.add(Strike(**told, **strike))
    world.add(EndUser(**told, level="suspend", updated_ms=now_ms))
    return "jane-77"


def _recording(world: World) -> str:
    """Put a real recording there, since it is looked at."""
    name = world.upload("voice")
    reference_file("voice", world.folder / "blobs" / "private" / "uploads" / f"{name}.png")
    return name


def _proof(world: World, person: str) -> str:
    with world.tools.store.session() as session:
        made = issue(session, world.tools, person)
        session.commit()
    return made.id


class _Enrolling:
    """A detector that takes any reference."""

    name = "likeness"
    tier = "embedded"

    def enrol(self, references: Any) -> Any:
        import numpy as np

        from pipeline.screening import Enrolment

        return Enrolment(np.ones((1, 4), np.float32), tuple(str(path) for path in references), ())


def _bodies(ids: dict[str, str]) -> dict[str, dict[str, Any]]:
    """A body that uses acme's things for every route that takes one."""
    until = {"ends_at": "2027-01-01T00:00:00Z", "evidence_sha256": "0" * 64}
    return {
        "POST /v1/uploads": {"data": {"kind": "picture"}, "files": {"file": ("a.png", _png(), "image/png")}},
        "POST /v1/generations": {"json": {"prompt": "A boat", "references": [ids["picture"]]}},
        "POST /v1/soundtracks": {"json": {"prompt": "A boat", "source": ids["video"]}},
        "POST /v1/precheck": {"json": {"prompt": "A boat"}},
        "POST /v1/generations/{job_id}/cancel": {},
        "POST /v1/generations/{job_id}/final": {},
        "POST /v1/generations/{job_id}/appeal": {"json": {"reason": "It is from our own script."}},
        "POST /v1/users/{end_user}/appeal": {"json": {"reason": "It is an account that many share."}},
        "POST /v1/identities": {"json": {"name": "Somebody Else"}},
        "POST /v1/identities/{identity}/enrolments": {
            "json": {"kind": "likeness", "references": [ids["picture"]]}
        },
        "POST /v1/identities/{identity}/voice-proofs": {},
        "POST /v1/identities/{identity}/voice-proofs/{proof_id}": {"json": {"recording": ids["voice"]}},
        "POST /v1/consents": {"json": {"identity": ids["identity"], "likeness": True} | until},
    }


def _png() -> bytes:
    import cv2
    import numpy as np

    return cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()


def _send(world: World, route: str, ids: dict[str, str], headers: dict[str, str]) -> Any:
    method, _, path = route.partition(" ")
    body = {} if method in {"GET", "DELETE"} else _bodies(ids)[route]
    return world.client.request(method, path.format(**ids), headers=headers, **body)


# What belongs to a caller comes from the key alone; nothing of another's is named by the request.
OWN = {
    "POST /v1/uploads",
    "POST /v1/precheck",
    "POST /v1/identities",
    "GET /v1/users/{end_user}",
    "POST /v1/users/{end_user}/appeal",
    "GET /v1/generations",
    "GET /v1/identities",
    "GET /v1/consents",
}


# The audit log has readers of its own: tests/api/test_audits.py.
@pytest.mark.parametrize("route", [r for r in ROUTES if r not in PUBLIC and "/v1/audit/" not in r])
def test_nobody_else_reaches_what_is_acmes(world: World, route: str) -> None:
    world.client.app.state.tools = _with_enrolling(world)
    ids = _things(world)
    nothing = {name: f"{name.split('_')[0]}_{'0' * 20}" for name in ids}
    if route.endswith("/cancel"):
        ids["job_id"] = ids["held"]
    if route.endswith("/appeal"):
        ids["job_id"] = ids["refused"]
    if route.endswith("/final"):
        ids["job_id"] = world.drive(world.ask(draft=True).json()["id"]).id
    if route.endswith("/proof"):
        ids["job_id"] = world.ask().json()["id"]
        world.drive(ids["job_id"])
        world.integrate()
    before = world.contents()

    stranger = _send(world, route, ids, {})
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")
    assert world.contents() == before

    theirs = _send(world, route, ids, world.other)
    secrets = [PROMPT, PERSON, "Otty", *(world.job(ids[name]).payload for name in ("job_id", "held"))]
    assert not [secret for secret in secrets if secret in theirs.text]
    assert not [name for name, content in world.needles.items() if content in theirs.content]
    if route not in OWN:
        assert theirs.status_code in {404, 422}
        assert world.contents() == before
        missing = _send(world, route, nothing, world.other)
        assert _told(theirs, ids) == _told(missing, nothing), "another's thing looks like one that is not"
    elif "/users/" in route:
        # Another's user is like one that nobody ever heard of.
        unknown = ids | {"end_user": "nobody-1"}
        nobody = _send(world, route, unknown, world.other)
        assert (
            theirs.text.replace("jane-77", "nobody-1").partition('"request_id"')[0]
            == (nobody.text.partition('"request_id"')[0])
        )
        assert theirs.status_code == nobody.status_code
    elif route.startswith("GET"):
        assert theirs.json() in ([], {"data": [], "next": None})

    mine = _send(world, route, ids, world.acme)
    assert mine.status_code < 300, "the control: the owner gets it"


def _with_enrolling(world: World) -> Any:
    from dataclasses import replace

    return replace(world.tools, detectors=(_Enrolling(), Ears("voice")))


def _told(answer: Any, ids: dict[str, str]) -> Any:
    text = answer.text
    for name, value in ids.items():
        text = text.replace(value, name)
    return answer.status_code, text.replace(answer.json()["request_id"], "")


NUMBERS = {"event_id": 1, "ruling": 1, "rule": 0, "item": 0, "form": "face", "kept": 1}


def _every_get(world: World, ids: dict[str, str], client: TestClient) -> list[tuple[str, bytes]]:
    """Answer every GET route of the interface and of the console, with names that try to climb out."""
    paths = [route.split(" ", 1)[1] for route in ROUTES if route.startswith("GET")]
    blobs = [f"../blobs/private/{name}" for name in world.needles] + [f"../blobs/public/{ids['public']}"]
    climbing = [name.replace("..", "%2e%2e").replace("/", "%2f") for name in blobs]
    wanted = [
        path.format(
            **ids,
            consent_id="consent_none",
            name="checkpoint",
            index=0,
            query_id="query_none",
            end_user="jane-77",
            manifestId="urn:c2pa:none",
        )
        for path in paths
        if not path.endswith("/events")
    ]
    wanted += [f"/log/{name}" for name in (*blobs, *climbing, "..%2fgreenlight.db", "%00", "x" * 5000)]
    wanted += [
        route.path.format(job_id=ids["job_id"], **NUMBERS)
        for route in console.router.routes
        if isinstance(route, APIRoute) and "GET" in route.methods
    ]
    got = [(path, client.get(path, headers=world.acme).content) for path in wanted]
    followed = f"/v1/generations/{ids['job_id']}/events"
    ended = world.job(ids["job_id"]).state in FINAL
    enough: Callable[[bytes], bool] = lambda body: not ended and b"progress" in body  # noqa: E731  # in place
    return [*got, (followed, stream(world, followed, world.acme, until=enough)[1])]


@pytest.mark.parametrize("state", State)
def test_an_unreleased_file_has_no_way_out(world: World, state: State) -> None:
    job = world.place(state)
    ids = {"job_id": job.id, "public": str(job.public)}
    world.reviewer("ann")
    _signed_in(world, "ann")
    answers = _every_get(world, ids, world.client)
    found = {
        (path, name) for path, body in answers for name, content in world.needles.items() if content in body
    }
    assert len(world.needles) == len(FILES)
    if state is State.RELEASED:
        assert found == {(f"/v1/generations/{job.id}/content", str(job.signed))}
    else:
        assert found == set()


def _signed_in(world: World, name: str) -> None:
    page = world.client.get("/console/login")
    token = page.text.split('name="form_token" value="')[1].split('"')[0]
    form = {"name": name, "password": PASSWORD, "form_token": token}
    assert world.client.post("/console/login", data=form).url.path == "/console/"


@pytest.mark.parametrize("who", ["stranger", "partner"])
def test_the_console_is_for_people_who_signed_in(world: World, who: str) -> None:
    job = world.place(State.HELD)
    headers = world.acme if who == "partner" else {}
    for route in console.router.routes:
        assert isinstance(route, APIRoute)
        if route.path == "/console/login":
            continue
        path = route.path.format(job_id=job.id, **NUMBERS)
        form = {"form_token": "x", "verdict": "approve", "reason": "because I can"}
        for method in route.methods:
            answer = world.client.request(
                method,
                path,
                headers=headers,
                follow_redirects=False,
                data=form if method == "POST" else None,
            )
            assert (answer.status_code, answer.headers["Location"]) == (303, "/console/login")
    assert world.job(job.id).state == State.HELD
