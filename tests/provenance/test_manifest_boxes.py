from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadMedia
from provenance.keys import SigningKeys
from provenance.manifest import Claim, active_manifest, sign


def box(kind: bytes, content: bytes, *, large: bool = False) -> bytes:
    if large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


ABOUT = box(b"jumd", b"c2pa")


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.booleans())
def test_the_last_manifest_is_left(contents: list[bytes], large: bool) -> None:
    manifests = [box(b"jumb", content, large=large) for content in contents]
    store = box(b"jumb", ABOUT + b"".join(manifests), large=large)
    assert active_manifest(store) == box(b"jumb", ABOUT + box(b"jumb", contents[-1]))


@given(st.binary(max_size=80), st.integers(0, 60))
def test_anything_else_is_refused(junk: bytes, cut: int) -> None:
    whole = box(b"jumb", ABOUT + box(b"jumb", b"manifest"))
    for data in (
        junk,
        whole[: min(cut, len(whole) - 1)],
        whole + junk + b"\0",
        box(b"jumb", ABOUT),
        box(b"free", whole),
    ):
        with pytest.raises(BadMedia):
            active_manifest(data)


def test_a_store_of_one_manifest_stays_as_it_is(
    film: Path, tmp_path: Path, keys: SigningKeys, claim: Claim
) -> None:
    signed = sign(film, tmp_path / "signed.mp4", claim, keys)
    assert active_manifest(signed.bytes) == signed.bytes
