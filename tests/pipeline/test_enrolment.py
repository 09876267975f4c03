"""What enrolment leaves behind: sealed templates, and of the references only what was kept on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlmodel import select

from audits.erasure import erase_person, finish
from audits.holds import place
from core.errors import BadEnrolment, KeyMissing, NotFound
from core.tables import Identity, KeptReference, Template, Upload
from pipeline import people
from pipeline.enrolment import enrol
from pipeline.tools import Tools
from safety.gallery import Enrolment
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools, reference_file

VECTOR = np.arange(1, 9, dtype=np.float32)[None]


@dataclass
class Taking:
    """Takes every reference but those it is told to refuse."""

    name: str = "likeness"
    tier: str = "embedded"
    refuses: tuple[str, ...] = ()

    def enrol(self, references: Any) -> Enrolment:
        refused = tuple((path.name, "blurred") for path in references if path.stem in self.refuses)
        accepted = tuple(str(path) for path in references if path.stem not in self.refuses)
        if not accepted:
            error = BadEnrolment("None is good.")
            error.refused = refused
            raise error
        return Enrolment(VECTOR, accepted, refused)


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock, detectors=(Taking(),))
    add_partner(made.store)
    return made


def upload(tools: Tools, name: str, kind: str = "picture") -> Path:
    file = reference_file(kind, tools.settings.data_dir / name)
    blob = tools.blobs.put("private", f"uploads/{name}.{'png' if kind == 'picture' else 'mkv'}", file)
    with tools.store.session() as session:
        session.add(
            Upload(id=name, partner="acme", kind=kind, blob=blob, mime="x/y", sha256="0", created_ms=0)
        )
        session.commit()
    return tools.blobs.path("private", blob)


def enrolled(tools: Tools, *names: str, **more: Any) -> tuple[str, Enrolment]:
    files = [(f"{name} of mine", upload(tools, name)) for name in names]
    return enrol(
        tools,
        lambda session: people.add_identity(session, "Iris Vane", [], tools.clock),
        "likeness",
        files,
        uploads=names,
        actor="operator",
        **more,
    )


def rows(tools: Tools, table: Any) -> list[Any]:
    with tools.store.reading() as session:
        return list(session.exec(select(table)))


def files(tools: Tools) -> list[Path]:
    return [path for path in (tools.settings.data_dir / "blobs").rglob("*") if path.is_file()]


def test_references_go_with_the_enrolment(tools: Tools) -> None:
    tools = replace(tools, detectors=(Taking(refuses=("upload_b",)),))
    _, made = enrolled(tools, "upload_a", "upload_b")
    assert made.accepted == ("upload_a of mine",)
    assert made.refused == (("upload_b of mine", "blurred"),)
    assert (rows(tools, Upload), files(tools), rows(tools, KeptReference)) == ([], [], [])
    assert len(rows(tools, Template)) == 1
    # The control: an upload that enrols nobody stays.
    upload(tools, "upload_c")
    assert len(files(tools)) == 1


def test_a_failed_enrolment_registers_nobody_and_leaves_nothing(tools: Tools) -> None:
    tools = replace(tools, detectors=(Taking(refuses=("upload_a",)),))
    with pytest.raises(BadEnrolment) as error:
        enrolled(tools, "upload_a")
    assert error.value.refused == (("upload_a of mine", "blurred"),)
    assert (rows(tools, Identity), rows(tools, Upload), files(tools)) == ([], [], [])


def test_a_reference_that_a_legal_hold_keeps_stays(tools: Tools) -> None:
    with tools.store.session() as session:
        place(session, "case-1", "acme", actor="operator", clock=tools.clock)
        session.commit()
    enrolled(tools, "upload_a")
    assert len(files(tools)) == 1


def test_what_is_kept_on_purpose_is_sealed_and_goes_with_the_person(tools: Tools) -> None:
    person, _ = enrolled(tools, "upload_a", keep=True)
    (kept,) = rows(tools, KeptReference)
    content = tools.vault.open(person, kept.sealed, about="reference|likeness")
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] <= 512
    assert files(tools) == []
    home = tools.settings.data_dir

    def found(needle: bytes) -> bool:
        return any(needle in path.read_bytes() for path in home.rglob("*") if path.is_file())

    assert not found(content[40:72])
    assert found(kept.sealed[:32]), "the control: what is stored is found"
    with pytest.raises(KeyMissing):
        tools.vault.open(person, kept.sealed, about="reference|voice")
    with tools.store.session() as session:
        erase_person(session, person, actor="operator", clock=tools.clock)
        session.commit()
    assert finish(tools)
    assert rows(tools, KeptReference) == []
    assert not found(kept.sealed[:32])
    with pytest.raises(KeyMissing):
        tools.vault.open(person, kept.sealed, about="reference|likeness")


def test_somebody_erased_meanwhile_is_not_enrolled(tools: Tools) -> None:
    def gone(_session: Any) -> Identity:
        raise NotFound

    with pytest.raises(NotFound):
        enrol(
            tools,
            gone,
            "likeness",
            [("a", upload(tools, "upload_a"))],
            uploads=["upload_a"],
            actor="operator",
        )
    assert rows(tools, Template) == []
