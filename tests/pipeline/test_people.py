from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlmodel import select

from audits.erasure import erase_person, finish
from core.errors import KeyMissing, ModelMissing, Unavailable
from core.tables import GalleryState, SubjectKey, Template
from pipeline import people
from pipeline.shelf import Kept
from pipeline.templates import packed, unpacked
from pipeline.tools import Tools
from safety.gallery import Enrolment, Vectors
from tests.conftest import ManualClock
from tests.doubles import make_tools

VECTORS: Vectors = np.random.default_rng(7).standard_normal((2, 64)).astype(np.float32)


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    return make_tools(tmp_path, clock)


@pytest.fixture
def kept(tools: Tools) -> Kept:
    return Kept(tools.store, tools.vault, "likeness", "embedded")


def enrolled(
    tools: Tools, tier: str = "embedded", name: str = "Iris Vane", made: Enrolment | None = None
) -> str:
    with tools.store.session() as session:
        person = people.find_identity(session, name) or people.add_identity(session, name, [], tools.clock)
        made = made or Enrolment(VECTORS, (), ())
        people.enrol(
            session, tools.vault, person.id, "likeness", tier, made, actor="operator", clock=tools.clock
        )
        session.commit()
    return person.id


def erased(tools: Tools, identity: str) -> None:
    with tools.store.session() as session:
        erase_person(session, identity, actor="operator", clock=tools.clock)
        session.commit()
    assert finish(tools)


def changed(tools: Tools, table: Any, **values: Any) -> None:
    with tools.store.session() as session:
        session.execute(sa.update(table).values(**values))
        session.commit()


def who(kept: Kept) -> list[str]:
    return sorted(template.identity for template in kept.fresh())


def at_rest(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.db*")))


def test_a_gallery_gives_back_what_was_enrolled(tools: Tools, kept: Kept) -> None:
    parts = np.array([0, 3], np.uint8)
    identity = enrolled(tools, made=Enrolment(VECTORS, (), (), parts=parts, threshold=0.5))
    (found,) = kept.fresh()
    assert len(Kept(tools.store, tools.vault, "voice", "embedded").fresh()) == 0
    assert (found.identity, found.threshold) == (identity, 0.5)
    assert np.array_equal(found.vectors, VECTORS)
    assert np.array_equal(found.parts, parts)


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


def test_a_gallery_follows_what_is_enrolled_and_erased(tools: Tools, kept: Kept) -> None:
    first, second = enrolled(tools), enrolled(tools, name="Ada Frost")
    assert who(kept) == sorted([first, second])
    large = kept.fresh()
    # The control: nothing changed, so nothing was read.
    assert kept.fresh() is large
    third = enrolled(tools, name="Bo Lind")
    assert who(kept) == sorted([first, second, third])
    enrolled(tools, name="Bo Lind")
    assert len(next(one for one in kept.fresh() if one.identity == third).vectors) == 4
    segment = large.segments[0]
    row = segment.offsets[segment.identities.index(first)]
    assert segment.vectors[row].any()
    erased(tools, first)
    assert who(kept) == sorted([second, third])
    # Erasure reaches the memory of a worker too.
    assert not segment.vectors[row].any()
    assert who(Kept(tools.store, tools.vault, "likeness", "embedded")) == sorted([second, third])


def test_an_enrolment_for_another_tier_only_is_missing_not_silent(tools: Tools, kept: Kept) -> None:
    enrolled(tools)
    assert len(kept.fresh()) == 1
    ada = enrolled(tools, tier="standard", name="Ada Frost")
    for shelf in (kept, Kept(tools.store, tools.vault, "likeness", "embedded")):
        with pytest.raises(ModelMissing, match="1 people"):
            shelf.fresh()
    enrolled(tools, name="Ada Frost")
    assert ada in who(kept)


def test_one_unreadable_template_fails_the_gallery(tools: Tools, kept: Kept) -> None:
    enrolled(tools)
    ada = enrolled(tools, name="Ada Frost")
    with tools.store.session() as session:
        row = session.exec(select(Template).where(Template.identity == ada)).one()
        whole, row.sealed = row.sealed, row.sealed[:-9]
        session.add(row)
        session.commit()
    with pytest.raises(KeyMissing, match=f"{ada} cannot be read: it was changed"):
        kept.fresh()
    with tools.store.session() as session:
        session.get_one(Template, row.id).sealed = whole
        session.commit()
    # The control: it was this one template.
    assert len(kept.fresh()) == 2


def test_a_template_that_was_sealed_cut_short_fails_the_gallery(tools: Tools, kept: Kept) -> None:
    ada = enrolled(tools)
    plain = packed(Enrolment(VECTORS, (), ()))
    cut = tools.vault.seal(ada, plain[:-8], about="likeness", kind="person", now_ms=0)
    changed(tools, Template, sealed=cut)
    with pytest.raises(Unavailable, match=f"template of {ada} is damaged"):
        kept.fresh()


def test_a_gallery_that_lost_a_row_is_not_taken_for_whole(tools: Tools, kept: Kept) -> None:
    enrolled(tools)
    enrolled(tools, name="Ada Frost")
    with tools.store.session() as session:
        session.delete(session.exec(select(Template)).first())
        session.commit()
    with pytest.raises(Unavailable, match="has 1 templates instead of 2"):
        kept.fresh()
    changed(tools, GalleryState, templates=1)
    assert len(kept.fresh()) == 1


def test_a_lost_key_fails_the_gallery_and_an_erasure_does_not(tools: Tools, kept: Kept) -> None:
    ada, bo = enrolled(tools), enrolled(tools, name="Bo Lind")
    erased(tools, bo)
    assert who(kept) == [ada]
    tools.vault.destroy([ada])
    assert who(kept) == [ada]
    with pytest.raises(KeyMissing, match=f"{ada} cannot be read: its key is gone"):
        Kept(tools.store, tools.vault, "likeness", "embedded").fresh()


def test_an_erasure_while_the_gallery_is_read_is_no_fault(tools: Tools, kept: Kept) -> None:
    ada, bo = enrolled(tools), enrolled(tools, name="Bo Lind")
    catch_up, erased_once = kept._catch_up, []

    def overtaken() -> None:
        if not erased_once:
            erased_once.append(bo)
            erased(tools, bo)
            raise KeyMissing
        catch_up()

    kept._catch_up = overtaken  # type: ignore[method-assign]
    assert who(kept) == [ada]


def test_a_restored_database_is_read_anew(tools: Tools, kept: Kept) -> None:
    ada = enrolled(tools)
    enrolled(tools, name="Bo Lind")
    assert len(kept.fresh()) == 2
    with tools.store.session() as session:
        session.execute(sa.delete(Template).where(Template.identity != ada))
        session.execute(sa.update(GalleryState).values(version=0, templates=1))
        session.commit()
    assert who(kept) == [ada]


def test_a_gallery_without_a_version_is_broken(tools: Tools, kept: Kept) -> None:
    with tools.store.session() as session:
        session.execute(sa.delete(GalleryState))
        session.commit()
    with pytest.raises(Unavailable, match="no version"):
        kept.fresh()


def test_what_older_versions_sealed_is_read() -> None:
    content = io.BytesIO()
    np.save(content, VECTORS, allow_pickle=False)
    vectors, parts, threshold = unpacked("ada", content.getvalue())
    assert np.array_equal(vectors, VECTORS)
    assert (parts, threshold) == (None, None)
    for damaged in (content.getvalue()[:-3], b"", b"GLT1", b"GLT2" + packed(Enrolment(VECTORS, (), ()))[4:]):
        with pytest.raises(Unavailable, match="ada"):
            unpacked("ada", damaged)


def test_the_keys_of_a_gallery_are_asked_for_once(tools: Tools, kept: Kept) -> None:
    for number in range(20):
        enrolled(tools, name=f"Person {number}")
    asked = []
    sa.event.listen(
        tools.vault._store._reader, "before_cursor_execute", lambda *given: asked.append(given[2])
    )
    assert len(kept.fresh()) == 20
    assert len([statement for statement in asked if SubjectKey.__tablename__ in statement]) == 1
