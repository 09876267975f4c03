from __future__ import annotations

import ast
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audits.log import check as module
from audits.log import format as fmt
from audits.log import tree
from audits.log.check import check
from audits.log.signing import SigningKey
from core.errors import Unavailable

KEY = SigningKey("greenlight.test/log", bytes(32))
SIZE = 600


def build(folder: Path, leaves: list[bytes], key: SigningKey | None = KEY) -> None:
    """Write a log by hand; without a key the old checkpoint stays."""
    tiles = tree.grow(0, [tree.leaf_hash(leaf) for leaf in leaves], {}.__getitem__)
    files = {tile.path: fmt.render_hashes(hashes) for tile, hashes in tiles.items()}
    for tile in tiles:
        if tile.level == 0:
            at = tile.index * 256
            bundle = fmt.Tile(None, tile.index, tile.width)
            files[bundle.path] = fmt.render_bundle(leaves[at : at + tile.width])
    if key:
        root = tree.over_tiles(len(leaves), tiles.__getitem__)(0, len(leaves))
        files["checkpoint"] = key.sign(fmt.Checkpoint(key.name, len(leaves), root).text).encode()
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


LEAVES = [b'{"n":%d}' % n for n in range(SIZE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("log")
    build(made, LEAVES)
    return made


def entry_at(path: str, at: int) -> tuple[int, int]:
    """Give the first and the last entry that byte `at` of a public file speaks of."""
    tile = fmt.parse_path(path)
    if tile.level is None:
        begin = 0
        for n, leaf in enumerate(LEAVES[tile.index * 256 :]):
            begin += 2 + len(leaf)
            if at < begin:
                return (tile.index * 256 + n,) * 2
    assert tile.level is not None
    span = 256**tile.level
    first = (tile.index * 256 + at // 32) * span
    return first, first + span - 1


def test_an_untouched_log_is_whole(folder: Path) -> None:
    report = check(folder, KEY.vkey)
    assert report.ok
    assert report == module.CheckReport(SIZE)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pick=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_and_its_entry_named(folder: Path, pick: int, bit: int) -> None:
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    path = files[pick % len(files)]
    original = (folder / path).read_bytes()
    data = bytearray(original)
    at = pick // len(files) % len(data)
    data[at] ^= 1 << bit
    (folder / path).write_bytes(data)
    try:
        report = check(folder, KEY.vkey)
    finally:
        (folder / path).write_bytes(original)
    assert not report.ok
    if path == "checkpoint":
        assert "checkpoint" in report.problems[0]
        return
    first, last = entry_at(path, at)
    if first == last:
        assert report.entries[0] == first
        assert any(problem.startswith(f"entry {first}:") for problem in report.problems)
    else:
        assert any(problem.startswith(f"entries {first} to {last}:") for problem in report.problems)


def every_file(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_missing_and_truncated_files_are_named(folder: Path, tmp_path: Path) -> None:
    assert len(every_file(folder)) == 8
    for path in every_file(folder):
        name = str(path.relative_to(folder))
        for keep in (None, 0, path.stat().st_size - 1):
            copy = tmp_path / "copy"
            shutil.copytree(folder, copy)
            if keep is None:
                (copy / name).unlink()
            else:
                (copy / name).write_bytes(path.read_bytes()[:keep])
            report = check(copy, KEY.vkey)
            assert any(name in problem or name == "checkpoint" for problem in report.problems), (name, keep)
            shutil.rmtree(copy)


def test_a_recomputed_tree_without_the_key_is_caught(folder: Path, tmp_path: Path) -> None:
    forged = [*LEAVES[:17], b"forged", *LEAVES[18:]]
    shutil.copytree(folder, tmp_path / "copy")
    build(tmp_path / "copy", forged, key=None)
    report = check(tmp_path / "copy", KEY.vkey)
    assert report.problems == (f"checkpoint: the tiles of its {SIZE} entries do not lead to its root",)
    # Signed by somebody else it is caught too; signed with our own key it is a log like any other.
    build(tmp_path / "copy", forged, key=SigningKey(KEY.name, b"\x01" * 32))
    assert not check(tmp_path / "copy", KEY.vkey).ok
    build(tmp_path / "copy", forged)
    assert check(tmp_path / "copy", KEY.vkey).ok


def checkpoint(leaves: list[bytes], key: SigningKey = KEY) -> fmt.Checkpoint:
    return fmt.Checkpoint(key.name, len(leaves), tree.root([tree.leaf_hash(leaf) for leaf in leaves]))


def test_what_others_saw_must_be_a_prefix(folder: Path) -> None:
    seen = [checkpoint(LEAVES[:count]) for count in (1, 255, 256, 257, 512, SIZE)]
    assert check(folder, KEY.vkey, seen=seen).ok
    longer = checkpoint([*LEAVES, b"one more"])
    assert check(folder, KEY.vkey, seen=[longer]).problems == (
        f"rolled back: {SIZE + 1} entries were seen, {SIZE} are here",
    )
    other = checkpoint([*LEAVES[:17], b"forged", *LEAVES[18:300]])
    assert check(folder, KEY.vkey, seen=[*seen, other]).problems == (
        "forked: the first 300 entries are not those that were seen",
    )
    stranger = checkpoint(LEAVES[:5], SigningKey("other.test/log", bytes(32)))
    assert "other.test/log" in check(folder, KEY.vkey, seen=[stranger]).problems[0]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    build(tmp_path, [b"%d" % n for n in range(66_000)])
    for name in ("tile/entries/003", "tile/entries/257.p/208", "tile/1/000"):
        data = bytearray((tmp_path / name).read_bytes())
        data[-1] ^= 1
        (tmp_path / name).write_bytes(data)
    alone, together = (check(tmp_path, KEY.vkey, workers=count) for count in (1, 2))
    assert alone == together
    assert alone.entries == (1023, 65_999)
    assert any(problem.startswith("entries 65280 to 65535:") for problem in alone.problems)


def test_a_killed_process_is_said_to_be_killed() -> None:
    with pytest.raises(Unavailable, match="was killed"), module._mapped(2) as each:
        list(each(kill, range(2)))


def kill(_part: int) -> module._Findings:
    os._exit(9)


def test_another_origin_under_our_key_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    text = fmt.Checkpoint("other.test/log", SIZE, bytes(32)).text
    (tmp_path / "copy" / "checkpoint").write_text(KEY.sign(text), encoding="utf-8")
    assert "other.test/log" in check(tmp_path / "copy", KEY.vkey).problems[0]


def test_the_tessera_log_is_whole(shared_data: Path) -> None:
    key = fmt.parse_verifier_key(
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    )
    assert check(shared_data / "tlog" / "tessera_log", key) == module.CheckReport(15)


def test_the_list_of_problems_is_bounded(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    for path in (tmp_path / "copy" / "tile" / "0").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    report = check(tmp_path / "copy", KEY.vkey)
    assert len(report.problems) == len(report.entries) == module.MAX_PROBLEMS


def test_a_checkpoint_over_entries_that_are_not_there_ends_soon(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text(KEY.sign(fmt.Checkpoint(KEY.name, 10**18, bytes(32)).text))
    for workers in (1, 2):
        assert len(check(tmp_path, KEY.vkey, workers=workers).problems) == module.MAX_PROBLEMS


def test_a_giant_file_is_not_read(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    with (tmp_path / "copy" / "tile" / "0" / "000").open("r+b") as file:
        file.truncate(10**10)
    report = check(tmp_path / "copy", KEY.vkey)
    assert "tile/0/000: longer than any file of a log" in report.problems


def test_memory_stays_constant(tmp_path: Path) -> None:
    build(tmp_path, [b"x" * 2000] * 10_000)
    tracemalloc.start()
    try:
        assert check(tmp_path, KEY.vkey).ok
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A bundle of these entries has 0.5 MB, the log 20 MB.
    assert peak < 3_000_000


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def test_the_auditor_shares_only_the_format_and_the_tree() -> None:
    here = Path(str(module.__file__))
    ours = ("audits", "core", "pipeline", "api", "sqlmodel", "sqlalchemy")
    for name in ("check", "tree", "format"):
        mine: set[str] = {i for i in imports(here.with_name(f"{name}.py")) if i.split(".")[0] in ours}
        assert mine <= {"audits.log.format", "audits.log.tree", "core.errors"}
