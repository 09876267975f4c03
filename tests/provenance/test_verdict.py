from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.fingerprint import Match, Span
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.manifest import IngredientReading, ManifestReading
from provenance.marks import MarkReading, Segment
from provenance.readings import (
    Examination,
    LogProof,
    Perception,
    Readings,
    Record,
    Speech,
    departures,
    kinship,
)
from provenance.verdict import Verdict, judge

SEEN = VideoPrint(np.zeros(1, np.float32), np.zeros((1, 1, 4), np.uint64), np.full(1, 50, np.uint8))
HEARD = AudioPrint(np.zeros(40, np.uint32))
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
    video_print=SEEN,
    audio_print=HEARD,
)
OTHER = replace(OURS, id="rec_b", payload=0xB, manifest_label="urn:c2pa:b")
BOUND = (("org.greenlight.video.1", 0xA), ("org.greenlight.audio.2", 0xA))
TRUSTED = ManifestReading(state="trusted", label="urn:c2pa:a", issuer="us", soft_bindings=BOUND)
NONE = ManifestReading(state="none")
FORGED = replace(TRUSTED, state="untrusted", issuer="them", failures=("signingCredential.untrusted",))
EXPIRED = replace(TRUSTED, state="untrusted", failures=("signingCredential.expired",))
BROKEN = replace(TRUSTED, state="invalid", failures=("assertion.bmffHash.mismatch",))
REVOKED = replace(TRUSTED, state="untrusted", failures=("signingCredential.revoked",))
UNREADABLE = ManifestReading(state="malformed", failures=("Other: box",))
FOREIGN = ManifestReading(state="untrusted", label="urn:c2pa:x", issuer="them", failures=FORGED.failures)
PEER = ManifestReading(state="trusted", label="urn:c2pa:x", issuer="peer")
INPUT = IngredientReading(label="urn:c2pa:a", title="", relationship="parentOf", state="trusted", failures=())
INCLUDED = LogProof(included=True, index=7, size=9, checkpoint="log")
ABSENT = replace(INCLUDED, included=False)


def picture(payload: int | None) -> MarkReading:
    return MarkReading(track="video", found=payload is not None, payload=payload, p_false=1e-12)


def sound(payload: int | None) -> MarkReading:
    return MarkReading(track="audio", found=payload is not None, payload=payload, p_false=1e-12)


SAME = Match(score=0.95, offset=0.0, spans=(Span(0.0, 4.0),), found=True)
PART = Match(score=0.6, offset=0.0, spans=(Span(0.0, 2.0),), found=True)
HALF = replace(SAME, spans=(Span(0.0, 2.0),))
ELSE = Match(score=0.1, offset=0.0, spans=(), found=False)


def readings(
    manifest: ManifestReading = TRUSTED,
    seen: MarkReading | None = picture(0xA),
    heard: MarkReading | None = sound(0xA),
    *,
    log: LogProof | None = INCLUDED,
    records: tuple[Record, ...] = (OURS, OTHER),
    trouble: str | None = None,
    media: bool = True,
    looks: Match | None = SAME,
    sounds: Match | None = SAME,
    content: Record | None = None,
    seconds: float = 4.0,
    digest: str = "00",
) -> Readings:
    def by_mark(mark: MarkReading | None) -> Record | None:
        return next((one for one in records if mark and one.payload == mark.payload), None)

    label = next((one for one in records if one.manifest_label == manifest.label), None)
    named = label or by_mark(seen) or by_mark(heard) or content
    perceived = Perception(
        media=media,
        trouble=trouble,
        seconds=seconds,
        looked=seconds,
        listened=seconds,
        video=seen,
        audio=heard,
    )
    return Readings(
        file=Examination(digest=digest, manifest=manifest, media=perceived),
        by_label=label,
        by_video=by_mark(seen),
        by_audio=by_mark(heard),
        by_content=content,
        log=log,
        video_match=looks if named and seen else None,
        audio_match=sounds if named and heard else None,
    )


SILENT = replace(OURS, audio=False)
UNMARKED = replace(OURS, video=False, audio=False)
STAMPED = replace(OURS, manifest_label="urn:c2pa:later", labels=("urn:c2pa:a", "urn:c2pa:later"))
TABLE: list[tuple[str, Readings, Verdict]] = [
    ("all agree", readings(), "verified"),
    ("no sound track, none promised", readings(heard=None, records=(SILENT,)), "verified"),
    ("no marks promised", readings(seen=picture(None), heard=None, records=(UNMARKED,)), "verified"),
    ("stripped", readings(NONE), "recovered"),
    ("stripped, marks worn off", readings(NONE, picture(None), sound(None), content=OURS), "recovered"),
    ("manifest cannot be read", readings(UNREADABLE), "recovered"),
    ("our certificate was revoked", readings(REVOKED), "recovered"),
    ("stripped, nothing to compare", readings(NONE, looks=None, sounds=None), "unknown"),
    ("stripped, half of it", readings(NONE, seconds=2.0, looks=HALF, sounds=HALF), "recovered"),
    ("cut off, manifest too", readings(UNREADABLE, seconds=2.0, looks=HALF, sounds=HALF), "tampered"),
    ("manifest cannot be read, sound gone", readings(UNREADABLE, heard=None), "tampered"),
    ("stripped, picture spliced", readings(NONE, looks=PART), "tampered"),
    ("stripped, sound replaced", readings(NONE, heard=sound(None), sounds=ELSE), "tampered"),
    ("stripped, picture replaced", readings(NONE, picture(None), looks=ELSE), "tampered"),
    ("mark copied to a foreign picture", readings(NONE, heard=None, looks=ELSE), "conflict"),
    ("mark copied to a foreign sound", readings(NONE, None, sounds=ELSE), "conflict"),
    ("mark copied to another release", readings(NONE, heard=None, looks=ELSE, content=OTHER), "conflict"),
    ("the manifest holds, the content does not", readings(looks=ELSE), "conflict"),
    ("a stranger's manifest on our bare content", readings(FOREIGN, picture(None), None, content=OURS), "conflict"),
    ("openly made from ours", readings(replace(FOREIGN, ingredients=(INPUT,)), looks=PART), "foreign"),
    ("made from ours before it was stamped", readings(replace(FOREIGN, ingredients=(INPUT,)), records=(STAMPED,)), "foreign"),
    ("made from what is not ours", readings(replace(FOREIGN, ingredients=(INPUT,)), records=(replace(STAMPED, labels=()),)), "conflict"),
    ("claims to be made from ours", readings(replace(FOREIGN, ingredients=(replace(INPUT, state="invalid"),))), "conflict"),
    ("stripped, picture only", readings(NONE, heard=sound(None)), "recovered"),
    ("stripped, sound only", readings(NONE, seen=None), "recovered"),
    ("stripped, log away", readings(NONE, log=None), "recovered"),
    ("log away", readings(log=None), "recovered"),
    ("our certificate ran out", readings(EXPIRED), "recovered"),
    ("changed after signing", readings(BROKEN), "tampered"),
    ("changed beyond recognition", readings(UNREADABLE, looks=None, sounds=None), "tampered"),
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
    ("bound to another id", readings(replace(TRUSTED, soft_bindings=(BOUND[0], ("org.greenlight.audio.2", 0xB)))), "conflict"),
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
        digest=st.sampled_from(["00", "11"]),
        manifest=manifests,
        media=st.builds(
            Perception,
            media=st.booleans(),
            trouble=st.sampled_from([None, "cut off"]),
            seconds=st.sampled_from([None, 4.0, 2.0]),
            looked=st.sampled_from([0.0, 4.0, 2.0]),
            listened=st.sampled_from([0.0, 4.0, 2.0]),
            video=st.one_of(st.none(), payloads.map(picture)),
            audio=st.one_of(st.none(), payloads.map(sound)),
        ),
    ),
    by_label=records,
    by_video=records,
    by_audio=records,
    by_content=records,
    log=st.sampled_from([None, INCLUDED, ABSENT]),
    video_match=st.sampled_from([None, SAME, PART, ELSE]),
    audio_match=st.sampled_from([None, SAME, PART, ELSE]),
)


def every_layer_agrees(case: Readings) -> bool:
    """Say it again in the plainest way, without the code under test."""
    file, record = case.file, case.by_label
    if file.manifest.state != "trusted" or file.media.trouble is not None or record is None:
        return False
    alien = set(case.kin.values()) - {"same"}
    if alien or case.log is None or not case.log.included:
        return False
    if any(
        other is not None and other.id != record.id
        for other in (case.by_video, case.by_audio, case.by_content)
    ):
        return False
    if any(
        alg.startswith("org.greenlight") and id_ != record.payload for alg, id_ in file.manifest.soft_bindings
    ):
        return False
    for mark, promised in ((file.media.video, record.video), (file.media.audio, record.audio)):
        found = mark is not None and mark.found
        if (promised and not found) or (mark is not None and found and mark.payload != record.payload):
            return False
    return True


@settings(max_examples=800)
@given(cases)
def test_verified_only_when_every_layer_agrees(case: Readings) -> None:
    verdict, reasons = judge(case)
    assert reasons
    if verdict == "verified":
        assert every_layer_agrees(case)
    if verdict == "recovered":
        assert case.record is not None
        assert case.log is None or case.log.included
        kin = set(case.kin.values())
        assert kin <= {"same"}, "content that departs is never recovered"
        assert kin or case.file.manifest.state == "trusted", "a mark alone recovers nothing"
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


def test_silence_does_not_depart() -> None:
    speech = Speech(tuple(0.25 * step for step in range(8)), 0.25)
    assert departures(PART, 4.0) == (Span(2.0, 4.0),)
    assert departures(PART, 4.0, speech) == (), "nothing is said after 2 s"
    assert departures(ELSE, 4.0, speech) == (Span(0.0, 4.0),)


def test_what_differs_from_the_released_bytes_is_told() -> None:
    assert "It is bit for bit the file that we released." in judge(readings())[1]
    assert (
        "Bytes differ from the released file, but none that content or claim is made of."
        in judge(readings(digest="11"))[1]
    )


def test_the_place_that_was_exchanged_is_named() -> None:
    _, reasons = judge(readings(NONE, looks=PART))
    assert "The picture from 2.0 to 4.0 s is not the one that we released." in reasons


def test_a_change_that_nothing_shows_is_called_so() -> None:
    assert "too small for them to show" in judge(readings(BROKEN))[1][-1]
    assert "too small" not in " ".join(judge(readings(BROKEN, looks=PART))[1])


@pytest.mark.parametrize(
    ("match", "seconds", "kin"),
    [
        (SAME, 4.0, "same"),
        (SAME, 0.0, "same"),
        (SAME, 5.4, "same"),
        (SAME, 5.6, "part"),
        (PART, 4.0, "part"),
        (ELSE, 4.0, "other"),
        (ELSE, 0.0, "other"),
        (replace(ELSE, spans=(Span(8.0, 11.0),)), 16.0, "part"),
        (replace(ELSE, spans=(Span(8.0, 9.0),)), 16.0, "other"),
    ],
)
def test_kinship(match: Match, seconds: float, kin: str) -> None:
    assert kinship(match, departures(match, seconds)) == kin


@pytest.mark.parametrize(
    ("spans", "marked", "kin"),
    [
        ("0-0.75 4.75-5.75", "0-1 5-6", "part"),  # two thirds exchanged
        ("0-0.75 4.75-5.75", "0-6", "other"),  # a mark that is everywhere was copied
        ("0-0.75 4.75-5.75", "1-5", "other"),
        ("0-0.75 4.75-5.75", "", "other"),
        ("0-0.75", "0-1", "other"),  # so little may agree by chance
        ("", "0-1", "other"),
    ],
)
def test_a_rest_of_ours_is_told_by_mark_and_content_together(spans: str, marked: str, kin: str) -> None:
    def times(text: str) -> list[tuple[float, ...]]:
        return [tuple(map(float, one.split("-"))) for one in text.split()]

    match = replace(ELSE, spans=tuple(Span(*pair) for pair in times(spans)))
    mark = replace(picture(0xA), segments=tuple(Segment(*pair, found=True) for pair in times(marked)))
    assert kinship(match, departures(match, 6.0), mark) == kin
    assert kinship(match, departures(match, 6.0)) == "other"


@pytest.mark.parametrize(
    ("marked", "absent", "unread", "kin", "gone"),
    [
        ("0-1 4-6", "1-4", "", "part", "1-4"),
        ("0-1 4-6", "1-2.5 2.5-4", "", "part", "1-4"),
        ("0-1 4-5", "1-4", "5-6", "part", "1-4"),
        ("0-1 4-6", "1-2 3-4", "2-3", "other", "0-6"),  # absent for too short a time
        ("0-1 4-6", "", "1-4", "other", "0-6"),  # where it cannot be read nothing is known
        ("0-6", "", "", "other", "0-6"),  # a mark that is everywhere was copied
        ("0-4", "4-6", "", "other", "0-6"),  # so was one in a piece that could be compared and is not ours
    ],
)
def test_scraps_of_ours_too_short_to_compare_are_told_by_the_mark(
    marked: str, absent: str, unread: str, kin: str, gone: str
) -> None:
    def spans(text: str) -> list[tuple[float, ...]]:
        return [tuple(map(float, one.split("-"))) for one in text.split()]

    told = [Segment(*pair, found=True) for pair in spans(marked)]
    told += [Segment(*pair, found=False) for pair in spans(absent)]
    told += [Segment(*pair, found=False, readable=False) for pair in spans(unread)]
    heard = replace(sound(0xA), segments=tuple(sorted(told, key=lambda one: one.start)))
    whole = replace(SAME, spans=(Span(0.0, 6.0),))
    found = readings(NONE, heard=heard, looks=whole, sounds=ELSE, seconds=6.0)
    assert found.audio_match is not None
    assert found.departures("audio", found.audio_match) == tuple(Span(*pair) for pair in spans(gone))
    assert found.kin["audio"] == kin
    verdict, reasons = judge(found)
    assert verdict == ("tampered" if kin == "part" else "conflict"), reasons
    seen = replace(picture(0xA), segments=heard.segments)
    other = readings(NONE, seen=seen, looks=ELSE, sounds=whole, seconds=6.0)
    assert other.kin["video"] == "other", "where a picture's mark was not seen it need not be absent"
    said = " ".join(reasons)
    assert ("No mark was seen in the sound from 1.0" in said) == (verdict == "tampered")
    assert "from 5.0 to 6.0 s" not in said, "where no mark can be read, none is missed"
