from __future__ import annotations

import numpy as np
import pytest

from core.media.clip import Sound
from provenance.marks import MarkKey
from provenance.marks.audio import detect, embed, embedder, masking, spill, tiles, whole
from provenance.marks.audio.tiles import RATE, Floats

KEY = MarkKey("k", bytes(range(32)))
SECONDS = 8
T = np.arange(SECONDS * RATE) / RATE


def beats() -> Floats:
    """Bursts of noise that begin at once and die away, over a faint floor."""
    dice = np.random.default_rng(2)
    sound = 1e-4 * dice.standard_normal(len(T))
    for at in range(RATE // 2, len(T) - RATE // 2, RATE // 2):
        length = RATE // 3
        sound[at : at + length] += 0.3 * dice.standard_normal(length) * np.exp(-np.arange(length) / 800)
    return sound.astype(np.float32)


def chime() -> Floats:
    """One steady tone of three partials over a faint floor."""
    partials = sum(level * np.sin(2 * np.pi * 700 * n * T) for n, level in ((1, 0.3), (2, 0.1), (3, 0.05)))
    return (partials + 1e-3 * np.random.default_rng(3).standard_normal(len(T))).astype(np.float32)


def before_attacks(sound: Floats, marked: Floats) -> float:
    """Give what was added from 20 to 8 ms before the bursts, over the floor, in dB."""
    added = [(marked - sound)[at - 320 : at - 128] for at in range(RATE, len(T) - RATE, RATE // 2)]
    return float(20 * np.log10(np.sqrt(np.mean(np.square(added))) / 1e-4))


def swaying(sound: Floats, marked: Floats) -> float:
    """Give how far the level of the whole moved at most, over 48 ms, in dB."""
    size = tiles.FRAMES * tiles.HOP
    was, now = (
        np.square(one[: len(one) // size * size].reshape(-1, size)).sum(axis=1) for one in (sound, marked)
    )
    return float(np.abs(10 * np.log10(now / was))[2:-2].max())


def marked_as(sound: Floats) -> Floats:
    return embed(sound[:, None], RATE, KEY, 77)[:, 0]


def test_nothing_is_heard_before_an_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = beats()
    assert before_attacks(sound, marked_as(sound)) < 0
    monkeypatch.setattr(spill, "held", lambda _mono, residual: residual)
    assert before_attacks(sound, marked_as(sound)) > 12


def test_what_is_held_back_is_held_in_quiet_alone() -> None:
    dice = np.random.default_rng(4)
    mono, residual = (np.asarray(dice.standard_normal(RATE), np.float32) for _ in range(2))
    faint = 0.1 * residual
    assert np.abs(spill.held(mono, faint) - faint).max() < 0.02
    mono[RATE // 2 :] = 0
    assert np.abs(spill.held(mono, residual)[RATE // 2 + 128 :]).max() == 0


@pytest.mark.parametrize("length", [1, 31, 32, 129, 1000])
def test_any_length_comes_back(length: int) -> None:
    mono = np.ones(length, np.float32)
    assert spill.held(mono, 0.01 * mono).shape == (length,)


def test_a_bare_tone_does_not_swell_and_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = chime()
    assert swaying(sound, marked_as(sound)) < 0.6
    monkeypatch.setattr(masking, "sways", lambda level: np.full((len(level), 1), 99, np.float32))
    assert swaying(sound, marked_as(sound)) > 1


def test_a_bare_tone_is_read_all_the_same() -> None:
    assert detect(marked_as(chime())[:, None], RATE, [KEY], thorough=False).payload == 77


def test_what_fluctuates_by_itself_may_sway_further() -> None:
    dice = np.random.default_rng(5)
    calm, restless = np.zeros(50), 9 * dice.standard_normal(50)
    assert masking.sways(calm) == pytest.approx(masking.sways(calm + 20))
    assert masking.sways(restless).min() > 2 * masking.sways(calm).max()


def test_a_note_that_begins_does_not_let_calm_sound_sway_further() -> None:
    """PESQ aligned a made flute wrongly by what swayed at its notes: 1.2 instead of 4.6."""
    notes = np.repeat([0.0, -30, 0, 3, -2], 25)
    assert masking.sways(notes).max() == pytest.approx(masking.sways(np.zeros(9)).max())
    assert (
        masking.freer(notes).max() > 4 * masking.sways(notes).max()
    )  # the control: it swings by itself there


def test_silence_has_a_level() -> None:
    sound: Sound = np.zeros((6 * RATE, 1), np.float32)
    sound[RATE : 3 * RATE] = 0.1 * np.random.default_rng(6).standard_normal((2 * RATE, 1))
    canvas = embedder.canvas([sound[:, 0]])
    assert np.isfinite(canvas.sway).all()
    assert np.isfinite(canvas.share).all()
    assert whole.detect(sound, RATE, [KEY]).found is False
