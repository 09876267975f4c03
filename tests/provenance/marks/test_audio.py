from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from core.errors import BadMedia
from core.media.clip import Sound
from core.media.read import whole_sound
from core.media.write import Delivery
from provenance.marks import MarkKey, MarkReading
from provenance.marks.audio import MIN_SECONDS, detect, detector, embed, tiles, wave
from provenance.marks.audio.pattern import pattern

KEY = MarkKey("k1", bytes(range(32)))
OTHER = MarkKey("k2", bytes(range(32, 64)))
PAYLOAD = 0xFEDCBA9876543210
RATE = 48_000
SECONDS = 9
T = np.arange(SECONDS * RATE) / RATE


def tones() -> Sound:
    """Three slow chords of harmonic tones over a little noise."""
    rng = np.random.default_rng(3)
    wave = 0.002 * rng.standard_normal(len(T))
    for start, root in ((0, 110.0), (3, 146.8), (6, 98.0)):
        envelope = np.clip(np.minimum((T - start + 0.5) / 0.8, start + 3.5 - T), 0, 1)
        for note in (1, 1.26, 1.498):
            for harmonic in range(1, 7):
                wave += (
                    0.06
                    * envelope
                    * np.sin(2 * np.pi * root * note * harmonic * T + harmonic)
                    / harmonic**1.3
                )
    return wave.astype(np.float32)[:, None]


def wind() -> Sound:
    rng = np.random.default_rng(5)
    low = signal.sosfilt(
        signal.butter(2, [200, 900], "bandpass", fs=RATE, output="sos"), rng.normal(size=len(T))
    )
    high = signal.sosfilt(signal.butter(1, 2500, fs=RATE, output="sos"), rng.normal(size=len(T)))
    gusts = 1 + 0.6 * np.sin(2 * np.pi * 0.23 * T)
    return (0.3 * (low + 0.15 * high) * gusts).astype(np.float32)[:, None]


def ticks() -> Sound:
    rng = np.random.default_rng(7)
    wave = 3e-4 * rng.standard_normal(len(T))
    for beat in range(4 * SECONDS - 1):
        at, length = beat * RATE // 4, RATE // 11
        ring = np.sin(2 * np.pi * 900 * T[:length]) * (beat % 3 > 0) + 0.5 * rng.standard_normal(length)
        wave[at : at + length] += 0.3 * ring * np.exp(-T[:length] / 0.018)
    return wave.astype(np.float32)[:, None]


def syllables() -> Sound:
    """Buzzes through two moving resonances, with pauses, as a formant synthesiser speaks."""
    rng = np.random.default_rng(11)
    wave, at = 1e-4 * rng.standard_normal(len(T)), 0.2
    while at < SECONDS - 1:
        length = int(rng.uniform(0.12, 0.35) * RATE)
        buzz = np.diff(np.floor(np.cumsum(np.linspace(130, 105, length)) / RATE), prepend=0)
        for formant, width in ((rng.uniform(300, 800), 80), (rng.uniform(900, 2400), 120)):
            pole = np.exp(-np.pi * width / RATE)
            buzz = signal.lfilter([1], [1, -2 * pole * np.cos(2 * np.pi * formant / RATE), pole**2], buzz)
        start = int(at * RATE)
        wave[start : start + length] += 0.3 * buzz / np.abs(buzz).max() * np.hanning(length) ** 0.3
        at += length / RATE + (rng.uniform(0.3, 0.6) if rng.random() < 0.2 else 0.03)
    return wave.astype(np.float32)[:, None]


def stereo() -> Sound:
    """Syllables left of the middle, wind right of it."""
    voice, noise = syllables(), wind()
    return np.concatenate((voice + 0.2 * noise, 0.4 * voice + 0.6 * noise), axis=1)


SOUNDS: dict[str, Callable[[], Sound]] = {
    "tones": tones,
    "wind": wind,
    "ticks": ticks,
    "syllables": syllables,
    "stereo": stereo,
}


@pytest.fixture(scope="module")
def marked() -> dict[str, Sound]:
    return {name: embed(make(), RATE, KEY, PAYLOAD) for name, make in SOUNDS.items()}


def through_aac(sound: Sound, rate: int, folder: Path, *bitrates: int) -> Sound:
    for bitrate in bitrates:
        path = folder / f"{bitrate}.m4a"
        with Delivery(path, rate=rate, channels=sound.shape[1], audio_bitrate=bitrate) as out:
            out.sound(sound)
        sound = whole_sound(path)
    return sound


def payload_in(sound: Sound, rate: int = RATE) -> int | None:
    return detect(sound, rate, [KEY], thorough=False).payload


@pytest.mark.parametrize("name", SOUNDS)
def test_payload_survives_delivery_and_a_second_encode(
    name: str, marked: dict[str, Sound], tmp_path: Path
) -> None:
    reading = detect(through_aac(marked[name], RATE, tmp_path, 192_000, 96_000), RATE, [OTHER, KEY])
    assert reading.found
    assert (reading.payload, reading.key_id) == (PAYLOAD, "k1")
    assert reading.p_false < 1e-7


def by_hand(sound: Sound, width: int = 4) -> Sound:
    """Mark mono sound at 16 kHz by 1.5 dB with nothing of the embedder's, under numbers that must not change."""
    frames = -(-len(sound) // 128) + 3
    padded = np.zeros((frames + 3) * 128)
    padded[384 : 384 + len(sound)] = sound[:, 0]
    window = np.sin(np.pi * np.arange(512) / 512)
    target = pattern(KEY).target(PAYLOAD)
    out = np.zeros_like(padded)
    for frame in range(frames):
        span = slice(128 * frame, 128 * frame + 512)
        spectrum = np.fft.rfft(window * padded[span])
        gain = 10 ** (1.5 / 20 * np.repeat(target[frame // 6 % 104], width))
        spectrum[9 : 9 + 39 * width] *= gain
        out[span] += window * np.fft.irfft(spectrum) / 2
    return out[384 : 384 + len(sound), None].astype(np.float32)


def test_sounds_that_earlier_versions_marked_stay_readable() -> None:
    """Key, code, tiles and period are pinned: a mark needs no more than these, however gains were chosen."""
    quiet = signal.resample_poly(wind(), 1, 3).astype(np.float32)
    assert hashlib.sha256((pattern(KEY).target(PAYLOAD) > 0).tobytes()).hexdigest()[:16] == "91902c917fb60575"
    assert payload_in(by_hand(quiet), 16_000) == PAYLOAD
    assert payload_in(by_hand(quiet, width=3), 16_000) is None  # the control: tiles of another width


@pytest.mark.parametrize(
    "pattern",
    [
        "voice/librispeech_test_other/**/*.flac",
        "voice/librispeech_train_clean/**/*.flac",
        "audio/music/147793*.ogg",
        "audio/music/admiralbob77*.ogg",
        "audio/music/Kevin*.ogg",
    ],
)
def test_payload_survives_in_real_recordings(pattern: str, shared_data: Path, tmp_path: Path) -> None:
    for path in sorted(shared_data.glob(pattern)):
        sound = whole_sound(path, rate=RATE)[: 10 * RATE]
        if len(sound) >= 8 * RATE:
            break
    else:
        pytest.skip(f"no recording of 8 s under {pattern}")
    again = through_aac(embed(sound, RATE, KEY, PAYLOAD), RATE, tmp_path, 192_000, 96_000)
    assert payload_in(again) == PAYLOAD


@pytest.mark.parametrize("name", ["wind", "syllables", "tones"])
def test_payload_survives_a_crop(name: str, marked: dict[str, Sound], tmp_path: Path) -> None:
    coded = through_aac(marked[name], RATE, tmp_path, 96_000)
    assert payload_in(coded[int(1.3 * RATE) + 17 : int(7.3 * RATE)]) == PAYLOAD


def test_payload_survives_downmix_channel_loss_and_gain(marked: dict[str, Sound]) -> None:
    sound = marked["stereo"]
    assert payload_in(sound.mean(axis=1, keepdims=True)) == PAYLOAD
    assert payload_in(sound[:, :1]) == PAYLOAD
    assert payload_in(sound[:, 1:]) == PAYLOAD
    assert payload_in(sound * np.array([[0, 0.25]], np.float32)) == PAYLOAD
    assert payload_in(-0.25 * sound) == PAYLOAD


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 192_000])
def test_payload_survives_another_rate(rate: int, marked: dict[str, Sound]) -> None:
    common = np.gcd(rate, RATE)
    sound = signal.resample_poly(marked["wind"], rate // common, RATE // common).astype(np.float32)
    assert payload_in(sound, rate) == PAYLOAD


@pytest.mark.parametrize("ratio", [0.91, 1.1])
def test_thorough_search_follows_a_change_of_speed(ratio: float, marked: dict[str, Sound]) -> None:
    old = marked["wind"][:, 0]
    places = np.arange(int(len(old) / ratio)) * ratio
    faster = np.interp(places, np.arange(len(old)), old).astype(np.float32)[:, None]
    assert payload_in(faster) is None
    reading = detect(faster, RATE, [KEY])
    assert reading.payload == PAYLOAD
    assert reading.p_false < 1e-6
    assert reading.geometry is not None
    assert reading.geometry["speed"] == pytest.approx(ratio, abs=0.004)


def test_half_marked_sound_says_which_half(marked: dict[str, Sound]) -> None:
    half = np.concatenate((marked["wind"], wind()[::-1]))
    reading = detect(half, RATE, [KEY], thorough=False)
    assert reading.payload == PAYLOAD
    assert seconds_of(reading, found=True, within=(0, SECONDS)) > SECONDS - 0.5
    assert seconds_of(reading, found=True, within=(SECONDS + 0.2, 2 * SECONDS)) == 0
    assert seconds_of(reading, found=False, within=(SECONDS, 2 * SECONDS)) > SECONDS - 2


def seconds_of(reading: MarkReading, *, found: bool, within: tuple[float, float]) -> float:
    """Add up the seconds in which the mark was found, or is absent; unreadable ones are neither."""
    return sum(
        max(0.0, min(one.end, within[1]) - max(one.start, within[0]))
        for one in reading.segments
        if one.readable and one.found == found
    )


# Of 6 s; `None` is the control, in which nothing is exchanged and nothing may be called exchanged.
SPLICES = {"start": (2, 6), "end": (0, 4), "middle exchanged": (2, 4), "control": None}


@pytest.mark.parametrize("splice", SPLICES)
@pytest.mark.parametrize("kind", ["syllables", "wind"])
def test_a_foreign_span_is_told_from_ours(
    splice: str, kind: str, marked: dict[str, Sound], tmp_path: Path
) -> None:
    ours, span = marked[kind][: 6 * RATE].copy(), SPLICES[splice]
    if span:
        foreign = {"syllables": wind, "wind": syllables}[kind]()
        ours[span[0] * RATE : span[1] * RATE] = foreign[span[0] * RATE : span[1] * RATE]
    reading = detect(through_aac(ours, RATE, tmp_path, 96_000), RATE, [KEY], thorough=False)
    assert reading.payload == PAYLOAD
    if span is None:
        assert seconds_of(reading, found=False, within=(0, 6)) == 0
        assert seconds_of(reading, found=True, within=(0, 6)) > 5.5
        return
    whole = span[1] - span[0]
    assert seconds_of(reading, found=True, within=(span[0] + 0.3, span[1] - 0.3)) == 0
    assert seconds_of(reading, found=False, within=span) > whole - 0.8
    assert seconds_of(reading, found=True, within=(0, 6)) > 6 - whole - 0.8


def test_two_single_seconds_are_found_for_an_expected_payload_only(marked: dict[str, Sound]) -> None:
    rest = wind()[: 6 * RATE]
    for second in (0, 5):
        rest[second * RATE : (second + 1) * RATE] = marked["syllables"][second * RATE : (second + 1) * RATE]
    assert payload_in(rest) is None
    reading = detect(rest, RATE, [OTHER, KEY], thorough=False, expected=[1, PAYLOAD])
    assert (reading.payload, reading.key_id) == (PAYLOAD, "k1")
    assert reading.p_false < 1e-6
    assert seconds_of(reading, found=True, within=(0, 1)) > 0.6
    assert seconds_of(reading, found=True, within=(5, 6)) > 0.6
    assert seconds_of(reading, found=True, within=(1.3, 4.7)) == 0


def test_an_expected_payload_is_not_seen_where_it_is_not(marked: dict[str, Sound]) -> None:
    keys = [MarkKey(str(n), n.to_bytes(32, "big")) for n in range(8)]
    for sound in (wind(), syllables(), marked["wind"]):
        assert not detect(sound, RATE, keys, thorough=False, expected=[PAYLOAD, 2, 3]).found
    others = detect(marked["wind"], RATE, [KEY], thorough=False, expected=[PAYLOAD ^ 1])
    assert others.payload == PAYLOAD


def organ() -> Sound:
    """Hold chords of bare tones over next to no noise."""
    chord = np.zeros(len(T))
    for start in range(0, SECONDS, 2):
        here = (start <= T) & (start + 2 > T)
        fade = np.clip(np.minimum(T - start, start + 2 - T) / 0.03, 0, 1)[here]
        for note in (1, 1.26, 1.498):
            for overtone, level in ((1, 1), (2, 0.7), (3, 0.4), (4, 0.3), (6, 0.15), (8, 0.1)):
                pitch = (131 + 9 * start) * note * overtone
                chord[here] += level * fade * np.sin(2 * np.pi * pitch * T[here])
    noise = 1e-4 * np.random.default_rng(4).standard_normal(len(T))
    return (0.4 * chord / np.abs(chord).max() + noise).astype(np.float32)[:, None]


def test_bare_tones_in_noise_are_read_by_the_weights_for_them() -> None:
    sound = embed(organ(), RATE, KEY, PAYLOAD)
    noise = np.random.default_rng(1).standard_normal(sound.shape) * np.sqrt(np.square(sound).mean() / 10)
    noisy = (sound + noise).astype(np.float32)
    assert payload_in(noisy) == PAYLOAD
    summed = tiles.integral(tiles.spectra(wave.at_working_rate(noisy[:, 0], RATE)))
    assert detector.read(detector.plain(summed, tiles.Weights.LOUD), pattern(OTHER)) is None
    plain = detector.expected(detector.plain(summed), pattern(KEY), PAYLOAD).z
    tonal = detector.expected(detector.plain(summed, tiles.Weights.LOUD), pattern(KEY), PAYLOAD).z
    assert tonal > 1.2 * plain
    bare = detector.expected(detector.plain(summed, tiles.Weights.BARE), pattern(KEY), PAYLOAD).z
    assert bare > tonal


def test_silence_between_is_unreadable_not_absent(marked: dict[str, Sound]) -> None:
    sound = marked["syllables"].copy()
    sound[3 * RATE : 6 * RATE] = 0
    reading = detect(sound, RATE, [KEY], thorough=False)
    assert reading.payload == PAYLOAD
    assert seconds_of(reading, found=True, within=(3.6, 5.4)) == 0
    assert seconds_of(reading, found=False, within=(0, SECONDS)) == 0
    assert any(not one.readable for one in reading.segments)


def test_wrong_key_and_unmarked_sound_read_nothing(marked: dict[str, Sound]) -> None:
    assert payload_in(marked["tones"]) == PAYLOAD
    assert not detect(marked["tones"], RATE, [OTHER]).found
    nothing = detect(tones(), RATE, [KEY, OTHER])
    assert (nothing.found, nothing.payload, nothing.key_id, nothing.p_false) == (False, None, None, 1.0)


def test_many_wrong_keys_read_nothing(marked: dict[str, Sound]) -> None:
    keys = [MarkKey(str(n), n.to_bytes(32, "big")) for n in range(12)]
    assert not detect(marked["syllables"], RATE, keys, thorough=False).found
    assert detect(marked["syllables"], RATE, [*keys, KEY], thorough=False).key_id == "k1"


def test_silence_stays_silent_and_peaks_stay_in_scale() -> None:
    sound = wind()
    sound *= 0.999 / np.abs(sound).max()
    sound[4 * RATE : 5 * RATE] = 0
    marked = embed(sound, RATE, KEY, PAYLOAD)
    assert not marked[4 * RATE + RATE // 50 : 5 * RATE - RATE // 50].any()
    assert np.abs(marked).max() <= 1
    assert payload_in(marked) == PAYLOAD


def test_mark_stays_under_the_sound() -> None:
    sound = wind()
    residual = embed(sound, RATE, KEY, PAYLOAD) - sound
    assert 12 < 10 * np.log10(np.square(sound).sum() / np.square(residual).sum()) < 40
    _, _, before = signal.stft(sound[:, 0], RATE, nperseg=2400)
    _, _, change = signal.stft(residual[:, 0], RATE, nperseg=2400)
    audible = np.abs(before) > 1e-3 * np.abs(before).max()
    assert np.quantile(np.abs(change[audible]) / np.abs(before[audible]), 0.9) < 0.5


def test_shape_rate_and_dead_channels_are_kept() -> None:
    sound = np.zeros((8 * 44_100, 6), np.float32)
    sound[:, 2] = signal.resample_poly(wind()[:, 0], 147, 160)[: len(sound)]
    marked = embed(sound, 44_100, KEY, PAYLOAD)
    assert (marked.shape, marked.dtype) == (sound.shape, np.float32)
    assert not marked[:, [0, 1, 3, 4, 5]].any()
    assert payload_in(marked, 44_100) == PAYLOAD


@pytest.mark.parametrize(
    ("sound", "rate", "why"),
    [
        (wind()[: int((MIN_SECONDS - 0.1) * RATE)], RATE, "too short to carry a mark"),
        (np.zeros((6 * RATE, 2), np.float32), RATE, "silent"),
        (np.full((6 * RATE, 1), np.nan, np.float32), RATE, "not numbers"),
        (np.full((6 * RATE, 1), np.inf, np.float32), RATE, "not numbers"),
        (np.zeros(6 * RATE, np.float32), RATE, "shape"),
        (wind(), 4_000, "8 to 192 kHz"),
        (np.eye(6 * RATE, 1, dtype=np.float32), RATE, "too empty"),
    ],
)
def test_sounds_that_cannot_carry_a_mark_are_refused(sound: Sound, rate: int, why: str) -> None:
    with pytest.raises(BadMedia, match=why):
        embed(sound, rate, KEY, PAYLOAD)


def test_detecting_in_short_or_silent_sound_finds_nothing() -> None:
    assert not detect(wind()[:100], RATE, [KEY]).found
    assert not detect(np.zeros((6 * RATE, 2), np.float32), RATE, [KEY]).found
    assert not detect(np.zeros((0, 1), np.float32), RATE, [KEY]).found
    with pytest.raises(BadMedia):
        detect(np.full((RATE, 1), np.nan, np.float32), RATE, [KEY])


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.2, 0.5, 1.0, 1.3, 2.4, 2.6, 5.1])
@pytest.mark.parametrize("expected", [(), (0xA11CE,)])
def test_a_sound_of_any_length_is_searched_for_a_mark(seconds: float, expected: tuple[int, ...]) -> None:
    noise = 0.1 * np.random.default_rng(5).standard_normal((round(seconds * 16000), 1)).astype(np.float32)
    reading = detect(noise, 16000, [KEY], expected=expected)
    assert (reading.found, reading.payload) == (False, None)
