from __future__ import annotations

from pathlib import Path

from provenance.manifest import medium, read
from provenance.manifest.bench import report, run


def test_both_ways_sign_the_same_film_and_are_compared(tmp_path: Path) -> None:
    gate, library = run(tmp_path, size=1000, rounds=2)
    assert min(gate.wall, gate.cpu, library.wall, library.cpu) > 0
    assert medium(tmp_path / "film.mp4").mime == "video/mp4"
    roots = (tmp_path / "keys" / "claim" / "roots.pem").read_text()
    assert read(tmp_path / "ours.mp4", roots).soft_bindings
    bare = read(tmp_path / "bare.mp4", roots)
    assert (bare.state, bare.soft_bindings) == ("trusted", ())
    assert report(gate, library).startswith("sign and read, against the library alone:")
