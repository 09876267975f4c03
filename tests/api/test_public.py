from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audits.log.trust import parse_policy
from audits.log.witness import Request
from core.state import State
from core.store import Store
from pipeline.ledger import open_ledger
from provenance.verify import Report
from tests.api.world import World


def test_anyone_may_verify_and_nothing_is_kept(world: World) -> None:
    seen: list[tuple[Path, bytes]] = []

    def look(path: Path) -> Report:
        seen.append((path, path.read_bytes()))
        return Report(verdict="unknown", reasons=("no mark",), layers={}, segments=(), elapsed_s=0.1)

    world.client.app.state.tools = replace(world.tools, verify_untrusted=look)
    before = world.contents()
    content = b"a stranger's file" * 100_000
    answer = world.client.post("/v1/verify", files={"file": ("x.mp4", content)})
    assert (answer.status_code, answer.json()["verdict"]) == (200, "unknown")
    ((path, read),) = seen
    assert read == content, "the control: the file was there while it was looked at"
    assert not path.exists()
    assert world.contents() == before


def test_a_file_that_cannot_be_verified_is_a_clear_problem(world: World) -> None:
    from core.errors import BadMedia

    def look(_path: Path) -> Any:
        raise BadMedia

    world.client.app.state.tools = replace(world.tools, verify_untrusted=look)
    for content in (b"", b"text"):
        answer = world.client.post("/v1/verify", files={"file": ("x.mp4", content)})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_media")


@pytest.fixture
def logged(world: World) -> World:
    for _ in range(3):
        world.ask()
    assert world.integrate() == 3
    return world


def test_the_log_is_public(logged: World) -> None:
    checkpoint = logged.client.get("/log/checkpoint")
    assert checkpoint.text.splitlines()[:2] == ["greenlight.invalid/log", "3"]
    assert checkpoint.headers["Cache-Control"] == "no-cache"
    files = [path for path in (logged.folder / "log" / "tile").rglob("*") if path.is_file()]
    assert len(files) >= 2
    for file in files:
        answer = logged.client.get(f"/log/{file.relative_to(logged.folder / 'log').as_posix()}")
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        assert "immutable" in answer.headers["Cache-Control"]


def test_the_witness_answers_over_http(logged: World) -> None:
    settings = logged.tools.settings
    ledger = open_ledger(settings, logged.tools.store, logged.clock)
    logged.client.app.state.tools = replace(
        logged.tools, witness=ledger.witness.add_checkpoint, trust=ledger.policy
    )
    note = (logged.folder / "log" / "checkpoint").read_text()
    first = logged.client.post("/witness/add-checkpoint", content=Request(0, (), note).render())
    assert first.status_code == 200
    assert parse_policy(logged.client.get("/log/policy").text).verify(note + first.text)
    stale = logged.client.post("/witness/add-checkpoint", content=Request(0, (), note).render())
    assert (stale.status_code, stale.text) == (409, "3\n")
    assert stale.headers["Content-Type"] == "text/x.tlog.size"
    assert logged.client.post("/witness/add-checkpoint", content=b"\xff").status_code == 400
    assert logged.client.get("/witness/add-checkpoint").status_code == 405


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tile",
        "../greenlight.db",
        "..%2fgreenlight.db",
        "%2e%2e/greenlight.db",
        "..%5cgreenlight.db",
        "tile/../../keys/log",
        "tile%2f..%2f..%2fkeys%2flog",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "checkpoint%00",
        "%00",
        "tile/0/x001/../000",
        "tile/0/٠٠٠",
        "x" * 5000,
        ".hidden",
    ],
)
def test_nothing_else_is(logged: World, name: str) -> None:
    for hidden in (".hidden", "tile/.hidden"):
        (logged.folder / "log" / hidden).write_text("not for the public")
    answer = logged.client.get(f"/log/{name}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_it_says_how_it_is(world: World) -> None:
    assert world.client.get("/healthz").text == "ok"
    world.place(State.HELD)
    world.ask()
    told = world.client.get("/metrics").text
    assert 'greenlight_requests{state="held"} 1.0' in told
    assert 'greenlight_requests{state="received"} 1.0' in told
    assert 'greenlight_requests{state="released"} 0.0' in told
    assert "greenlight_audit_events 1.0" in told
    assert "greenlight_log_size 0.0" in told
    assert "greenlight_unstamped_clips 0.0" in told
    assert "greenlight_unstamped_tries 0.0" in told


def test_without_a_database_nothing_passes(world: World) -> None:
    lost = Store(f"sqlite:///{world.folder}/lost/greenlight.db")
    (world.folder / "lost").rmdir()
    world.client.app.state.tools = replace(world.tools, store=lost)
    for answer in (world.client.get("/healthz"), world.ask()):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert str(world.folder) not in answer.text
    lost.close()
