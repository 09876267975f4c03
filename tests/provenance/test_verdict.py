from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.manifest import ManifestReading
from provenance.marks import MarkReading, Segment
from provenance.verdict import Examination, LogProof, Readings, Record, Verdict, judge

OURS = Record(
    id="rec_a",
    payload=0xA,
    manifest_label="urn:c2pa:a",
    released_at="2026-11-23T12:00:00Z",
    withdrawn=False,
    seconds=4.0,
    video=True,
    audio=True,
    log_index=7,
    digest="00",
)
OTHER = replace(OURS, id="rec_b", payload=0xB, manifest_label="urn:c2pa:b")
BOUND = (("org.greenlight.video.1", 0xA), ("org.greenlight.audio.1", 0xA))
TRUSTED = ManifestReading(state="trusted", label="urn:c2pa:a", issuer="us", soft_bindings=BOUND)
NONE = ManifestReading(state="none")
FORGED = replace(TRUSTED, state="untrusted", issuer="them", failures=("signingCredential.untrusted",))
EXPIRED = replace(TRUSTED, state="untrusted", failures=("signingCredential.expired",))
BROKEN = replace(TRUSTED, state="invalid", failures=("assertion.bmffHash.mismatch",))
UNREADABLE = ManifestReading(state="malformed", failures=("Other: box",))
FOREIGN = ManifestReading(state="untrusted", label="urn:c2pa:x", issuer="them", failures=FORGED.failures)
PEER = ManifestReading(state="trusted", label="urn:c2pa:x", issuer="peer")
INCLUDED = LogProof(included=True, index=7, size=9, checkpoint="log")
ABSENT = replace(INCLUDED, included=False)


def picture(payload: int | None) -> MarkReading:
    return MarkReading(track="video", found=payload is not None, payload=payload, p_false=1e-12)


def sound(payload: int | None) -> MarkReading:
    return MarkReading(track="audio", found=payload is not None, payload=payload, p_false=1e-12)


def readings(
    manifest: ManifestReading = TRUSTED,
    seen: MarkReading | None = picture(0xA),
    heard: MarkReading | None = sound(0xA),
    *,
    log: LogProof | None = INCLUDED,
    records: tuple[Record, ...] = (OURS, OTHER),
    trouble: str | None = None,
    media: bool = True,
) -> Readings:
    def by_mark(mark: MarkReading | None) -> Record | None:
        return next((one for one in records if mark and one.payload == mark.payload), None)

    return Readings(
        file=Examination(
            media=media, trouble=trouble, seconds=4.0, manifest=manifest, video=seen, audio=heard
        ),
        by_label=next((one for one in records if one.manifest_label == manifest.label), None),
        by_video=by_mark(seen),
        by_audio=by_mark(heard),
        log=log,
    )


SILENT = replace(OURS, audio=False)
UNMARKED = replace(OURS, video=False, audio=False)
TABLE: list[tuple[str, Readings, Verdict]] = [
    ("all agree", readings(), "verified"),
    ("no sound track, none promised", readings(heard=None, records=(SILENT,)), "verified"),
    ("no marks promised", readings(seen=picture(None), heard=None, records=(UNMARKED,)), "verified"),
    ("stripped", readings(NONE), "recovered"),
    ("stripped, picture only", readings(NONE, heard=sound(None)), "recovered"),
    ("stripped, sound only", readings(NONE, seen=None), "recovered"),
    ("stripped, log away", readings(NONE, log=None), "recovered"),
    ("log away", readings(log=None), "recovered"),
    ("our certificate ran out", readings(EXPIRED), "recovered"),
    ("changed after signing", readings(BROKEN), "tampered"),
    ("changed beyond recognition", readings(UNREADABLE), "tampered"),
    ("changed, marks gone", readings(BROKEN, picture(None), sound(None)), "tampered"),
    ("changed, of a stranger", readings(replace(BROKEN, label="urn:c2pa:x"), None, None), "tampered"),
    ("promised picture mark missing", readings(seen=picture(None)), "tampered"),
    ("promised sound mark missing", readings(heard=sound(None)), "tampered"),
    ("promised sound track missing", readings(heard=None), "tampered"),
    ("our label, their signature", readings(FORGED), "tampered"),
    ("ran out, marks gone", readings(EXPIRED, None, None, records=(UNMARKED,)), "tampered"),
    ("sound swapped", readings(NONE, heard=sound(0xB)), "conflict"),
    ("sound swapped for an unknown id", readings(NONE, heard=sound(0xC)), "conflict"),
    ("two unknown ids", readings(NONE, picture(0xC), sound(0xD), log=None), "conflict"),
    ("manifest of another clip", readings(seen=picture(0xB), heard=sound(0xB)), "conflict"),
    ("bound to another id", readings(replace(TRUSTED, soft_bindings=(BOUND[0], ("org.greenlight.audio.1", 0xB)))), "conflict"),
    ("bound to nonsense", readings(replace(TRUSTED, soft_bindings=(("org.greenlight.video.1", None),))), "conflict"),
    ("marks of an unknown id under our manifest", readings(seen=picture(0xC), heard=sound(0xC)), "conflict"),
    ("our mark under a stranger's manifest", readings(FOREIGN), "conflict"),
    ("our mark under a peer's manifest", readings(PEER), "conflict"),
    ("not in the log", readings(log=ABSENT), "conflict"),
    ("stripped and not in the log", readings(NONE, log=ABSENT), "conflict"),
    ("a stranger's", readings(FOREIGN, picture(None), sound(None), log=None), "foreign"),
    ("a peer's", readings(PEER, picture(None), None, log=None), "foreign"),
    ("signed by us, never recorded", readings(records=(), seen=None, heard=None, log=None), "foreign"),
    ("nothing", readings(NONE, picture(None), sound(None), log=None), "unknown"),
    ("a mark of nothing", readings(NONE, picture(0xC), None, log=None), "unknown"),
    ("a picture file", readings(NONE, None, None, log=None, media=False, trouble="no clip"), "unknown"),
    ("damaged", readings(NONE, None, None, log=None, trouble="cut off"), "malformed"),
    (
        "text",
        readings(replace(NONE, failures=("unsupported",)), None, None, log=None, media=False, trouble="text"),
        "malformed",
    ),
    ("strange manifest", readings(UNREADABLE, None, None, log=None), "malformed"),
    ("ours, cut off", readings(BROKEN, None, None, trouble="cut off"), "tampered"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "verdict"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(case: Readings, verdict: Verdict) -> None:
    found, reasons = judge(case)
    assert found == verdict
    assert reasons
    assert all(reason.strip() for reason in reasons)


def test_the_table_knows_every_verdict() -> None:
    assert {row[2] for row in TABLE} == set(get_args(Verdict))


records = st.one_of(
    st.none(),
    st.builds(
        replace,
        st.sampled_from([OURS, OTHER]),
        withdrawn=st.booleans(),
        video=st.booleans(),
        audio=st.booleans(),
        released_at=st.sampled_from([None, "2026"]),
    ),
)
payloads = st.sampled_from([None, 0xA, 0xB, 0xC])
manifests = st.builds(
    ManifestReading,
    state=st.sampled_from(["trusted", "untrusted", "invalid", "none", "malformed"]),
    label=st.sampled_from([None, "urn:c2pa:a", "urn:c2pa:x"]),
    failures=st.sampled_from(
        [
            (),
            ("signingCredential.untrusted",),
            ("signingCredential.expired",),
            ("assertion.x",),
            ("unsupported",),
        ]
    ),
    soft_bindings=st.sampled_from(
        [
            (),
            BOUND,
            BOUND[:1],
            (("org.greenlight.video.1", 0xB),),
            (("com.other", 5),),
            (("org.greenlight.x", None),),
        ]
    ),
)
cases = st.builds(
    Readings,
    file=st.builds(
        Examination,
        media=st.booleans(),
        trouble=st.sampled_from([None, "cut off"]),
        seconds=st.sampled_from([None, 4.0, 2.0]),
        manifest=manifests,
        video=st.one_of(st.none(), payloads.map(picture)),
        audio=st.one_of(st.none(), payloads.map(sound)),
    ),
    by_label=records,
    by_video=records,
    by_audio=records,
    log=st.sampled_from([None, INCLUDED, ABSENT]),
)


def every_layer_agrees(case: Readings) -> bool:
    """Say it again in the plainest way, without the code under test."""
    file, record = case.file, case.by_label
    if file.manifest.state != "trusted" or file.trouble is not None or record is None:
        return False
    if case.log is None or not case.log.included:
        return False
    if any(other is not None and other.id != record.id for other in (case.by_video, case.by_audio)):
        return False
    if any(
        alg.startswith("org.greenlight") and id_ != record.payload for alg, id_ in file.manifest.soft_bindings
    ):
        return False
    for mark, promised in ((file.video, record.video), (file.audio, record.audio)):
        found = mark is not None and mark.found
        if (promised and not found) or (mark is not None and found and mark.payload != record.payload):
            return False
    return True


@settings(max_examples=800, deadline=None)
@given(cases)
def test_verified_only_when_every_layer_agrees(case: Readings) -> None:
    verdict, reasons = judge(case)
    assert reasons
    if verdict == "verified":
        assert every_layer_agrees(case)
    if verdict == "recovered":
        assert case.record is not None
        assert case.log is None or case.log.included
    if verdict == "unknown":
        assert case.file.manifest.state not in ("trusted", "invalid")


def test_verified_exactly_when_every_layer_agrees() -> None:
    """Goes through all 21,600 combinations."""
    signed = [TRUSTED, FORGED, EXPIRED, BROKEN, NONE, UNREADABLE]
    bindings = [(), BOUND, (("org.greenlight.video.1", 0xB),), (("com.other", 5),)]
    named = [None, OTHER, *(replace(OURS, video=v, audio=a) for v in (True, False) for a in (True, False))]
    marks = [None, 0, 0xA, 0xB, 0xC]
    troubles, logs = [None, "cut off"], [None, INCLUDED, ABSENT]
    verified = 0
    for manifest, bound, record, eye, ear, trouble, log in product(
        signed, bindings, named, marks, marks, troubles, logs
    ):
        known = tuple({one.id: one for one in (OURS, OTHER, record) if one}.values())
        case = readings(
            replace(manifest, soft_bindings=bound, label=record.manifest_label if record else "urn:c2pa:x"),
            None if eye is None else picture(eye or None),
            None if ear is None else sound(ear or None),
            log=log,
            records=known,
            trouble=trouble,
        )
        assert (judge(case)[0] == "verified") is every_layer_agrees(case)
        verified += every_layer_agrees(case)
    assert verified > 0


def test_a_withdrawn_release_says_so() -> None:
    gone = replace(OURS, withdrawn=True)
    for case in (readings(records=(gone,)), readings(NONE, records=(gone,))):
        assert "We have withdrawn this release." in judge(case)[1]
    assert "We have withdrawn this release." not in judge(readings())[1]


def test_the_place_without_a_mark_is_named() -> None:
    spans = (Segment(0.0, 2.0, found=True), Segment(2.0, 3.0, found=False))
    _, reasons = judge(readings(NONE, replace(picture(0xA), segments=spans)))
    assert "No mark was seen in the picture from 2.0 to 3.0 s." in reasons


def test_another_length_is_told() -> None:
    _, reasons = judge(readings(NONE, records=(replace(OURS, seconds=9.0),)))
    assert "The clip lasts 4.0 s; it was released with 9.0 s." in reasons


def test_unknown_says_that_it_proves_nothing() -> None:
    assert "proves nothing" in judge(readings(NONE, None, None, log=None))[1][0]
