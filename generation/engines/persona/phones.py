"""The sounds of speech as targets for a formant synthesiser, and a rough reading of letters into them.

Formants after Peterson and Barney (1952) and Klatt (1980), for an average adult male tract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Phone:
    """Targets of one sound.

    `formants` in Hz, `voice`, `aspiration` and `frication` are amplitudes 0-1, `noise` is the centre and the
    width of the frication in Hz, `seconds` the usual length.
    """

    formants: tuple[float, float, float]
    voice: float
    seconds: float
    aspiration: float = 0.0
    frication: float = 0.0
    noise: tuple[float, float] = (4000.0, 2000.0)
    nasal: bool = False


VOWELS: dict[str, Phone] = {
    "i": Phone((280, 2250, 2950), 0.9, 0.10),
    "I": Phone((400, 1950, 2550), 1.0, 0.08),
    "e": Phone((530, 1830, 2480), 1.0, 0.10),
    "a": Phone((720, 1250, 2500), 1.0, 0.12),
    "A": Phone((660, 1700, 2410), 1.0, 0.12),
    "o": Phone((500, 880, 2450), 1.0, 0.12),
    "u": Phone((320, 900, 2240), 0.9, 0.11),
    "U": Phone((440, 1050, 2240), 1.0, 0.08),
    "@": Phone((500, 1400, 2450), 0.85, 0.06),
}
CONSONANTS: dict[str, Phone] = {
    "m": Phone((260, 1050, 2200), 0.50, 0.07, nasal=True),
    "n": Phone((260, 1600, 2550), 0.50, 0.06, nasal=True),
    "l": Phone((360, 1250, 2700), 0.65, 0.06),
    "r": Phone((380, 1200, 1650), 0.70, 0.07),
    "w": Phone((300, 650, 2250), 0.65, 0.06),
    "y": Phone((270, 2200, 2950), 0.65, 0.06),
    "h": Phone((500, 1400, 2500), 0.10, 0.06, aspiration=0.5),
    "s": Phone((330, 1650, 2600), 0.0, 0.10, frication=0.60, noise=(6200, 2200)),
    "S": Phone((330, 1800, 2400), 0.0, 0.10, frication=0.65, noise=(3400, 1600)),
    "f": Phone((320, 1150, 2350), 0.0, 0.09, frication=0.20, noise=(5200, 5200)),
    "z": Phone((320, 1650, 2600), 0.45, 0.08, frication=0.30, noise=(6000, 2400)),
    "v": Phone((300, 1150, 2350), 0.50, 0.06, frication=0.10, noise=(5000, 5000)),
    "D": Phone((310, 1400, 2600), 0.50, 0.05, frication=0.07, noise=(5500, 4500)),
}
STOPS: dict[str, tuple[Phone, Phone]] = {
    stop: (
        Phone(locus, 0.22 if voiced else 0.0, 0.045 if voiced else 0.06),
        Phone(
            locus, 0.35 if voiced else 0.0, 0.018 if voiced else 0.045, 0.1 if voiced else 0.35, burst, noise
        ),
    )
    for stop, locus, voiced, burst, noise in (
        ("p", (320.0, 850.0, 2250.0), False, 0.20, (1200.0, 1800.0)),
        ("b", (280.0, 850.0, 2250.0), True, 0.12, (1100.0, 1600.0)),
        ("t", (320.0, 1750.0, 2650.0), False, 0.45, (4600.0, 2400.0)),
        ("d", (280.0, 1750.0, 2650.0), True, 0.25, (4300.0, 2400.0)),
        ("k", (320.0, 1900.0, 2400.0), False, 0.38, (2100.0, 1200.0)),
        ("g", (280.0, 1900.0, 2400.0), True, 0.22, (2000.0, 1200.0)),
    )
}
PAUSE = Phone((480, 1400, 2450), 0.0, 0.09)
_SPELLINGS = (
    "tion:S@n|igh:aI|ee:i|ea:i|oo:u|ou:aU|ow:oU|ay:eI|ai:eI|oy:oI|oi:oI|au:o|th:D|sh:S|ch:tS|ck:k|ng:n|ph:f|wh:w|"
    "qu:kw|er:@r|a:A|e:e|i:I|o:a|u:@|y:i|c:k|j:dz|x:ks|q:k"
)
_SOUNDS = dict(pair.split(":") for pair in _SPELLINGS.split("|"))
_PIECES = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)) + "|[a-z]|[ ,.;:!?-]")


def reading(text: str) -> str:
    """Read text letter by letter into phone symbols, spaces between words and commas for pauses."""
    symbols = "".join(
        _SOUNDS.get(piece, "," if piece in ".,;:!?-" else piece) for piece in _PIECES.findall(text.lower())
    )
    return re.sub(r"(.)\1", r"\1", symbols)


def babble(rng: np.random.Generator, words: int) -> str:
    """Make up phone symbols with the rhythm of speech: words of one to three syllables, phrases of 3-7 words."""
    onsets, codas = [*"mnlrwyhsSfzvDpbtdkg", "st", "pr", "kl"], ["", "", "", "n", "s", "t", "l", "m"]
    vowels = [*"iIeaAouU@", "aI", "eI", "oU"]
    said: list[str] = []
    for _ in range(words):
        count = int(rng.integers(1, 4))
        word = "".join(f"{rng.choice(onsets)}{rng.choice(vowels)}" for _ in range(count))
        said.append(word + str(rng.choice(codas)))
        said.append(", " if rng.random() < 0.2 else " ")
    return "".join(said)
