"""The audit log over the API: who may read what, and that every reading is remembered."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from audits.filters import EVERYTHING, make_filter
from audits.log.proof import verify_proof
from core.events import Tag
from core.tables import AuditEvent, Reviewer
from tests.api.world import World
from tests.audits.searched import DECIDED, PACK, put

TERRITORY = {"facts": {"territory": "EU"}}


@pytest.fixture
def read(world: World) -> World:
    """A log of two partners' requests, an auditor, and regulators of one partner, one request, one span."""
    put(
        world.log,
        {"tag": "request:received", "partner": "acme", "job": "clip_a"} | TERRITORY,
        {"tag": "policy:decided", "partner": "acme", "job": "clip_a", "facts": DECIDED},
        {"tag": "clip:held", "partner": "acme", "job": "clip_a"},
        {"tag": "request:received", "partner": "other", "job": "clip_b"},
        {"tag": "clip:held", "partner": "other", "job": "clip_b", "rule": "hate"},
        {"tag": "key:created"},
    )
    world.reviewer("cleo", role="auditor")
    for name in ("rex", "ria", "ron", "rob"):
        world.reviewer(name, role="regulator")
    world.grant("rex", make_filter({"partner": ["acme"]}))
    world.grant("ria", make_filter({"job": ["clip_b"]}))
    world.grant("ron", make_filter({"territory": ["EU"]}))
    later = world.clock.now().replace(year=2027)
    world.grant("rob", make_filter({"partner": ["acme"]}, since=later))
    world.integrate()
    return world


SEEN = {"cleo": range(6), "rex": range(3), "ria": range(3, 5), "ron": range(3), "rob": ()}


def ask(world: World, who: str, path: str = "/v1/audit/events", **query: Any) -> Any:
    return world.client.get(path, headers=world.token(who), params=query)


def indexes(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [entry["index"] for entry in answer.json()["entries"] if entry["index"] < 6]


def test_everybody_sees_their_scope_by_every_way(read: World) -> None:
    for who, seen in SEEN.items():
        _sees(read, who, list(seen))


def _sees(read: World, who: str, seen: list[int]) -> None:
    assert indexes(ask(read, who)) == seen
    held = [index for index in (2, 4) if index in seen]
    assert indexes(ask(read, who, tag="clip:held")) == held
    assert indexes(ask(read, who, partner=["acme", "other"], tag="clip:held")) == held
    for index in range(6):
        answer = ask(read, who, f"/v1/audit/events/{index}")
        assert answer.status_code == (200 if index in seen else 404), index
    missing = ask(read, who, "/v1/audit/events/99999").json()
    assert (missing["code"], missing["detail"]) == (
        "not_found",
        "There is no such entry in what you may see.",
    )
    for form in ("jsonl", "csv", "ocsf"):
        given = [
            index for index in _exported(ask(read, who, "/v1/audit/export", form=form), form) if index < 6
        ]
        assert given == seen
    kept = read.client.post(
        "/v1/audit/queries", headers=read.token(who), json={"name": "Holds", "filter": {"tag": ["clip:held"]}}
    )
    assert kept.status_code == 201
    assert indexes(ask(read, who, f"/v1/audit/queries/{kept.json()['id']}/events")) == held


def _exported(answer: Any, form: str) -> list[int]:
    assert answer.status_code == 200
    assert answer.headers["Greenlight-Range"].startswith("0-")
    if form == "csv":
        return [int(row["index"]) for row in csv.DictReader(io.StringIO(answer.text))]
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [line["index"] if form == "jsonl" else line["metadata"]["sequence"] for line in lines]


def _routes(world: World) -> list[tuple[str, str]]:
    paths = world.client.app.openapi()["paths"]
    return [(m.upper(), p) for p, methods in paths.items() if p.startswith("/v1/audit") for m in methods]


def _send(world: World, method: str, path: str, headers: dict[str, str], query_id: str = "query_none") -> Any:
    body = {"json": {"name": "x", "filter": {}}} if method == "POST" else {}
    return world.client.request(method, path.format(index=0, query_id=query_id), headers=headers, **body)


def test_no_route_opens_without_a_standing_grant(read: World) -> None:
    for who in ("nobody", "partner", "forged", "replaced", "revoked", "proposed", "expired"):
        _end(read, "active")
        _is_kept_out(read, who)
    read.reviewer("carl", role="auditor")
    headers = read.token("carl")
    allowed = {_send(read, *route, headers).status_code for route in _routes(read)}
    assert allowed == {200, 201, 404}, "the control: a token that stands opens every one"


def _is_kept_out(read: World, who: str) -> None:
    good = read.token("cleo")
    headers = {
        "nobody": {},
        "partner": read.acme,
        "forged": {"Authorization": good["Authorization"][:-8] + "AAAAAAAA"},
    }
    status = 401
    if who in {"revoked", "proposed", "expired"}:
        status, headers[who] = 403, good
        _end(read, who)
    elif who == "replaced":
        headers[who] = good
        read.token("cleo")
    routes = _routes(read)
    assert len(routes) >= 8
    for method, path in routes:
        answer = _send(read, method, path, headers[who])
        assert answer.status_code == status, (method, path, answer.text)


def _end(world: World, how: str) -> None:
    from sqlmodel import select

    from core.tables import AuditGrant

    if how == "expired":
        world.clock.advance(31 * 86_400)
        return
    with world.tools.store.session() as session:
        grant = session.exec(select(AuditGrant).where(AuditGrant.person == "cleo")).one()
        grant.state = how
        session.add(grant)
        session.commit()


def test_a_token_is_no_partners_key(read: World) -> None:
    for path in ("/v1/generations", "/v1/identities", "/v1/consents"):
        assert read.client.get(path, headers=read.token("cleo")).status_code == 401


def test_what_one_keeps_is_not_anothers(read: World) -> None:
    body = {"name": "Mine", "filter": {"partner": ["acme"], "since": "2026-01-01T00:00:00Z"}}
    mine = read.client.post("/v1/audit/queries", headers=read.token("cleo"), json=body).json()
    assert mine["filter"] == {"partner": ["acme"], "since_ms": 1_767_225_600_000}
    for method, path in (
        ("GET", "/v1/audit/queries/{query_id}/events"),
        ("DELETE", "/v1/audit/queries/{query_id}"),
    ):
        assert _send(read, method, path, read.token("rex"), mine["id"]).status_code == 404
        assert _send(read, method, path, read.token("cleo"), mine["id"]).status_code in {200, 204}, (
            "the control"
        )
    assert read.client.get("/v1/audit/queries", headers=read.token("cleo")).json() == []


def test_every_reading_is_an_event_without_the_words(read: World) -> None:
    before = len(read.rows(AuditEvent))
    page = ask(read, "rex", policy=PACK, identity="person_1234").json()
    events = read.rows(AuditEvent)[before:]
    assert [(event.tag, event.actor) for event in events] == [
        (Tag.AUDIT_QUERIED, f"regulator:{read.pseudonym('rex')}")
    ]
    facts = json.loads(events[0].leaf)["facts"]
    grant = ask(read, "rex", "/v1/audit/grant").json()
    asked = make_filter({"policy": [PACK], "identity": ["person_1234"]})
    assert facts == {"query": asked.sha256, "start": 0, "end": page["end"], "count": 0, "grant": grant["id"]}
    assert b"person_1234" not in events[0].leaf
    read.integrate()
    asked_at = page["size"]
    private = ask(read, "cleo", f"/v1/audit/events/{asked_at}/private").json()
    assert (private["index"], private["private"]) == (asked_at, {"query": asked.json()})
    assert read.rows(AuditEvent)[-1].tag == Tag.AUDIT_OPENED
    # The regulator does not see it: it is about no partner of theirs.
    assert ask(read, "rex", f"/v1/audit/events/{asked_at}/private").status_code == 404
    before = len(read.rows(AuditEvent)) - 1
    assert (grant["role"], grant["scope"], grant["person"]) == ("regulator", {"partner": ["acme"]}, "rex")
    ask(read, "cleo", "/v1/audit/export", form="csv", tag="clip:held")
    export = [json.loads(event.leaf)["facts"] for event in read.rows(AuditEvent)[before + 1 :]]
    assert [facts.get("count") for facts in export] == [None, 2]
    assert {facts["form"] for facts in export} == {"csv"}


def test_an_answer_that_cannot_be_remembered_is_not_given(
    read: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = read.token("cleo")

    def full(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("audits.asking.record", full)
    for path in ("/v1/audit/events", "/v1/audit/events/1", "/v1/audit/export"):
        answer = read.client.get(path, headers=headers)
        assert answer.status_code == 500
        assert "clip_a" not in answer.text


def test_pages_and_proofs(read: World) -> None:
    page = ask(read, "cleo", limit=2, proofs=True).json()
    assert (page["start"], page["end"], len(page["entries"])) == (0, 2, 2)
    assert page["checkpoint"].split("\n")[1] == str(page["size"])
    for entry in page["entries"]:
        verify_proof(entry["proof"], entry["leaf"].encode(), read.client.app.state.tools.trust)
    more = ask(read, "cleo", limit=2, cursor=page["next"]).json()
    assert (more["start"], [entry["index"] for entry in more["entries"]]) == (2, [2, 3])
    assert more["entries"][0]["proof"] is None
    single = ask(read, "cleo", "/v1/audit/events/4").json()
    verify_proof(single["proof"], single["leaf"].encode(), read.client.app.state.tools.trust)


BAD: dict[str, dict[str, Any]] = {
    "a reversed span": {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
    "a time without a zone": {"since": "2026-02-01T00:00:00"},
    "a time that is none": {"since": "yesterday"},
    "a huge limit": {"limit": 10**9},
    "no limit": {"limit": 0},
    "too many proofs": {"limit": 1000, "proofs": True},
    "a forged cursor": {"cursor": "A" * 32},
    "another question's cursor": {"tag": "clip:held", "cursor": "CURSOR"},
    "a cursor that is none": {"cursor": "é"},
    "an unknown tag": {"tag": "clip:lost"},
    "an unknown state": {"state": "lost"},
    "an unknown field": {"colour": "red"},
    "an unknown form": {"form": "xml"},
    "an empty value": {"partner": ""},
    "a null": {"partner": "a\x00"},
    "too long a value": {"partner": "x" * 256},
    "too many values": {"partner": ["x"] * 65},
}


def test_bad_input_is_a_clear_problem(read: World) -> None:
    headers = read.token("cleo")
    cursor = ask(read, "rex", limit=1).json()["next"]
    for name, query in BAD.items():
        path = "/v1/audit/export" if "form" in query else "/v1/audit/events"
        said = query | ({"cursor": cursor} if query.get("cursor") == "CURSOR" else {})
        answer = read.client.get(path, headers=headers, params=said)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_input"), (name, answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_people_without_a_role_get_no_token(read: World) -> None:
    from core.errors import Forbidden

    read.add(Reviewer(name="zoe", password_hash="", role="auditor"))
    with pytest.raises(Forbidden):
        read.token("zoe")
    assert EVERYTHING.json() == {}
