"""Whatever is sent, the answer is a clear problem and never a fault of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.problems import ANSWERS, CODES
from core.tables import Job
from tests.api.world import PROMPT, World

JSON = {"Content-Type": "application/json"}
BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "bad_input"),
    "not JSON": (b"{", 422, "bad_input"),
    "not an object": (b"[1]", 422, "bad_input"),
    "no prompt": (b"{}", 422, "bad_input"),
    "a number": (b'{"prompt": 3}', 422, "bad_input"),
    "empty": (b'{"prompt": ""}', 422, "bad_prompt"),
    "spaces": (b'{"prompt": " \\n "}', 422, "bad_prompt"),
    "a control character": (b'{"prompt": "a\\u0007b"}', 422, "bad_prompt"),
    "a null": (b'{"prompt": "a\\u0000b"}', 422, "bad_prompt"),
    "a lone surrogate": (b'{"prompt": "a\\ud800b"}', 422, "bad_prompt"),
    "a lone surrogate as a name": (b'{"prompt": "a", "\\ud800": 1}', 422, "bad_input"),
    "a lone surrogate in a label": (b'{"prompt": "a", "territory": "\\udfff"}', 422, "bad_input"),
    "a null in a label": (b'{"prompt": "a", "project": "x\\u0000"}', 422, "bad_input"),
    "invalid UTF-8": (b'{"prompt": "a\xff\xfeb"}', 400, "bad_request"),
    "NaN": (b'{"prompt": "a", "seconds": NaN}', 422, "bad_input"),
    "infinity": (b'{"prompt": "a", "seconds": 1e999}', 422, "bad_input"),
    "too long a number": (b'{"prompt": "a", "seed": 1' + b"0" * 5000 + b"}", 400, "bad_request"),
    "too deep": (b'{"prompt": ' + b"[" * 100_000, 400, "bad_request"),
    "an unknown field": (b'{"prompt": "a", "colour": "red"}', 422, "bad_input"),
    "too large": (b'{"prompt": "' + b"a" * (1 << 20) + b'"}', 413, "too_large"),
    "too long": (b'{"prompt": "' + b"a " * 5000 + b'"}', 422, "bad_prompt"),
    "an engine there is not": (b'{"prompt": "a", "engine": "../../etc"}', 422, "bad_input"),
    "too many seconds": (b'{"prompt": "a", "seconds": 40}', 422, "bad_input"),
    "neither picture nor sound": (b'{"prompt": "a", "picture": false, "sound": false}', 422, "bad_input"),
    "a reference there is not": (b'{"prompt": "a", "references": ["upload_x"]}', 422, "bad_input"),
    "a person there is not": (b'{"prompt": "a", "identities": ["person_x"]}', 422, "bad_input"),
}


def _is_problem(answer: Any, status: int | None = None, code: str | None = None) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "code", "request_id"}
    assert told["status"] == answer.status_code < 500
    assert told["code"] in CODES
    assert told["type"] == f"urn:greenlight:problem:{told['code']}"
    assert told["request_id"] == answer.headers["X-Request-Id"] != ""
    assert told["detail"]
    assert "Traceback" not in answer.text
    if status is not None:
        assert (answer.status_code, told["code"]) == (status, code), told["detail"]


@pytest.mark.parametrize(("body", "status", "code"), BODIES.values(), ids=BODIES)
def test_a_bad_body_is_a_clear_problem(world: World, body: bytes, status: int, code: str) -> None:
    answer = world.client.post("/v1/generations", content=body, headers=world.acme | JSON)
    _is_problem(answer, status, code)
    assert world.rows(Job) == []


def test_a_good_body_is_none(world: World) -> None:
    body = json.dumps({"prompt": "Ein Reiher, 鷺, 🪶"}).encode()
    assert world.client.post("/v1/generations", content=body, headers=world.acme | JSON).status_code == 202


REQUESTS: dict[str, tuple[str, str, dict[str, str], int, str]] = {
    "no such path": ("GET", "/v2/nothing", {}, 404, "not_found"),
    "no such request": ("GET", "/v1/generations/clip_0", {}, 404, "not_found"),
    "no such method": ("PUT", "/v1/generations", {}, 405, "method_not_allowed"),
    "an id that is none": ("GET", "/v1/generations/%00", {}, 422, "bad_input"),
    "an id that is no text": ("GET", "/v1/generations/%ff%fe", {}, 422, "bad_input"),
    "a state there is not": ("GET", "/v1/generations?state=lost", {}, 422, "bad_input"),
    "too long a page": ("GET", "/v1/generations?limit=1000", {}, 422, "bad_input"),
    "a cursor there is not": ("GET", "/v1/generations?after=%00", {}, 422, "bad_input"),
    "an event that is no number": (
        "GET",
        "/v1/generations/clip_0/events",
        {"Last-Event-ID": "abc"},
        422,
        "bad_input",
    ),
    "an event too far": (
        "GET",
        "/v1/generations/clip_0/events",
        {"Last-Event-ID": "9" * 30},
        422,
        "bad_input",
    ),
    "an empty key": ("POST", "/v1/generations", {"Idempotency-Key": ""}, 422, "bad_input"),
    "too long a key": ("POST", "/v1/generations", {"Idempotency-Key": "k" * 300}, 422, "bad_input"),
    "no form": ("POST", "/v1/uploads", {}, 422, "bad_input"),
    "half a form": (
        "POST",
        "/v1/uploads",
        {"Content-Type": "multipart/form-data"},
        400,
        "bad_request",
    ),
}


@pytest.mark.parametrize(("method", "path", "headers", "status", "code"), REQUESTS.values(), ids=REQUESTS)
def test_a_bad_request_is_a_clear_problem(
    world: World, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    body = {"json": {"prompt": PROMPT}} if method == "POST" and path.endswith("generations") else {}
    _is_problem(
        world.client.request(method, path, headers=world.acme | headers, **body),
        status,
        code,
    )


def test_a_length_that_is_none_is_a_clear_problem(world: World) -> None:
    for length, status, code in (("-1", 400, "bad_request"), ("9" * 15, 413, "too_large")):
        headers = world.acme | JSON | {"Content-Length": length}
        _is_problem(world.client.post("/v1/generations", content=b"{}", headers=headers), status, code)


def test_a_body_without_a_length_is_cut_off_where_it_is_too_large(world: World) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"prompt": "'
        for _ in range(64):
            yield b"a" * 16_384

    _is_problem(
        world.client.post("/v1/generations", content=endless(), headers=world.acme | JSON), 413, "too_large"
    )


def test_a_fault_of_ours_says_nothing_about_itself(world: World) -> None:
    def broken(_name: str) -> Any:
        raise RuntimeError("the password is swordfish")

    from dataclasses import replace

    world.client.app.state.tools = replace(world.tools, engine=broken)
    answer = world.ask()
    assert (answer.status_code, answer.json()["code"]) == (500, "greenlight_error")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] != ""
    assert "swordfish" not in answer.text


def test_every_error_is_documented(world: World) -> None:
    schema = world.client.get("/openapi.json").json()
    assert schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == CODES
    for path, calls in schema["paths"].items():
        for method, call in calls.items():
            answers = call["responses"]
            documented = {status for status in answers if status >= "400"}
            # The C2PA interface says exactly what each of its calls can answer; our own says all of it everywhere.
            theirs = "soft binding resolution" in call.get("tags", ())
            least = {"400", "405", "500", "503"} if theirs else {str(status) for status in ANSWERS}
            assert least <= documented, (method, path)
            for status in documented - {"416"}:  # which has no body
                assert set(answers[status]["content"]) == {"application/problem+json"}, (method, path)
            good = [status for status in answers if status < "300"]
            assert good, (method, path)
            assert all(answers[status].get("content") or status == "204" for status in good), (method, path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ("prompt", "seed", "engine", "project", "seconds", "width", "identities", "references", "source")


@settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(
    path=st.sampled_from(["generations", "soundtracks", "precheck", "identities", "consents"]),
    body=st.dictionaries(st.sampled_from(_FIELDS) | st.text(max_size=8), _VALUES, max_size=6),
)
def test_no_body_is_a_fault(world: World, path: str, body: dict[str, Any]) -> None:
    answer = world.client.post(f"/v1/{path}", content=json.dumps(body), headers=world.acme | JSON)
    if answer.status_code >= 300:
        _is_problem(answer)


def test_a_real_client_sees_the_same(world: World) -> None:
    """The control for the test client: another client, another transport."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=world.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/v1/generations", content=b"{", headers=world.acme | JSON)

    _is_problem(asyncio.run(asked()), 422, "bad_input")
