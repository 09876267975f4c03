from __future__ import annotations

from pathlib import Path

import pytest

from audits.preemptive import pieces as module
from audits.preemptive.pieces import Pieces


def never() -> object:
    pytest.fail("made again")


def test_a_piece_is_made_once_and_found_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "suite.pieces"
    first = Pieces(path, "code 1")
    assert first.once("a", lambda: {"hits": (1, 2)}) == {"hits": [1, 2]}
    assert first.once("a", never) == {"hits": [1, 2]}
    assert Pieces(path, "code 1").once("a", never) == {"hits": [1, 2]}


def test_pieces_of_other_code_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "suite.pieces"
    Pieces(path, "code 1").once("a", lambda: 1)
    assert Pieces(path, "code 2").once("a", lambda: 2) == 2
    assert Pieces(path, "code 1").once("a", lambda: 3) == 3


def test_a_line_that_was_cut_short_is_made_again_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "suite.pieces"
    kept = Pieces(path, "x")
    kept.once("a", lambda: 1)
    kept.once("b", lambda: 2)
    path.write_bytes(path.read_bytes()[:-4])
    again = Pieces(path, "x")
    assert again.once("a", never) == 1
    assert again.once("b", lambda: 5) == 5
    assert Pieces(path, "x").once("b", never) == 5


def test_a_piece_that_fails_is_not_kept(tmp_path: Path) -> None:
    kept = Pieces(tmp_path / "suite.pieces", "x")
    with pytest.raises(ZeroDivisionError):
        kept.once("a", lambda: 1 / 0)
    assert kept.once("a", lambda: 1) == 1


def test_code_is_named_by_every_source_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audits" / "preemptive").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "audits" / "preemptive" / "pieces.py"))
    (tmp_path / "audits" / "one.py").write_text("a = 1")
    before = module.code()
    (tmp_path / "audits" / "one.py").write_text("a = 2")
    assert module.code() != before
