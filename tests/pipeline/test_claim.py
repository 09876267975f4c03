"""What a request makes us sign: where each track came from, under which name of a source, with whose history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.state import State
from core.tables import Job, Upload
from pipeline.intake import Ask, submit
from pipeline.run import advance
from pipeline.tools import Tools
from provenance import manifest
from provenance.keys import dev_keys
from provenance.manifest import Claim, SignedManifest
from tests.conftest import ManualClock
from tests.doubles import TinyEngine, add_partner, make_tools, reference_file, sign
from tests.provenance.media import make


@pytest.fixture
def claims() -> list[Claim]:
    return []


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock, claims: list[Claim]) -> Any:
    def kept(source: Path, target: Path, claim: Claim) -> SignedManifest:
        claims.append(claim)
        return sign(source, target, claim)

    made = make_tools(tmp_path, clock, sign=kept)
    add_partner(made.store)
    yield made
    made.store.close()


def upload(tools: Tools, kind: str, content: bytes = b"x") -> str:
    """Put an upload into the books; `content` is the original as it came."""
    scratch = tools.settings.data_dir / "upload"
    names = [f"uploads/{kind}.mkv", f"uploads/{kind}.original.mp4"]
    for name in names:
        scratch.write_bytes(content)
        tools.blobs.put("private", name, scratch)
    row = Upload(
        id=f"up_{kind}",
        partner="acme",
        kind=kind,
        blob=names[0],
        original=names[1],
        mime="video/mp4",
        sha256="00" * 32,
        created_ms=0,
    )
    with tools.store.session() as session:
        session.add(row)
        session.commit()
    return row.id


def through(tools: Tools, **changes: Any) -> Job:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1, **changes))
        session.commit()
    while advance(tools, "w", job.id):
        pass
    with tools.store.reading() as session:
        return session.get_one(Job, job.id)


def test_a_clip_from_a_prompt_is_created(tools: Tools, claims: list[Claim]) -> None:
    through(tools)
    (claim,) = claims
    assert (claim.source, claim.picture, claim.sound, claim.trained) == (
        "created",
        "generated",
        "generated",
        True,
    )
    assert claim.parent is None
    assert "Waves" not in repr(claim)


def test_the_stand_in_is_not_called_a_trained_model(tools: Tools, claims: list[Claim]) -> None:
    through(replace(tools, engine=lambda _: TinyEngine(name="sandbox")))
    assert [claim.trained for claim in claims] == [False]


@pytest.mark.parametrize(
    ("kind", "picture", "sound"), [("picture", "mixed", "generated"), ("voice", "generated", "mixed")]
)
def test_supplied_material_makes_a_composite(
    tools: Tools, claims: list[Claim], kind: str, picture: str, sound: str
) -> None:
    reference = upload(tools, kind)
    reference_file(kind, tools.blobs.path("private", f"uploads/{kind}.mkv"))
    through(tools, references=(reference,))
    (claim,) = claims
    assert (claim.source, claim.picture, claim.sound) == ("composite", picture, sound)


def test_a_soundtrack_leaves_the_picture_to_its_input(
    tools: Tools, claims: list[Claim], tmp_path: Path
) -> None:
    through(tools, source=upload(tools, "video", make(tmp_path, "mp4").read_bytes()))
    (claim,) = claims
    assert (claim.source, claim.picture, claim.sound) == ("composite", "input", "generated")
    assert claim.parent is not None
    assert claim.parent.path.name == "video.original.mp4"


def test_an_input_whose_manifest_does_not_hold_is_refused_by_name(
    tools: Tools, claims: list[Claim], tmp_path: Path
) -> None:
    content = bytearray(signed(tmp_path))
    content[content.index(b"mdat") + 200] ^= 1
    job = through(tools, source=upload(tools, "video", bytes(content)))
    assert job.state == State.FAILED
    assert "manifest does not hold" in str(job.problem)
    assert "assertion.bmffHash.mismatch" in str(job.problem)
    assert claims == []


def test_an_input_whose_manifest_holds_is_welcome(tools: Tools, claims: list[Claim], tmp_path: Path) -> None:
    """The control."""
    assert through(tools, source=upload(tools, "video", signed(tmp_path))).state == State.RELEASED
    assert len(claims) == 1


def signed(folder: Path) -> bytes:
    claim = Claim(
        title="theirs",
        mime="video/mp4",
        engine="e",
        engine_version="1",
        source="created",
        payload=1,
        duration_ms=1000,
        record="r",
        when="2026-11-23T12:00:00Z",
        generator_version="1",
        video=False,
        audio=False,
    )
    keys = dev_keys(folder / "theirs", SystemClock())
    manifest.sign(make(folder, "mp4"), folder / "signed.mp4", claim, keys)
    return (folder / "signed.mp4").read_bytes()
