"""A small installation behind its web application, with two studios and a request in any state."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlmodel import select
from starlette.testclient import TestClient

from api.app import create_app
from api.auth import add_reviewer, new_key
from api.readers import new_token
from audits.filters import EVERYTHING, Filter
from audits.grants import approve, propose
from audits.log.writer import integrate, log_key
from core.clock import milliseconds
from core.decision import Decision, RuleHit, to_json
from core.events import pseudonym
from core.state import State
from core.tables import AuditEvent, Consent, Identity, Job, Reviewer, Ruling, Upload
from pipeline.people import add_identity
from pipeline.run import advance
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools

PROMPT = "A heron lifts off the reeds"
PERSON = "Ottoline Vexworth"
PASSWORD = "a long enough password"
FILES = ("mezzanine", "marked", "signed")


@dataclass
class World:
    """The application with everything around it that a test wants to touch."""

    tools: Tools
    clock: ManualClock
    client: TestClient
    acme: dict[str, str]
    """The headers of the studio that owns what there is."""
    other: dict[str, str]
    needles: dict[str, bytes] = field(default_factory=dict)
    """What is in each private file, by its name."""

    @property
    def folder(self) -> Path:
        return self.tools.settings.data_dir

    def place(self, state: State, **values: Any) -> Job:
        """Put a request of acme there, in a state, with every file it could have by the latest."""
        job_id = f"clip_{secrets.token_hex(10)}"
        names = {}
        for kind in FILES:
            suffix = ".mkv" if kind == "mezzanine" else ".mp4"
            names[kind] = self._blob(f"jobs/{job_id}/1/{kind}{suffix}")
        # A worker that died between publishing and committing leaves a public file in the state recorded.
        names["public"] = f"clips/{job_id}.mp4"
        self.tools.blobs.publish(names["signed"], names["public"])
        now_ms = milliseconds(self.clock.now())
        defaults = {
            "project": "",
            "ask": {"picture": True, "sound": True, "engine": "tiny", "identities": [], "references": []},
            "got": {"mezzanine_sha256": "0" * 64, "signed_sha256": "0" * 64},
            "held_at": "screen" if state is State.HELD else None,
        }
        job = Job(
            id=job_id,
            partner="acme",
            kind="generation",
            prompt=PROMPT,
            state=state,
            payload=secrets.token_hex(8),
            created_ms=now_ms,
            updated_ms=now_ms,
            **(defaults | names | values),
        )
        self.add(job)
        return job

    def rule(self, job: Job, *hits: RuleHit, **facts: Any) -> None:
        """Let a decision have been made about a request: held if a rule hit, allowed if none did."""
        decision = Decision(
            stage="screen",
            outcome="hold" if hits else "allow",
            rules=hits,
            pack="default",
            version="1",
            pack_sha256="0" * 64,
            facts=facts,
        )
        now_ms = milliseconds(self.clock.now())
        told = to_json(decision)
        self.add(Ruling(job=job.id, stage="screen", outcome=decision.outcome, decision=told, at_ms=now_ms))

    def _blob(self, name: str) -> str:
        content = secrets.token_bytes(64) * 20
        source = self.folder / "incoming"
        source.write_bytes(content)
        self.needles[name] = content[:64]
        return self.tools.blobs.put("private", name, source)

    def upload(self, kind: str = "picture", partner: str = "acme") -> str:
        name = f"upload_{secrets.token_hex(10)}"
        self.add(
            Upload(
                id=name,
                partner=partner,
                kind=kind,
                blob=self._blob(f"uploads/{name}.png"),
                mime="image/png",
                sha256="0" * 64,
                created_ms=0,
            )
        )
        return name

    def refused(self) -> str:
        """Place a request about which something was decided, and refused."""
        job = self.place(State.REFUSED)
        self.rule(job)
        return job.id

    def person(self, registered_by: str = "acme", name: str = PERSON) -> str:
        with self.tools.store.session() as session:
            person = add_identity(session, name, ["Otty"], self.clock, registered_by=registered_by)
            session.commit()
        return person.id

    def pseudonym(self, name: str) -> str | None:
        """Tell how a person of the house stands in the log."""
        with self.tools.store.reading() as session:
            return pseudonym(session, name)

    def consent(self, identity: str) -> str:
        name = f"consent_{secrets.token_hex(10)}"
        now_ms = milliseconds(self.clock.now())
        self.add(
            Consent(
                id=name,
                identity=identity,
                partner="acme",
                likeness=True,
                voice=True,
                starts_ms=now_ms - 1,
                ends_ms=now_ms + 3_600_000,
            )
        )
        return name

    def add(self, row: Any) -> None:
        with self.tools.store.session() as session:
            session.add(row)
            session.commit()

    @property
    def log(self) -> Any:
        """What puts leaves straight into the table of events (tests/audits/searched.py)."""
        return SimpleNamespace(store=self.tools.store, clock=self.clock)

    def reviewer(self, name: str, role: str = "reviewer") -> None:
        self.add(Reviewer(name=name, password_hash=_password_hash(), role=role))
        if role == "auditor":
            self.grant(name, EVERYTHING)

    def grant(self, person: str, scope: Filter, *, days: int = 30) -> str:
        """Let two admins grant a person a scope."""
        with self.tools.store.session() as session:
            for admin in ("ada", "ben"):
                session.merge(Reviewer(name=admin, password_hash=_password_hash(), role="admin"))
            session.flush()
            ends = self.clock.now() + timedelta(days=days)
            told = {"scope": scope, "ends": ends, "by": "ada", "reason": "a case"}
            gate = {"clock": self.clock, "vault": self.tools.vault}
            grant = propose(session, person=person, **told, **gate)
            approve(session, grant.id, by="ben", **gate)
            session.commit()
        return grant.id

    def token(self, person: str) -> dict[str, str]:
        """Make the headers with which a person reads the audit log."""
        with self.tools.store.session() as session:
            token = new_token(session, person, self.clock)
            session.commit()
        return {"Authorization": f"Bearer {token}"}

    def job(self, job_id: str) -> Job:
        with self.tools.store.reading() as session:
            return session.get_one(Job, job_id)

    def rows(self, table: type[Any]) -> list[Any]:
        with self.tools.store.reading() as session:
            return list(session.exec(select(table)))

    def tags(self) -> list[str]:
        return [event.tag for event in self.rows(AuditEvent)]

    def drive(self, job_id: str) -> Job:
        """Be the worker, until there is nothing to do."""
        while advance(self.tools, "w", job_id) is not None:
            pass
        return self.job(job_id)

    def integrate(self) -> int:
        """Be the sequencer of the log, which nobody witnesses."""
        key = log_key(self.folder / "keys" / "log", self.tools.settings.log_origin)
        self.client.app.state.tools = replace(self.client.app.state.tools, trust=key.policy)
        return integrate(self.tools.store, self.folder / "log", key, self.clock)

    def ask(self, headers: dict[str, str] | None = None, **body: Any) -> Any:
        wanted = {"prompt": PROMPT, "seed": 1} | body
        return self.client.post("/v1/generations", json=wanted, headers=headers or self.acme)

    def contents(self) -> tuple[dict[str, int], list[str]]:
        """Count the rows of every table and list every file, to see later that nothing came on top."""
        with sqlite3.connect(self.folder / "greenlight.db") as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type='table'")
            names = [name for (name,) in tables if not name.startswith("sqlite_")]
            rows = {name: database.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names}
        database.close()
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return rows, sorted(str(path) for path in files if not path.name.startswith("greenlight.db"))


@cache
def _password_hash() -> str:
    """Hash the password as the application does, but once: that it takes long is its purpose."""
    reviewer = Reviewer(name="", password_hash="")
    session = SimpleNamespace(merge=lambda row: setattr(reviewer, "password_hash", row.password_hash))
    add_reviewer(session, "", PASSWORD)  # a session that only listens
    return reviewer.password_hash


def make_world(folder: Path, clock: ManualClock, **changes: Any) -> World:
    """Put the application over tools with doubles, with the studios acme and other."""
    tools = make_tools(folder, clock, **changes)
    keys = {}
    for partner in ("acme", "other"):
        add_partner(tools.store, partner)
        with tools.store.session() as session:
            keys[partner] = {"Authorization": f"Bearer {new_key(session, partner, clock)}"}
            session.commit()
    # A fault inside must come back as the answer a caller would see, not as an exception.
    client = TestClient(create_app(tools), raise_server_exceptions=False)
    return World(tools, clock, client, keys["acme"], keys["other"])


def stream(
    world: World, path: str, headers: dict[str, str], *, until: Callable[[bytes], bool], seconds: float = 10
) -> tuple[int, bytes]:
    """Read a stream until enough came, then hang up; answer the status and what came."""
    return asyncio.run(_stream(world, path, headers, until, seconds))


async def _stream(
    world: World, path: str, headers: dict[str, str], until: Callable[[bytes], bool], seconds: float
) -> tuple[int, bytes]:
    got, status, enough = b"", 0, asyncio.Event()

    async def send(message: Any) -> None:
        nonlocal got, status
        status = message.get("status", status)
        got += message.get("body", b"")
        if until(got):
            enough.set()

    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if requests:
            return requests.pop()
        await enough.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("testserver", 80),
        "client": ("testclient", 1),
    }
    await asyncio.wait_for(world.client.app(scope, receive, send), seconds)
    return status, got


def person_row(world: World, identity: str) -> Identity:
    with world.tools.store.reading() as session:
        return session.get_one(Identity, identity)
