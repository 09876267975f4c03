from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import BadMedia, Unavailable
from core.media.probe import probe
from provenance.keys import SigningKeys, dev_keys
from provenance.manifest import Claim, Parent, _sign, medium, read, sign, stamp
from provenance.manifest import _settings as limits
from provenance.timestamp import dev_authority
from tests.provenance.media import SIGNED, UNSIGNED, make

SOUND = ("m4a", "wav", "mp3", "flac")
PICTURE = ("png", "jpg")


def fitting(claim: Claim, kind: str) -> Claim:
    return replace(claim, mime=SIGNED[kind], video=kind not in (*SOUND, *PICTURE), audio=kind not in PICTURE)


@pytest.mark.parametrize("kind", SIGNED)
def test_every_format_is_signed_and_read_back(
    tmp_path: Path, claim: Claim, keys: SigningKeys, kind: str
) -> None:
    source, out = make(tmp_path, kind), tmp_path / "out"
    before = source.read_bytes()
    signed = sign(source, out, fitting(claim, kind), keys)
    reading = read(out, keys.claim_roots_pem)
    assert (reading.state, reading.failures, reading.label) == ("trusted", (), signed.label)
    assert reading.content_label == signed.label
    assert len(reading.soft_bindings) == (0 if kind in PICTURE else 1 if kind in SOUND else 2)
    assert medium(out).mime == SIGNED[kind]
    assert source.read_bytes() == before
    if kind not in PICTURE:
        assert probe(out).seconds == pytest.approx(probe(source).seconds), "it still plays"


@pytest.mark.parametrize("kind", SIGNED)
def test_a_changed_payload_is_seen_in_every_format(
    tmp_path: Path, claim: Claim, keys: SigningKeys, kind: str
) -> None:
    source, out = make(tmp_path, kind), tmp_path / "out"
    sign(source, out, fitting(claim, kind), keys)
    content = bytearray(out.read_bytes())
    middle = source.read_bytes()[-60:-40]  # of the payload, unless a table stands behind it
    at = content.rindex(middle)
    content[at] ^= 1
    out.write_bytes(content)
    assert read(out, keys.claim_roots_pem).state in ("invalid", "malformed")
    content[at] ^= 1
    out.write_bytes(content)
    assert read(out, keys.claim_roots_pem).state == "trusted", "the control"


@pytest.mark.parametrize("before", SIGNED)
def test_history_is_kept_across_formats(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, before: str
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    label = sign(make(tmp_path, before), first, fitting(claim, before), keys).label
    edit = replace(claim, source="composite", parent=Parent(first, "application/octet-stream"))
    sign(film, second, edit, keys)
    reading = read(second, keys.claim_roots_pem)
    (found,) = reading.ingredients
    assert (found.label, found.state, found.relationship) == (label, "trusted", "parentOf")
    assert (found.within, found.generator, found.actions[0]) == (
        reading.label,
        "Greenlight 0.1.0",
        "c2pa.created",
    )


@pytest.mark.parametrize("kind", UNSIGNED)
def test_other_formats_are_refused_with_a_reason(
    tmp_path: Path, claim: Claim, keys: SigningKeys, kind: str
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(BadMedia, match="a manifest goes into MP4"):
        sign(make(tmp_path, kind), tmp_path / "out" / "out.mp4", claim, keys)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_claim_about_another_kind_of_file_is_refused(
    tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    with pytest.raises(BadMedia, match="audio/wav, not video/mp4"):
        sign(make(tmp_path, "wav"), tmp_path / "out", claim, keys)


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_file_cut_in_the_middle_appears_whole_or_not_at_all(
    tmp_path: Path, claim: Claim, keys: SigningKeys, kind: str, part: float
) -> None:
    source, folder = make(tmp_path, kind), tmp_path / "out"
    folder.mkdir()
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * part)])
    cut = source.read_bytes()
    try:
        sign(source, folder / "out", fitting(claim, kind), keys)
    except (BadMedia, Unavailable):
        assert list(folder.iterdir()) == []
    else:
        assert read(folder / "out", keys.claim_roots_pem).state == "trusted"
    assert source.read_bytes() == cut


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sign, "_LARGE_BYTES", 100)
    monkeypatch.setattr(limits, "_MERKLE_KIB", 1)


@pytest.mark.usefixtures("small_is_large")
def test_a_large_file_is_hashed_in_a_tree(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    out, stamped = tmp_path / "out.mp4", tmp_path / "stamped.mp4"
    assert b"merkle" in sign(film, out, claim, keys).bytes
    assert read(out, keys.claim_roots_pem).state == "trusted"
    stamp(out, stamped, "0.1.0", keys, dev_authority(tmp_path, SystemClock()))
    assert read(stamped, keys.claim_roots_pem).state == "trusted"
    content = bytearray(out.read_bytes())
    content[content.index(b"mdat") + 500] ^= 1
    out.write_bytes(content)
    assert read(out, keys.claim_roots_pem).state == "invalid"


@pytest.mark.usefixtures("small_is_large")
def test_a_large_film_in_pieces_is_hashed_as_a_whole(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "source.mp4", tmp_path / "out.mp4"
    source.write_bytes(film.read_bytes() + (3008).to_bytes(4, "big") + b"mdat" + bytes(3000))
    assert medium(source).bodies == 2
    assert b"merkle" not in sign(source, out, claim, keys).bytes
    assert read(out, keys.claim_roots_pem).state == "trusted"
    told = limits.settings
    monkeypatch.setattr(_sign, "settings", lambda roots, **_: told(roots, tree=True))
    states = set()
    for _ in range(12):  # whether its tree holds over two bodies is the library's luck of the moment
        sign(source, out, claim, keys)
        states.add(read(out, keys.claim_roots_pem).state)
    assert "invalid" in states, "the control: the library makes a tree that fails"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from core.clock import SystemClock
from core.clock import SystemClock
from core.errors import Unavailable
from provenance.keys import dev_keys
from provenance.manifest import Claim, sign
keys = dev_keys(Path(sys.argv[3]), SystemClock())
claim = Claim(title="t", mime="video/mp4", engine="e", engine_version="1", source="created", payload=1,
    duration_ms=1000, record="r", when="2026-11-23T12:00:00Z", generator_version="1", video=True, audio=True)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[5]), int(sys.argv[5])))
try:
    sign(Path(sys.argv[1]), Path(sys.argv[2]), claim, keys)
except Unavailable as error:
    print("Unavailable", error)
else:
    print("signed")
"""


@pytest.mark.parametrize("room", [0, 20_000, resource.RLIM_INFINITY])
def test_a_full_disk_leaves_nothing(film: Path, tmp_path: Path, keys: SigningKeys, room: int) -> None:
    out, home = tmp_path / "out" / "out.mp4", tmp_path / "keys"
    dev_keys(home, SystemClock())
    out.parent.mkdir()
    out.write_bytes(b"an earlier release")
    before = film.read_bytes()
    root = str(Path(__file__).resolve().parents[2])
    arguments = [sys.executable, "-c", FULL_DISK, str(film), str(out), str(home), root, str(room)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    if room == resource.RLIM_INFINITY:
        assert done.stdout == "signed\n", "the control"
    else:
        assert done.stdout.startswith("Unavailable")
        assert out.read_bytes() == b"an earlier release"
    assert list(out.parent.iterdir()) == [out]
    assert film.read_bytes() == before


def test_a_place_that_cannot_be_written_is_unavailable(
    film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "nothing" / "out.mp4", tmp_path / "file" / "out.mp4"):
        with pytest.raises(Unavailable):
            sign(film, out, claim, keys)
    with pytest.raises(Unavailable):
        sign(film, tmp_path, claim, keys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
