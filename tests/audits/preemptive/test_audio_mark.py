from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audits.preemptive.audio_mark import _Count, _qualities, audio_mark
from audits.preemptive.pieces import Pieces
from audits.preemptive.result import Row, SuiteResult, counted, untested
from audits.preemptive.sound import attacks as of
from audits.preemptive.sound import grid
from audits.preemptive.sound.clips import made, sounds
from audits.preemptive.sound.listening import listening_page
from core.errors import BadInput
from core.media.export import export
from provenance.marks import MarkKey

RATE = 16_000


def test_the_quick_run_reaches_what_it_must_and_its_controls_find_nothing() -> None:
    rows = {str(row["case"]): row for row in audio_mark(0, quick=True, data=None, pieces=Pieces())}
    for cell in grid.QUICK:
        assert rows[cell.attack.name]["passed"], cell.attack.name
    for control in ("control: mark in the unmarked twin", "control: mark under a wrong key"):
        assert rows[control]["hits"] == 0
        assert int(rows[control]["trials"]) > 0
    assert rows["another payload than the one put in, all attacks"]["passed"]
    assert not any(row["passed"] for row in rows.values() if "untested" in row)


def test_rows_of_quality_can_be_kept() -> None:
    count = _Count()
    for measure in ("pesq", "by_parts", "snr"):
        count.qualities[measure] += [[4.5, 4.0, 4.4], [4.6, 4.6]]
    rows = {str(row["case"]): row for row in json.loads(json.dumps([*_qualities(count)]))}
    about = "PESQ, wide band, 2 clips, 5 payloads"
    assert rows[f"{about}, worst"]["passed"] is False
    assert rows[f"{about}, worst clip's median"]["value"] == 4.4


def test_cells_have_names_of_their_own() -> None:
    cells = (*grid.CORE, *grid.MARKBENCH, *grid.RAW_STRICT, *grid.RAW_LOOSE)
    names = [cell.attack.name for cell in cells]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("attack", [cell.attack for cell in grid.CORE], ids=lambda attack: attack.name)
def test_an_attack_changes_sound_reproducibly(attack: of.Attack) -> None:
    time = np.arange(6 * RATE) / RATE
    sound = (0.3 * np.sin(2 * np.pi * (300 + 90 * time) * time) * np.sin(3 * time)).astype(np.float32)[
        :, None
    ]
    one, same = (attack.apply(sound, RATE, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, same)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    if attack is not of.UNTOUCHED and attack.name != "10 s of it":
        assert one.shape != sound.shape or not np.array_equal(one, sound)


def test_noise_is_as_strong_as_its_name_says() -> None:
    sound = np.sin(np.arange(4 * RATE) / 5).astype(np.float32)[:, None]
    for snr in (10, 20):
        noise = of.white(snr).apply(sound, RATE, np.random.default_rng(1)) - sound
        assert 10 * np.log10(np.square(sound).mean() / np.square(noise).mean()) == pytest.approx(snr, abs=0.1)


def test_short_files_of_a_folder_are_joined(tmp_path: Path) -> None:
    for number in range(5):
        export(tmp_path / f"{number}.wav", np.full((RATE, 1), 0.1 * number, np.float32), RATE)
    (clip, other) = sounds(0, tmp_path, seconds=2.0, count=9)
    assert (clip.name, len(clip.sound), other.name) == ("1", 2 * RATE, "3")
    with pytest.raises(BadInput):
        list(sounds(0, tmp_path, seconds=9.0, count=9))


def test_what_was_not_tested_never_passes_and_does_not_decide() -> None:
    def passed(*rows: Row) -> bool:
        return SuiteResult(name="x", dated="", quick=True, seed=0, environment={}, rows=rows).passed

    assert passed(counted("a", 1, 1, reach=1.0), untested("b", "no weights"))
    assert not passed(untested("b", "no weights"))
    assert not passed(counted("a", 0, 1, reach=1.0), untested("b", "no weights"))


def test_the_listening_page_holds_blinded_pairs() -> None:
    page = listening_page([made(1, 6.0), made(3, 6.0)], MarkKey("k", b"k" * 32), np.random.default_rng(0))
    start = page.index("const trials = ") + len("const trials = ")
    trials = json.loads(page[start : page.index(";\n", start)])
    assert len(trials) == 2
    for trial in trials:
        assert trial["a"] != trial["b"]
        assert trial["x"] == (trial["a"], trial["b"])[trial["key"]]
