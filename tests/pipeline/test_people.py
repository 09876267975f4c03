from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelMissing
from core.tables import Template
from pipeline import people
from pipeline.people import Vectors
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import make_tools

VECTORS: Vectors = np.random.default_rng(7).standard_normal((2, 64)).astype(np.float32)


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    return make_tools(tmp_path, clock)


def enrolled(tools: Tools, tier: str = "embedded", name: str = "Iris Vane") -> str:
    with tools.store.session() as session:
        person = people.add_identity(session, name, ["Iris"], tools.clock)
        people.enrol(
            session, tools.vault, person.id, "likeness", tier, VECTORS, actor="operator", clock=tools.clock
        )
        session.commit()
    return person.id


def at_rest(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.db*")))


def test_a_gallery_gives_back_what_was_enrolled(tools: Tools) -> None:
    identity = enrolled(tools)
    with tools.store.reading() as session:
        (found,) = people.gallery(session, tools.vault, "likeness", "embedded")
        assert people.gallery(session, tools.vault, "voice", "embedded") == []
    assert found.identity == identity
    assert np.array_equal(found.vectors, VECTORS)


def test_templates_are_sealed_at_rest(tools: Tools, tmp_path: Path) -> None:
    identity = enrolled(tools)
    assert (tmp_path / "greenlight.db-wal").stat().st_size > 0
    # No two neighbouring numbers of any template stand in the database or its write-ahead log.
    parts = [VECTORS.tobytes()[at : at + 8] for at in range(0, VECTORS.nbytes, 8)]
    assert not [part for part in parts if part in at_rest(tmp_path)]
    # The control: what is stored unsealed is found.
    with tools.store.session() as session:
        plain = VECTORS.tobytes()
        session.add(Template(identity=identity, kind="likeness", tier="x", sealed=plain, created_ms=0))
        session.commit()
    assert all(part in at_rest(tmp_path) for part in parts)


def test_an_enrolment_for_another_tier_only_is_missing_not_silent(tools: Tools) -> None:
    enrolled(tools)
    enrolled(tools, tier="standard", name="Ada Frost")
    with tools.store.reading() as session, pytest.raises(ModelMissing, match="1 people"):
        people.gallery(session, tools.vault, "likeness", "embedded")
