from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.log import format as fmt
from audits.log.signing import SigningKey, parse_signing_key
from core.errors import LogCorrupt

NAMES = st.text(string.ascii_letters + string.digits + "./-éß€", min_size=1, max_size=30)
SEEDS = st.binary(min_size=32, max_size=32)
TILES = st.builds(
    fmt.Tile, st.none() | st.integers(0, 63), st.integers(0, 10**21 - 1), st.integers(1, fmt.TILE_WIDTH)
)
TESSERA = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
# The key and note of golang.org/x/mod/sumdb/note's documentation, as public test vectors.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_paths_of_the_specification() -> None:
    assert fmt.Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert fmt.Tile(None, 0, 3).path == "tile/entries/000.p/3"
    assert fmt.Tile(1, 1000, 255).path == "tile/1/x001/000.p/255"


@given(TILES)
def test_a_path_reads_back(tile: fmt.Tile) -> None:
    assert fmt.parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/x000/001", "tile/00/000", "tile/64/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/1",
        "tile/0/000.p/01", "tile/0/000/001", "/tile/0/000", "tile/0/000\n", "tile/0/../000", "tile/0/٠٠٠",
        "tile/0/" + "x999/" * 2000 + "000",
    ],
)  # fmt: skip
def test_a_path_has_one_spelling(path: str) -> None:
    with pytest.raises(LogCorrupt):
        fmt.parse_path(path)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_reads_back(leaves: list[bytes]) -> None:
    assert fmt.parse_bundle(fmt.render_bundle(leaves), len(leaves)) == leaves


@given(st.binary(max_size=200), st.integers(0, 8))
def test_any_bytes_are_a_bundle_or_corrupt(data: bytes, width: int) -> None:
    try:
        leaves = fmt.parse_bundle(data, width)
    except LogCorrupt:
        return
    assert fmt.render_bundle(leaves) == data


def test_a_leaf_has_a_limit() -> None:
    largest = bytes(fmt.MAX_LEAF)
    assert fmt.parse_bundle(fmt.render_bundle([largest]), 1) == [largest]
    with pytest.raises(LogCorrupt):
        fmt.render_bundle([largest + b"\0"])


def test_a_tile_has_its_length() -> None:
    assert fmt.parse_hashes(bytes(96), 3) == [bytes(32)] * 3
    with pytest.raises(LogCorrupt, match="95"):
        fmt.parse_hashes(bytes(95), 3)


@given(NAMES, st.integers(0, 10**19 - 1), st.binary(min_size=32, max_size=32), SEEDS)
def test_a_checkpoint_reads_back(origin: str, size: int, root: bytes, seed: bytes) -> None:
    checkpoint, key = fmt.Checkpoint(origin, size, root), SigningKey(origin, seed)
    note = key.sign(checkpoint.text)
    assert fmt.parse_checkpoint(key.vkey.verify(note)) == checkpoint
    assert fmt.parse_note(note).render() == note


@given(NAMES, SEEDS, st.sampled_from(sorted(fmt.PUBLIC_SIZES)))
def test_keys_read_back(name: str, seed: bytes, kind: bytes) -> None:
    key = SigningKey(name, seed, kind)
    assert parse_signing_key(key.render()) == key
    assert fmt.parse_verifier_key(key.vkey.render()) == key.vkey


@given(st.text("ab\n —+", max_size=40))
def test_any_text_is_a_note_or_corrupt(body: str) -> None:
    try:
        note = fmt.parse_note(body + "\n\n— a AAAAAAAA\n")
    except LogCorrupt:
        return
    assert note.render() == body + "\n\n— a AAAAAAAA\n"


@given(st.text(st.sampled_from(string.printable), min_size=1, max_size=3), st.integers(0))
def test_a_changed_note_is_refused(put: str, where: int) -> None:
    note = SigningKey("example.com/log", bytes(32)).sign("example.com/log\n7\n" + "A" * 43 + "=\n")
    at = where % len(note)
    changed = note[:at] + put + note[at + 1 :]
    if changed != note:
        with pytest.raises(LogCorrupt):
            SigningKey("example.com/log", bytes(32)).vkey.verify(changed)


def test_the_note_of_the_go_package() -> None:
    key = fmt.parse_verifier_key(NEUMANN)
    assert key.verify(NEUMANN_NOTE).startswith("If you think")
    with pytest.raises(LogCorrupt):
        key.verify(NEUMANN_NOTE.replace("answer", "Answer"))


def test_unknown_signatures_are_ignored_and_known_ones_must_hold() -> None:
    ours, other = SigningKey("a", bytes(32)), SigningKey("b", b"\x01" * 32)
    text = "a\n0\n" + "A" * 43 + "=\n"
    both = ours.sign(text) + other.sign(text).rpartition("\n\n")[2]
    assert ours.vkey.verify(both) == other.vkey.verify(both) == text
    with pytest.raises(LogCorrupt, match="not signed"):
        other.vkey.verify(ours.sign(text))
    wrong = fmt.Signature("a", ours.vkey.key_id, bytes(64)).line
    with pytest.raises(LogCorrupt, match="wrong"):
        ours.vkey.verify(ours.sign(text) + wrong)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (fmt.parse_checkpoint, "log\n01\n" + "A" * 43 + "=\n"),
        (fmt.parse_checkpoint, "log\n1\n" + "A" * 43 + "=\nextension\n"),
        (fmt.parse_checkpoint, "\n1\n" + "A" * 43 + "=\n"),
        (fmt.parse_checkpoint, "log\n1\n" + "A" * 42 + "B=\n"),
        (fmt.parse_checkpoint, "log\n١\n" + "A" * 43 + "=\n"),
        (fmt.parse_note, "text\n\n— a AAAA\n"),
        (fmt.parse_note, "text\r\n\n— a AAAAAAAA\n"),
        (fmt.parse_note, "text\n\n- a AAAAAAAA\n"),
        (fmt.parse_note, "text\n\n— a\u2003b AAAAAAAA\n"),
        (fmt.parse_note, "text\n\n" + "— a AAAAAAAA\n" * 101),
        (fmt.parse_note, "te\ud800xt\n\n— a AAAAAAAA\n"),
        (fmt.parse_verifier_key, TESSERA.replace("33d7b496", "33d7b497")),
        (fmt.parse_verifier_key, "a+00000000"),
        (parse_signing_key, "PRIVATE+KEY+a+00000000+" + "A" * 44),
    ],
)
def test_malformed_texts_are_corrupt(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(LogCorrupt):
        parse(text)


def test_the_tessera_log_reads_back_byte_for_byte(shared_data: Path) -> None:
    key = fmt.parse_verifier_key(TESSERA)
    notes = sorted((shared_data / "tlog" / "tessera_log").glob("checkpoint*"))
    assert len(notes) == 17
    for path in notes:
        data = path.read_text(encoding="utf-8")
        checkpoint = fmt.parse_checkpoint(key.verify(data))
        assert fmt.parse_note(data).render() == data
        assert checkpoint.text == fmt.parse_note(data).text
