from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadPrompt
from safety.prompt import MAX_CHARACTERS, checked_text


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        (b"", "empty"),
        ("a" * (MAX_CHARACTERS + 1), "4001 characters"),
        ("a" * 1_000_000, "too long"),
        (b"\xf0\x9f\x8e\xac" * 250_000, "too long"),
        ("bell \x07 rings", r"control character U\+0007 at character 5"),
        ("nul \x00", r"U\+0000"),
        ("escape \x1b[2J", r"U\+001B"),
        ("c1 \x85 control", r"U\+0085"),
        ("half \ud83d pair", "unpaired surrogate at character 5"),
        (b"caf\xe9", r"not UTF-8 \(byte 3\)"),
        (b"\xed\xa0\x80", "not UTF-8"),
    ],
)
def test_what_is_no_prompt_is_turned_away_with_a_reason(raw: str | bytes, says: str) -> None:
    with pytest.raises(BadPrompt, match=says):
        checked_text(raw)


@pytest.mark.parametrize("raw", ["x", "🎬🎥", "two\nlines\tand a tab", "男人在街上走", "a" * MAX_CHARACTERS])
def test_what_is_a_prompt_comes_back_as_it_is(raw: str) -> None:
    assert checked_text(raw) == raw
    assert checked_text(f"  {raw}\n".encode()) == raw


@given(st.one_of(st.text(max_size=50), st.binary(max_size=50)))
def test_anything_is_a_prompt_or_a_bad_prompt(raw: str | bytes) -> None:
    try:
        text = checked_text(raw)
    except BadPrompt:
        return
    assert text == text.strip()
    assert text.encode()
