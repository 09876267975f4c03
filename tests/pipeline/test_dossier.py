from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audits import offline
from audits.filters import make_filter
from audits.index import catch_up
from core.events import Tag
from core.state import State
from core.tables import AuditEvent
from pipeline.dossier import bundled, note_bundle
from pipeline.intake import Ask, submit
from pipeline.ledger import open_ledger
from pipeline.review import decide
from pipeline.run import advance
from pipeline.tools import Tools
from policies.engine import default_pack
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools, sighting_of


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Any:
    made = make_tools(tmp_path / "data", clock)
    ledger = open_ledger(made.settings, made.store, clock)
    yield replace(made, integrate=ledger.integrate, trust=ledger.policy)
    made.store.close()
    ledger.witness._store.close()


def gone_through(tools: Tools, prompt: str) -> str:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt=prompt, picture=True, sound=True))
        session.commit()
    while advance(tools, "w", job.id) is not None:
        pass
    return job.id


def test_the_log_vouches_for_what_a_bundle_says_it_does(tools: Tools, tmp_path: Path) -> None:
    add_partner(tools.store)
    released = gone_through(tools, "A heron lifts off the reeds")
    eyes = Eyes("likeness", findings=(sighting_of("somebody"),))
    held = gone_through(replace(tools, detectors=(eyes, Eyes("voice"))), "A woman tells a story")
    with tools.store.session() as session:
        decide(
            session,
            held,
            "reject",
            reviewer="ann",
            reason="Not hers to tell.",
            clock=tools.clock,
            vault=tools.vault,
        )
        session.commit()
    tools.integrate()
    catch_up(tools.store)
    wanted = make_filter({"job": [released, held]})
    note_bundle(tools, wanted)
    made = bundled(tools, wanted, "two clips", tmp_path / "case.zip")
    assert made.clips == 2
    found = offline.check_bundle(tmp_path / "case.zip", offline.read_policy(tools.trust.render()))
    assert found["events"] == made.events
    assert found["covered"] == [
        f"clips/{released}/manifest-1.c2pa",
        f"policies/{tools.pack.sha256}.yaml",
    ]
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        assert archive.read(f"policies/{tools.pack.sha256}.yaml") == default_pack().read_bytes()
        assert json.loads(archive.read(f"clips/{released}/receipt.json"))["state"] == State.RELEASED
        (review,) = json.loads(archive.read(f"clips/{held}/reviews.json"))
        assert (review["reviewer"], review["approved"], review["reason"]) == (
            "ann",
            False,
            "Not hers to tell.",
        )
        versions = json.loads(archive.read("versions.json"))
        decided = [name for name in archive.namelist() if name.startswith("proofs/")]
    assert versions["policies"] == [tools.pack.sha256]
    assert [one["name"] for one in versions["detectors"]] == ["eyes"]
    assert [one["name"] for one in versions["generators"]] == ["tiny"]
    # A release, a decision of a reviewer, and the rejection that it led to.
    assert len(decided) == 3
    with tools.store.reading() as session:
        last = session.get_one(AuditEvent, made.events + 1)
    assert (last.tag, json.loads(last.leaf)["facts"]["query"]) == (Tag.AUDIT_QUERIED, wanted.sha256)
