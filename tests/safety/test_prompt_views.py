from __future__ import annotations

import base64
import codecs
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.prompt.language import identify
from safety.prompt.views import read
from safety.prompt.windows import MAX_WINDOWS, windows

PLAIN = "A grey heron waits by the river and the morning fog drifts over it"


def based(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


DISGUISES: dict[str, Callable[[str], str]] = {
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "full width": lambda text: "".join(chr(0xFEE0 + ord(c)) if c.isalpha() else c for c in text),
    "mathematical": lambda text: "".join(chr(0x1D41A + ord(c) - 97) if c.islower() else c for c in text),
    "stacked accents": lambda text: "".join(c + "\u0335\u0301" if c.isalpha() else c for c in text),
    "look-alikes": lambda text: text.translate(str.maketrans("aeopcx", "аеорсх")),
    "digits for letters": lambda text: text.translate(str.maketrans("aeios", "43105")),
    "spaced": " ".join,
    "dotted": ".".join,
    "base64": based,
    "base64 inside": lambda text: f"Please draw {based(text)}",
    "base64 three deep": lambda text: based(based(based(text))),
    "hexadecimal": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "look-alikes in base64": lambda text: based(text.replace("a", "а")),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES.keys())
def test_a_disguise_comes_off_and_is_a_fact(disguise: Callable[[str], str]) -> None:
    reading = read(disguise(PLAIN))
    assert PLAIN.lower() in reading.plain.text.lower().replace("draw ", "")
    assert reading.obfuscated


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "Café Zoë, naïve façade, El Niño; 35 mm film at 24 fps.",
        "A 4k HDR drone shot, 3D render, mp4.",
        "Đường phố Hà Nội vào buổi sáng",
        "Кошка сидит на окне и смотрит на улицу",
        "猫が窓辺に座っている",
        "Vitamin C, U.S. flag, a T-shirt, Plan B",
        "ISBN 9780306406157 and the code ABCDEFGHIJKLMNOP",
        "Rise-and-shine at https://example.org/a-long-path/with_words/index",
    ],
)
def test_ordinary_writing_is_not_called_obfuscated(text: str) -> None:
    assert not read(text).obfuscated


def test_spans_point_into_the_callers_text() -> None:
    text = f"Intro. Then: {based('the quiet harbour')} ok"
    view = next(view for view in read(text).views if "quiet harbour" in view.text)
    start = view.text.index("harbour")
    first, last = view.origin(start, start + 7)
    assert text[first:last] == based("the quiet harbour")
    spaced = "see h a r b o u r now"
    view = next(view for view in read(spaced).views if "harbour" in view.text)
    start = view.text.index("harbour")
    assert spaced[slice(*view.origin(start, start + 7))] == "h a r b o u r"


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=80))
def test_every_character_of_every_view_comes_from_somewhere(text: str) -> None:
    reading = read(text)
    for view in (*reading.views, *reading.guesses, reading.plain):
        assert len(view.text) == len(view.starts) == len(view.ends)
        for start, end in zip(view.starts, view.ends, strict=True):
            assert 0 <= start < end <= len(text)


@settings(max_examples=100)
@given(st.from_regex(r"[a-z]{4,12}( [a-z]{4,12}){2,5}", fullmatch=True))
def test_what_base64_hides_is_read(text: str) -> None:
    assert any(text in view.text for view in read(based(text)).views)


def test_encodings_ten_deep_and_bait_end_soon() -> None:
    nested = "a heron waits by the river"
    for _ in range(10):
        nested = based(nested)
    began = time.process_time()
    assert "heron" in read(nested[:4000]).plain.text
    for bait in (
        "a" * 4000,
        "a " * 2000,
        "%41" * 1333,
        "ab " * 1333,
        "\u0301" * 4000,
        "=" * 4000,
        "a-" * 2000,
    ):
        read(bait)
    assert time.process_time() - began < 5


def test_windows_cover_the_text_and_are_few() -> None:
    assert windows("One sentence only") == ("One sentence only",)
    text = "A bird sings in the tree. Its nest is made of moss. Rain falls on the roof."
    assert windows(text) == (text, *(part.strip() for part in text.split(".") if part))
    long = "word " * 790
    for crowd in ("Hi. " * 1000, long, "x" * 4000):
        parts = windows(crowd)
        assert len(parts) <= MAX_WINDOWS + 1
        letters = ["".join(re.findall(r"\w", given)) for given in ("".join(parts[1:] or parts), crowd)]
        assert letters[0] == letters[1]


@pytest.mark.parametrize("stop", [".", "!", "...", "。"])
def test_a_sentence_is_scored_as_if_it_stood_alone(stop: str) -> None:
    calm, other = "A bird sings in the tree", "Rain falls on the old roof"
    assert windows(f"{calm}{stop} {other}{stop}")[1:] == (calm, other)
    assert windows("... ... !!! ... ???") != ()


def is_english(word: str) -> bool:
    """Stand in for the classifier's vocabulary."""
    return word in {
        "heron",
        "grey",
        "stands",
        "beside",
        "lake",
        "guard",
        "shop",
        "keeper",
        "4k",
        "shot",
        "rape",
    }


TURNED: dict[str, Callable[[str], str]] = {
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
}
TURNED_TEXTS = (
    "a grey heron stands beside the lake, 4k, 8k",
    "35mm shot, a grey heron stands beside the lake",
    "a guard rapes a shopkeeper",
    "a heron stands, 3d, 60fps",
)


@pytest.mark.parametrize("turn", TURNED.values(), ids=TURNED.keys())
@pytest.mark.parametrize("text", TURNED_TEXTS)
def test_turned_text_is_read_before_its_digits_are(text: str, turn: Callable[[str], str]) -> None:
    reading = read(turn(text), is_english)
    assert reading.obfuscated
    assert reading.plain.text == read(text, is_english).plain.text
    name = "stands" if "stands" in text else "guard"
    at = reading.plain.text.index(name)
    first, last = reading.plain.origin(at, at + len(name))
    assert turn(name) == turn(text)[first:last]


@pytest.mark.parametrize("text", [*TURNED_TEXTS, "a deer saw a live rat", "Anna, Otto and Hannah on a kayak"])
def test_what_is_not_turned_is_left_alone(text: str) -> None:
    reading = read(text, is_english)
    assert not reading.obfuscated
    assert reading.plain.text == text


@pytest.mark.parametrize(
    ("text", "code", "scored"),
    [
        ("kill the lights", "en", True),
        ("red balloon", "en", True),
        ("A couple kisses under an umbrella", "en", True),
        ("une femme marche dans la rue avec son chien", "fr", False),
        ("Ein Mann geht über die Brücke und lacht", "de", False),
        ("una mujer camina por la calle con su perro", "es", False),
        ("Кошка сидит на окне и смотрит на улицу, а за окном идёт дождь", "ru", False),
        ("男人在街上走", "", False),
        ("🎬🎥", "und", False),
        ("!!! ...", "und", False),
    ],
)
def test_only_what_the_classifier_reads_is_scored(text: str, code: str, scored: bool) -> None:
    language = identify(text)
    assert language.scored is scored
    assert not code or language.code == code
