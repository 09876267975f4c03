"""Black and silence that stand in the place of what we released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from audits.preemptive import scenes
from audits.preemptive.specimens import CLAIM, Shelf, proven
from core.media.clip import Sound
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.manifest import ManifestReading
from provenance.marks import MarkReading
from provenance.readings import Examination, Perception, Record
from provenance.verify import Report, conclude

SECONDS = 8.0
Keep = Callable[[float], bool]


def seen(keep: Keep) -> VideoPrint:
    printer = video.Printer()
    for index, rgb in enumerate(scenes.pictures(5, SECONDS)):
        time = index / scenes.FPS
        printer.add(rgb if keep(time) else np.zeros_like(rgb), time)
    return printer.finish()


def tune(keep: Keep) -> Sound:
    sound = scenes.tune(5, SECONDS)
    there = np.array([keep(time) for time in np.arange(len(sound)) / scenes.RATE])
    return np.asarray(sound * there[:, None], np.float32)


def heard(keep: Keep) -> AudioPrint:
    printer = audio.Printer(scenes.RATE)
    printer.add(tune(keep))
    return printer.finish()


def always(_time: float) -> bool:
    return True


def never(_time: float) -> bool:
    return False


def outside(start: float, end: float) -> Keep:
    return lambda time: not start <= time < end


def record(looks: Keep = always, sounds: Keep = always) -> Record:
    return replace(RECORD, video_print=seen(looks).stored(), audio_print=heard(sounds))


RECORD = Record(
    id="a",
    payload=CLAIM.payload,
    manifest_label="urn:c2pa:a",
    released_at=CLAIM.when,
    withdrawn=False,
    seconds=SECONDS,
    video=True,
    audio=True,
    log_index=0,
    digest="",
)


def asked(ours: Record, looks: Keep = always, sounds: Keep = always) -> Report:
    mark = MarkReading(track="audio", found=True, payload=CLAIM.payload, p_false=1e-12)
    media = Perception(
        media=True,
        trouble=None,
        seconds=SECONDS,
        looked=SECONDS,
        listened=SECONDS,
        video=replace(mark, track="video"),
        audio=mark,
        video_print=video.encode(seen(looks)).hex(),
        audio_print=audio.encode(heard(sounds)).hex(),
    )
    found = Examination(digest="00", manifest=ManifestReading(state="none"), media=media)
    return conclude(found, Shelf((ours,)), proven)


@pytest.mark.parametrize("keep", [outside(2, 6), outside(0, 4), never])
def test_black_in_the_place_of_a_picture_is_tampering(keep: Keep) -> None:
    report = asked(record(), looks=keep)
    assert report.verdict in ("tampered", "conflict"), report.reasons
    assert any("picture" in reason for reason in report.reasons)


@pytest.mark.parametrize("keep", [outside(1, 7), outside(2, 8), never])
def test_silence_in_the_place_of_a_sound_is_tampering(keep: Keep) -> None:
    report = asked(record(), sounds=keep)
    assert report.verdict in ("tampered", "conflict"), report.reasons
    assert any("sound" in reason for reason in report.reasons)


@pytest.mark.parametrize("keep", [outside(2, 6), outside(0, 4), outside(1, 7)])
def test_black_and_silence_of_our_own_are_ours(keep: Keep) -> None:
    """The control: the same in the file, with a record that has it too."""
    assert asked(record(keep, keep), keep, keep).verdict == "recovered"


def test_a_short_flash_of_black_or_pause_is_no_exchange() -> None:
    keep = outside(3, 4)
    assert asked(record(), looks=keep).verdict == "recovered"


def test_where_a_print_is_blank_is_told_in_its_own_times() -> None:
    shown, ours = seen(outside(2, 4)), seen(always).stored()
    assert video.blanked(shown, ours, 0.0) == tuple(np.arange(2, 4, 0.25).tolist())
    assert video.blanked(shown, ours, 100.0) == ()
    assert video.blanked(seen(always), ours, 0.0) == ()
    assert video.blanked(shown, seen(outside(2, 4)).stored(), 0.0) == ()
    quiet, loud = heard(outside(1, 7)), heard(always)
    times = audio.blanked(quiet, loud, 0.0)
    assert times
    assert min(times) > 0.9
    assert max(times) < 7.0
    assert audio.blanked(quiet, loud, 100.0) == audio.blanked(loud, quiet, 0.0) == ()
